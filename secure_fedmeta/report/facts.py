# SPDX-License-Identifier: Apache-2.0
"""A run as its folder tells it: the one place where a page's facts are read. Nothing comes from the running program.

So the page that a run writes and the page that anybody makes of the folder later are the same bytes.
"""

from __future__ import annotations

import io
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from fedmeta_privacy import ledger
from fedmeta_privacy.run_record import RunRecord

from ..audit.signatures import body_of
from ..audit.terms import schedule_of
from ..errors import FileError
from ..federation.accounts import Accounts, Spent
from ..guarantee import guarantee_sentence
from ..plan import read_toml
from ..schedule import Schedule

MOST_BYTES = 1 << 28
SCORES = "scores.json"
MOST_REPLAYED = 100  # lines whose epsilon a page works out anew, evenly, the last among them; an audit does them all
_SLACK = 1e-9  # of an epsilon: what two machines may round otherwise


@dataclass(frozen=True)
class Facts:
    """What the files of a run say.

    Attributes:
        folder: the run's.
        pilot: its name in config.toml.
        lines: of the ledger, in form but unverified.
        record, schedule: the run in one vocabulary, and what its behaviour stands for.
        names: of the sites by id.
        metrics: by round; simulation only.
        disclosure: the whole document; empty if it was never written.
        scores: columns, rows and words of the comparison; empty if there is none.
        verification: the result of the last audit; empty if there was none.
    """

    folder: Path
    pilot: str
    lines: tuple[ledger.Line, ...]
    record: RunRecord
    schedule: Schedule
    names: Mapping[int, str]
    metrics: Sequence[Mapping[str, float]]
    disclosure: Mapping[str, Any]
    scores: Mapping[str, Any]
    verification: Mapping[str, Any]

    @classmethod
    def of(cls, folder: Path) -> Facts:
        """Read the folder.

        Raises:
            FileError: no ledger, or a file that is not what a run leaves.
            LedgerDamaged, AuditRefused, DisclosureRefused: the ledger makes no sense; `audit` says more.
        """
        if not (folder / "ledger.jsonl").is_file():
            raise FileError("no ledger.jsonl in this folder", str(folder), "name the folder of a run")
        data = _read(folder / "ledger.jsonl")
        record = RunRecord.from_entries(ledger.verify(data))
        lines = tuple(ledger.read(io.BytesIO(data)))
        roster = _json(folder / "roster.json", list)
        pilot = read_toml(folder / "config.toml")[0] if (folder / "config.toml").is_file() else "arrays"
        return cls(
            folder,
            pilot,
            lines,
            record,
            schedule_of(lines[0]),
            {int(one["id"]): str(one["name"]) for one in roster},
            _rows(folder / "metrics.jsonl"),
            _json(folder / "disclosure.json", dict),
            _json(folder / SCORES, dict),
            _json(folder / "verification.json", dict),
        )

    @cached_property
    def rounds(self) -> list[Mapping[str, Any]]:
        """Bodies of the executed rounds."""
        return [body_of(line) for line in self.lines if line.entry["type"] == "round"]

    @cached_property
    def end(self) -> Mapping[str, Any]:
        """Body of the closing line; empty if the run was broken off."""
        last = self.lines[-1]
        return body_of(last) if last.entry["type"] == "end" else {}

    @property
    def head(self) -> str:
        """SHA-256 of the last line."""
        return self.lines[-1].statement.head

    @cached_property
    def countersigned(self) -> list[int]:
        """How many sites signed each round's line."""
        return [
            sum(isinstance(who, int) for who, _ in line.sigs) for line in self.lines if line.entry["type"] == "round"
        ]

    @cached_property
    def accounts(self) -> Accounts:
        """The server's books after the last round, kept anew from who took part."""
        return self._replayed[0]

    @cached_property
    def curves(self) -> list[dict[str, float | None]]:
        """Per executed round and view the larger of what its line states and what the rounds so far come to."""
        return [
            _larger(each.epsilon, spent) if spent is not None and self.record.private else dict(each.epsilon)
            for each, spent in zip(self.record.rounds, self._replayed[1], strict=True)
        ]

    @cached_property
    def recomputed(self) -> Spent | None:
        """What the rounds come to by who took part in them; None without a guarantee or a round."""
        return self._replayed[1][-1] if self.rounds else None

    @cached_property
    def epsilon(self) -> dict[str, float | None]:
        """Per view the larger of what the ledger states and what its rounds come to: a page never shows less."""
        if self.recomputed is None or not self.record.private:
            return dict(self.record.epsilon)
        return _larger(self.record.epsilon, self.recomputed)

    @cached_property
    def contradictions(self) -> list[str]:
        """Where the ledger states less than its own rounds come to, or another guarantee; empty for an honest one."""
        if self.recomputed is None:
            return []
        found = []
        lines = [(f"round {each.number}", each.epsilon) for each in self.record.rounds]
        spent = self._replayed[1]
        if self.end:
            lines, spent = [*lines, ("the closing line", self.record.epsilon)], [*spent, self.recomputed]
        for (where, stated), come_to in zip(lines, spent, strict=True):
            for view, value in come_to.as_views().items() if come_to is not None else ():
                said = stated.get(view)
                if said is not None and said < value * (1 - _SLACK):
                    found.append(f"{where} states epsilon {said:.6g} for the view {view}, where {value:.6g} follows")
        if self.end and self.record.guarantee != guarantee_sentence(self.schedule, self.recomputed):
            found.append("the guarantee in words is not the one that follows from the rounds")
        return found

    @cached_property
    def _replayed(self) -> tuple[Accounts, list[Spent | None]]:
        cohort = tuple(self.rounds[0]["cohort"]) if self.rounds else ()
        books = Accounts(self.schedule, cohort)
        spent: list[Spent | None] = []
        step = math.ceil(len(self.rounds) / MOST_REPLAYED)
        for left, body in zip(reversed(range(len(self.rounds))), self.rounds, strict=True):
            books.record(
                uploaded=frozenset(body["asked"]),
                survivors=frozenset(body["survivors"]),
                lowered=frozenset(body["answered"]),
                votes=body["votes"],
            )
            spent.append(books.spent() if self.schedule.private and left % step == 0 else None)
        return books, spent

    @cached_property
    def guarantee(self) -> str:
        """In words: worked out anew where the run has ended, so that nobody's text is repeated unseen."""
        if not self.end:
            return "The run was broken off before its guarantee was written: see the ledger."
        return self.record.guarantee if self.recomputed is None else guarantee_sentence(self.schedule, self.recomputed)

    def named(self, site: int) -> str:
        """A site for people."""
        return self.names.get(site, f"site {site}")

    @cached_property
    def absences(self) -> list[tuple[str, int, int]]:
        """Of each site that was missing from an opened sum: name, how often, and how many sums there were."""
        missing: dict[int, int] = {}
        opened = 0
        for body in self.rounds:
            if not body["survivors"]:
                continue
            opened += 1
            for site in set(body["cohort"]) - set(body["survivors"]):
                missing[site] = missing.get(site, 0) + 1
        return [(self.named(site), times, opened) for site, times in sorted(missing.items())]

    def metric(self, key: str) -> list[float | None]:
        """One figure of each executed round; None where none was kept."""
        by_round = {int(row["round"]): row for row in self.metrics if "round" in row}
        return [by_round.get(number, {}).get(key) for number in self.numbers]

    @cached_property
    def numbers(self) -> list[int]:
        """Of the executed rounds."""
        return [each.number for each in self.record.rounds]


