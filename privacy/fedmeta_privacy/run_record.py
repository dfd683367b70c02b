# SPDX-License-Identifier: Apache-2.0
"""A run as its ledger tells it: the one place that knows how the ledger spells things.

Documents are made of what is here, never of the ledger's own fields, so that a new form of the ledger changes this
file alone. A field that a ledger does not have is None, and becomes a named gap.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from .errors import DisclosureRefused

_MASKING = "SFM-SecAgg/"  # the masking protocol's name, wherever it took part
VIEWS = ("server", "member", "release", "local")


@dataclass(frozen=True, slots=True)
class RoundRecord:
    """One executed round.

    Attributes:
        number: of the round.
        invited: sites of the cohort.
        survivors: sites in the opened sum; participation is public within the run.
        shift: squared Gaussian shift of this round alone against the server; None if no sum was opened.
        floor: what each site's filter was charged before it sent.
        epsilon: cumulative, per view; None where nothing is guaranteed.
        aborted: why no sum was opened; empty otherwise.
        model: SHA-256 of the model that was sent out.
    """

    number: int
    invited: int
    survivors: int
    shift: float | None
    floor: float | None
    epsilon: Mapping[str, float | None]
    aborted: str
    model: str | None


@dataclass(frozen=True, slots=True)
class RunRecord:
    """All that a ledger says about its run, in one vocabulary.

    Attributes:
        settings: the plan and what follows from it, numbers as the ledger spells them.
        epsilon: at the end, per view; None where nothing is guaranteed.
        budget_shift: squared Gaussian shift of the budget; None without one.
        entries: lines of the ledger.
        finished: whether the closing line is there.
        trust: who could decrypt what; empty where nothing is encrypted.
    """

    unit: str
    adjacency: str
    mode: str
    protocol: str
    software: str
    settings: Mapping[str, Any]
    sensitivity: Mapping[str, Any]
    budget_shift: float | None
    allow_list: str | None
    started: str | None
    ended: str | None
    rounds: Sequence[RoundRecord]
    epsilon: Mapping[str, float | None]
    delta: float
    accountant: str
    second: tuple[str, float] | None
    guarantee: str
    stopped: str
    excluded: int
    entries: int
    finished: bool
    extra: Mapping[str, Any] = field(default_factory=dict)
    trust: str = ""

    @classmethod
    def from_entries(cls, entries: Sequence[Mapping[str, Any]]) -> RunRecord:
        """Read verified entries (`ledger.verify`).

        Raises:
            DisclosureRefused: the opening line is missing, or a number cannot be read.
        """
        kinds = [entry.get("type") for entry in entries]
        if "run" not in kinds:
            raise DisclosureRefused("the ledger has no opening line", "give the whole ledger of one run")
        try:
            return _read(entries, kinds)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise DisclosureRefused(
                f"the ledger's lines are not in a form that documents can be made of ({type(error).__name__})",
                "verify the ledger first; use the version that wrote it",
            ) from None

    def number(self, name: str) -> float | None:
        """A setting as a number."""
        value = self.settings.get(name)
        return None if value is None or isinstance(value, bool) else float(value)

    @property
    def slots(self) -> int | None:
        """N: registered slots, a public bound on the units; never a count of records."""
        clients = self.settings.get("clients")
        one_role = self.settings.get("algorithm") in ("reptile", "fedavg")  # then no record has the query role
        queries = 0 if one_role else self.settings.get("query_slots")
        per_site = {
            "record": [self.settings.get("support_slots"), queries],
            "task": [self.settings.get("task_slots", self.settings.get("query_slots"))],
            "client": [1],
        }.get(self.unit, [None])
        if clients is None or any(part is None for part in per_site):
            return None
        return int(clients) * sum(int(part) for part in per_site if part is not None)

    @property
    def gaussian(self) -> bool:
        """Whether the epsilons come from the exact Gaussian curve, so that one number mu says them all."""
        return self.accountant.startswith("exact Gaussian")

    @property
    def masked(self) -> bool:
        """Whether uploads were masked, alone or beside an encryption.

        False for a protocol that is not known: then no document may say that only sums were seen.
        """
        return _MASKING in self.protocol

    @property
    def decryptor(self) -> bool:
        """Whether a second server held keys that open ciphertexts."""
        return self.trust.startswith("split")

    @property
    def private(self) -> bool:
        """Whether any epsilon is stated."""
        return self.epsilon.get("server") is not None

    @property
    def planned_epsilon(self) -> float | None:
        """The budget that each site's filter holds."""
        return self.number("epsilon")


def _read(entries: Sequence[Mapping[str, Any]], kinds: Sequence[object]) -> RunRecord:
    opening: Mapping[str, Any] = entries[kinds.index("run")]["body"]
    end: Mapping[str, Any] = entries[-1]["body"] if kinds[-1] == "end" else {}
    rounds = [_round(entry) for entry in entries if entry.get("type") == "round"]
    settings = opening["behaviour"]
    last = rounds[-1].epsilon if rounds else {}
    second = end.get("second_accountant") or {}
    second_value = _upper(second.get("server"))
    return RunRecord(
        unit=str(opening["unit"]),
        adjacency=str(opening["adjacency"]),
        mode=str(opening["mode"]),
        protocol=str(opening["protocol"]),
        software=str(opening["software"]),
        settings=settings,
        sensitivity=opening.get("sensitivity") or {},
        budget_shift=_finite(opening.get("budget_shift")),
        allow_list=opening.get("allow_list"),
        started=opening.get("at"),
        ended=end.get("at"),
        rounds=rounds,
        epsilon=_views(end["epsilon"]) if "epsilon" in end else last,
        delta=float(end.get("delta", settings["delta"])),
        accountant=_accountant(end.get("accountant", "")),
        second=(str(second["name"]), second_value) if second_value is not None else None,
        guarantee=str(end.get("guarantee", "")),
        stopped=str(end.get("stopped") or ""),
        excluded=len(end.get("excluded") or {}),
        entries=len(entries),
        finished=bool(end),
        extra={"seed": opening.get("seed")},
        trust=str(opening.get("trust") or ""),
    )


def _accountant(stated: Any) -> str:
    """Its name and version in one text."""
    if isinstance(stated, Mapping):
        return f"{stated['name']} {stated['version']}"
    return str(stated)


def _round(entry: Mapping[str, Any]) -> RoundRecord:
    body = entry["body"]
    return RoundRecord(
        number=int(entry["round"]),
        invited=len(body.get("cohort") or ()),
        survivors=len(body.get("survivors") or ()),
        shift=_finite(body.get("shift")),
        floor=_finite(body.get("charge")),
        epsilon=_views(body["epsilon"]),
        aborted=str(body.get("aborted") or ""),
        model=body.get("model"),
    )


def _views(stated: Mapping[str, Any]) -> dict[str, float | None]:
    return {view: _upper(value) for view, value in stated.items()}


def _upper(value: Any) -> float | None:
    """The upper end of a stated epsilon: one decimal, an interval, or "none"."""
    if isinstance(value, Mapping):
        value = value.get("upper")
    elif isinstance(value, list | tuple):
        value = value[-1]
    return _finite(value)


def _finite(value: Any) -> float | None:
    """A decimal as a number; None for "none", null and infinity."""
    if value is None or value == "none":
        return None
    number = float(value)
    if math.isnan(number) or number < 0:
        raise ValueError("not a magnitude")
    return number if math.isfinite(number) else None
