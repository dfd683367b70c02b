# SPDX-License-Identifier: Apache-2.0
"""A lower bound on epsilon from independent trials, by exact confidence intervals and nothing else.

Source: Clopper and Pearson 1934 for the intervals; Nasr et al. 2021, "Adversary Instantiation" (arXiv 2101.04535),
section 3, for the step to epsilon.

Derivation. In world 0 the canary is out, in world 1 it is in; the auditor says "in" or "out". With x false positives
of n0 and y false negatives of n1, let a and b be one-sided upper confidence limits of both rates, each at error p/2.
For an (epsilon, delta)-DP mechanism every event E has P1[E] <= e^epsilon P0[E] + delta. With E = "in" and P1[E] =
1 - FNR this gives epsilon >= ln((1 - b - delta) / a), with "out" and the worlds exchanged ln((1 - a - delta) / b).
If both limits hold (probability at least 1 - p) both inequalities do, so their maximum is a bound at error p.

"In" and "out" may be any decision on what was observed, for example "the client aborted".
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from scipy.stats import beta

from .errors import ContextRefused
from .result import AuditBound, AuditContext, Kind, check_count, check_rates


@dataclass(frozen=True, slots=True)
class Decisions:
    """What the auditor said in both worlds.

    Attributes:
        false_positives: trials without the canary in which the auditor said "in".
        without: trials without the canary.
        false_negatives: trials with the canary in which the auditor said "out".
        within: trials with the canary.

    Raises:
        CountsRefused: more errors than trials, no trials in a world, or not whole numbers.

    Example:
        >>> Decisions(false_positives=5, without=1000, false_negatives=700, within=1000).trials
        2000
    """

    false_positives: int
    without: int
    false_negatives: int
    within: int

    def __post_init__(self) -> None:
        check_count("trials without the canary", self.without, at_least=1)
        check_count("trials with the canary", self.within, at_least=1)
        check_count("false positives", self.false_positives, at_most=self.without)
        check_count("false negatives", self.false_negatives, at_most=self.within)

    @property
    def trials(self) -> int:
        """Of both worlds."""
        return self.without + self.within

    def error_limits(self, p: float) -> tuple[float, float]:
        """Upper limits of the false positive and the false negative rate, both valid with probability 1 - p."""
        return (
            upper_limit(self.false_positives, self.without, p / 2),
            upper_limit(self.false_negatives, self.within, p / 2),
        )


def upper_limit(events: int, trials: int, p: float) -> float:
    """Clopper-Pearson: the rate at which this few events have probability p, rounded up.

    Example:
        >>> round(upper_limit(0, 100, 0.05), 6)  # 1 - 0.05^(1/100)
        0.029513
    """
    if events >= trials:
        return 1.0
    return min(1.0, float(beta.ppf(1 - p, events + 1, trials - events)) * (1 + 1e-11))


def multi_run_bound(
    decisions: Decisions, *, delta: float, p: float, context: AuditContext, kind: Kind = Kind.MULTI_RUN
) -> AuditBound:
    """Lower bound on epsilon without assuming any family.

    Guarantee: above the truth with probability at most p if the trials are independent and the rule was fixed
        beforehand. `kind` says why they are: complete runs, or canaries of one mechanism test.
    Raises:
        ErrorRateRefused: delta outside [0, 1) or p outside (0, 1).
        ContextRefused: a one-run audit does not have independent trials.

    Example:
        >>> from fedmeta_privacy.claims import Unit, View
        >>> where = AuditContext(Unit.CLIENT, View.SERVER, colluders=0, survivors=5)
        >>> bound = multi_run_bound(Decisions(5, 1000, 700, 1000), delta=1e-5, p=0.05, context=where)
        >>> round(bound.epsilon, 4)
        3.1512
    """
    check_rates(delta, p)
    check_kind(kind)
    a, b = decisions.error_limits(p)
    found = [math.log((1 - x - delta) / y) for x, y in ((a, b), (b, a)) if 1 - x - delta > 0]
    return AuditBound(max([0.0, *found]), None, delta, p, decisions.trials, "Clopper-Pearson", kind, context)


def check_kind(kind: Kind) -> None:
    """Trials must be independent for a reason that has a name."""
    if kind not in (Kind.MULTI_RUN, Kind.MECHANISM_TEST):
        raise ContextRefused(
            f"{kind.value if isinstance(kind, Kind) else kind!r} has no independent trials", "use the one-run bounds"
        )