def _larger(stated: Mapping[str, float | None], come_to: Spent) -> dict[str, float | None]:
    views = come_to.as_views()
    names = [*views, *(view for view in stated if view not in views)]
    return {view: max(views[view], stated.get(view) or 0.0) if view in views else None for view in names}


def _read(path: Path) -> bytes:
    try:
        if path.stat().st_size > MOST_BYTES:
            raise FileError(f"more than {MOST_BYTES} bytes", str(path), "this is not what a run leaves")
        return path.read_bytes()
    except OSError as error:
        raise FileError(f"cannot read the file: {error.strerror}", str(path), "check the folder") from None


def _json(path: Path, kind: type) -> Any:
    if not path.exists():
        return kind()
    try:
        content = json.loads(_read(path))
    except (ValueError, RecursionError):
        raise FileError("not a JSON file", str(path), "restore it, or remove it: it can be made again") from None
    if not isinstance(content, kind):
        raise FileError("not in the form that a run leaves", str(path), "restore it, or remove it")
    return content


def _rows(path: Path) -> list[dict[str, float]]:
    """Whole lines of numbers; the last one may be torn."""
    if not path.exists():
        return []
    rows = []
    for line in _read(path).splitlines():
        try:
            row = json.loads(line)
        except ValueError:
            break
        if isinstance(row, dict):
            rows.append({str(k): float(v) for k, v in row.items() if isinstance(v, int | float)})
    return rows
