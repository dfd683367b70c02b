# SPDX-License-Identifier: Apache-2.0
"""What an empirical audit may say: a lower bound, and everything without which it could be misread.

There are three kinds of audit, and a figure of one kind must never be printed as one of another:

(a) MECHANISM_TEST. Canaries in disjoint directions of *one* release are counted as separate trials. They are
    independent only if the noise is (no rotation, one fresh draw per coordinate, units clipped one by one). So a
    figure above the claim proves a bug, but one below it is no lower bound on an implementation that breaks those
    assumptions: with one draw for all coordinates, 100 000 trials are a single one.
(b) ONE_RUN. Only the canaries' coins have to be independent, and they are the auditor's: valid for any mechanism.
(c) MULTI_RUN. Every trial is a complete run with fresh keys: independent by construction, and the only kind that sees
    randomness which is used twice.

Reduction modulo 2^b after the noise is post-processing of what was released (it loses, and never reveals), so it is no
target of an audit. What is one: an abort that depends on an overflow, and a sum that is not exact.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from enum import Enum

from ..claims import Unit, View
from .errors import ContextRefused, CountsRefused, ErrorRateRefused


class Kind(Enum):
    """Which of the three kinds of audit a figure belongs to."""

    MECHANISM_TEST = "mechanism test"
    ONE_RUN = "one-run bound"
    MULTI_RUN = "multi-run bound"

    @property
    def label(self) -> str:
        """The label that is printed beside every figure of this kind."""
        return _LABELS[self]

    @property
    def assumptions(self) -> str:
        """What has to hold for the figure to mean what its label says."""
        return _ASSUMPTIONS[self]


_LABELS = {
    Kind.MECHANISM_TEST: "(a) test of this mechanism: above the claim means a bug; no bound on other mechanisms",
    Kind.ONE_RUN: "(b) lower bound on any mechanism, from one run",
    Kind.MULTI_RUN: "(c) lower bound from independent complete runs",
}
_REFUTED_SHIFT = "(b) Gaussian shift refuted for any mechanism, from one run; read as an epsilon of the Gaussian family"
_ASSUMPTIONS = {
    Kind.MECHANISM_TEST: (
        "each unit clipped by itself, no rotation, noise drawn afresh for every coordinate, one direction per canary: "
        "then canaries are independent trials; threshold fixed beforehand"
    ),
    Kind.ONE_RUN: "the canaries' coins are fair and independent; the number of guesses was fixed beforehand",
    Kind.MULTI_RUN: "the runs share no randomness but what the mechanism itself reuses; threshold fixed beforehand",
}


class SeedPolicy(Enum):
    """Where the audited mechanism's keys, masks and noise came from."""

    SYSTEM = "fresh from the operating system"
    SEEDED = "from a seed, for repeatable tests"


@dataclass(frozen=True, slots=True)
class AuditContext:
    """What was audited: without it no figure is made.

    Attributes:
        unit: whose data the canary stands for.
        view: who looked.
        colluders: c, parties whose noise the auditor may subtract.
        survivors: n', parties whose inputs and noise are in the sum.
        seeds: where keys and noise came from.

    Raises:
        ContextRefused: a wrong type, negative colluders, no survivors or no honest one.

    Example:
        >>> AuditContext(Unit.TASK, View.SERVER, colluders=0, survivors=7).survivors
        7
    """

    unit: Unit
    view: View
    colluders: int
    survivors: int
    seeds: SeedPolicy = SeedPolicy.SYSTEM

    def __post_init__(self) -> None:
        kinds = ((self.unit, Unit), (self.view, View), (self.seeds, SeedPolicy))
        if not all(isinstance(value, kind) for value, kind in kinds):
            raise ContextRefused("unit, view or seed policy is not one of the known ones", "use the enums")
        if not (_whole(self.colluders) and _whole(self.survivors) and 0 <= self.colluders < self.survivors):
            raise ContextRefused(
                f"{self.colluders!r} colluders among {self.survivors!r} survivors", "state 0 <= c < n' as integers"
            )


@dataclass(frozen=True, slots=True)
class AuditBound:
    """A lower bound on epsilon at `delta`, wrong with probability at most `p` under `kind.assumptions`.

    Attributes:
        epsilon: the lower bound, rounded down; 0 says nothing.
        mu: the Gaussian shift it was derived through; None where no family was assumed.
        delta: of the bound.
        p: probability of a bound above the truth.
        trials: canaries (one-run) or trials of both worlds.
        method: how it was computed.
        kind: of audit.
        context: what was audited.

    Example:
        >>> where = AuditContext(Unit.TASK, View.SERVER, colluders=0, survivors=7)
        >>> AuditBound(1.5, None, 1e-5, 0.05, 100, "Clopper-Pearson", Kind.MULTI_RUN, where).gaussian_family_assumed
        False
    """

    epsilon: float
    mu: float | None
    delta: float
    p: float
    trials: int
    method: str
    kind: Kind
    context: AuditContext

    def __post_init__(self) -> None:
        check_rates(self.delta, self.p)
        check_count("trials", self.trials, at_least=1)
        if not (math.isfinite(self.epsilon) and self.epsilon >= 0):
            raise ContextRefused(f"a lower bound of {self.epsilon!r}", "report this")

    @property
    def gaussian_family_assumed(self) -> bool:
        """Whether the step from the measured errors to epsilon assumed a mu-GDP mechanism."""
        return self.mu is not None

    @property
    def label(self) -> str:
        """The label of the figure: that of its kind, but for a one-run figure that reads a shift as an epsilon."""
        if self.kind is Kind.ONE_RUN and self.gaussian_family_assumed:
            return _REFUTED_SHIFT
        return self.kind.label

    @property
    def assumption(self) -> str:
        """All assumptions in words, the family included."""
        return f"{self.kind.assumptions}; GDP family assumed: {'yes' if self.gaussian_family_assumed else 'no'}"

    def exceeds(self, claim: float) -> bool:
        """Whether the claim is refuted at error p."""
        return self.epsilon > claim

    def as_json(self) -> dict[str, str | float | int | bool | None]:
        """Every field in words and numbers, for a report."""
        flat = asdict(self)
        del flat["context"]
        return flat | {
            "kind": self.kind.value,
            "label": self.label,
            "assumption": self.assumption,
            "gaussian_family_assumed": self.gaussian_family_assumed,
            "unit": self.context.unit.value,
            "view": self.context.view.value,
            "colluders": self.context.colluders,
            "survivors": self.context.survivors,
            "seeds": self.context.seeds.value,
        }

    def __str__(self) -> str:
        where = self.context
        return (
            f"epsilon >= {math.floor(self.epsilon * 1e3) / 1e3:.3f} at delta {self.delta:g} (p = {self.p:g}, "
            f"{self.trials} trials, {self.method}); unit {where.unit.value}, view {where.view.value}, "
            f"c = {where.colluders}, n' = {where.survivors}, seeds {where.seeds.value}. "
            f"{self.label}. Assumes: {self.assumption}."
        )


def check_rates(delta: float, p: float) -> None:
    """Refuse a delta outside [0, 1) or a p outside (0, 1), NaN included."""
    for name, value in (("delta", delta), ("p", p)):
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ErrorRateRefused(f"{name} is {value!r}", "give a number")
    if not 0 <= delta < 1:
        raise ErrorRateRefused(f"delta is {delta}", "choose 0 <= delta < 1")
    if not 0 < p < 1:
        raise ErrorRateRefused(f"the error p of the bound is {p}", "choose 0 < p < 1, for example 0.05")


def check_count(name: str, value: int, *, at_least: int = 0, at_most: int | None = None) -> None:
    """Refuse what is not a whole number in its range."""
    if not _whole(value):
        raise CountsRefused(f"{name} is {value!r}", "give a whole number")
    if value < at_least or (at_most is not None and value > at_most):
        limit = f" and at most {at_most}" if at_most is not None else ""
        raise CountsRefused(f"{name} = {value}", f"it must be at least {at_least}{limit}")


def _whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
