# SPDX-License-Identifier: Apache-2.0
"""Filters for sampled rounds, which have no exact Gaussian shift.

`RdpFilter` (Feldman and Zrnic 2021, arXiv 2008.11193). Fix an order a before the run. If round t, given all earlier
outputs, has Renyi divergence at most rho_t of order a, and rho_t is a function of these outputs, then with R_t the
likelihood ratio so far, R_t^a exp(-(a - 1) sum_{s<=t} rho_s) is a supermartingale under the second world: its
conditional expectation grows by at most exp((a - 1) rho_t). If the filter keeps sum rho_t <= B on every path, E R^a
<= exp((a - 1) B), which is (a, B)-RDP. With a budget for each of several orders, *all* have to hold: stopping only
when the last order is exhausted would leave each single one unproved.

`DominatingEventFilter`. Declare one event and a number of rounds before the run. If every round, given the past, is
dominated by that event, then all rounds are dominated by its composition (Zhu, Dong and Wang 2022, Theorem 10, arXiv
2106.08567v3; the pairs are fixed beforehand, which is what makes adaptivity harmless), whose epsilon is known
before the first round. This is the tight one when rounds are alike.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict

import numpy as np

from .accountant import Epsilon, epsilon
from .budget import PrivacyFilter
from .dominated import dominates, releases
from .errors import BudgetExceeded, NotDominated, PlanError
from .events import Basic, Repeated, total_variation
from .gdp import spend_variation
from .journal import Witness
from .rdp import ORDERS, Curve, converted, renyi_curve

_OUTWARD = 1 + 2.0**-48


class RdpFilter(PrivacyFilter):
    """Per-order budgets of Renyi divergence; every order has to hold.

    Guarantee: (a, budgets[a])-RDP of everything charged, for each order, up to the charged total variation.

    Attributes:
        budgets: order -> largest sum of divergences.
        variation: largest sum of total variations of executed noise.

    Example:
        >>> from fedmeta_privacy.events import PoissonGaussian
        >>> budget = RdpFilter.for_rounds(PoissonGaussian(1.0, 0.1), rounds=2)
        >>> line = budget.charge(round=1, event=PoissonGaussian(1.1, 0.1))
        >>> line += budget.charge(round=2, event=PoissonGaussian(1.0, 0.1))
        >>> budget.charge(round=3, event=PoissonGaussian(1.0, 0.1))
        Traceback (most recent call last):
        ...
        fedmeta_privacy.errors.BudgetExceeded: SFM-304: ...
    """

    kind = "rdp"

    def __init__(self, budgets: Mapping[int, float], *, variation: float = 0.0) -> None:
        if not budgets or not all(order > 1 and math.isfinite(b) and b >= 0 for order, b in budgets.items()):
            raise PlanError("a Renyi budget needs orders above 1 and finite bounds", "derive it with for_target")
        if not 0 <= variation < 1:
            raise PlanError(f"a variation of {variation!r} is none", "state it in [0, 1)")
        self.budgets = {int(order): float(budgets[order]) for order in sorted(budgets)}
        self.variation = float(variation)
        super().__init__(
            {
                "budgets": {str(order): bound.hex() for order, bound in self.budgets.items()},
                "variation": self.variation.hex(),
            }
        )
        self._limits = np.array([*self.budgets.values(), self.variation])
        self._spent = np.zeros(len(self._limits))
        self._charges: dict[int, Curve] = {}

    @classmethod
    def for_target(cls, target: float, delta: float, *, order: int, variation: float = 0.0) -> RdpFilter:
        """One order, fixed now, whose budget converts to at most `target` at `delta`.

        Raises:
            PlanError: this order cannot give the target at any budget.

        Example:
            >>> RdpFilter.for_target(3.0, 1e-5, order=8).guarantee(1e-5) <= 3.0
            True
        """
        left = delta * (1 - 1e-6) - (1 + math.exp(min(target, 700.0))) * variation * (1 + 1e-9)
        if not (0 < delta < 1 and left > 0 and target > 0):
            raise PlanError(f"epsilon={target} at delta={delta} is not a budget", "choose both positive, delta < 1")
        cost = math.log1p(-1 / order) - (math.log(left) + math.log(order)) / (order - 1)
        bound = (target - max(cost, -target)) * (1 - 1e-9) - 1e-12
        if bound <= 0:
            raise PlanError(
                f"order {order} gives no epsilon below {cost:.3g} at delta={delta}", "choose a larger order"
            )
        return cls({order: bound}, variation=variation)

    @classmethod
    def for_rounds(cls, event: Basic, rounds: int) -> RdpFilter:
        """Budgets that `rounds` releases of `event` fill exactly, at every whole order of `rdp.ORDERS`."""
        curve = rounds * renyi_curve(event) * _OUTWARD
        return cls(
            dict(zip(ORDERS, curve.tolist(), strict=True)),
            variation=min(total_variation([Repeated(event, rounds)]) * _OUTWARD, 1 - 2.0**-53),
        )

    def guarantee(self, delta: float) -> float:
        """Epsilon at `delta` of everything that this filter will ever admit."""
        curve, orders = np.array(list(self.budgets.values())), list(self.budgets)
        return spend_variation(lambda left: converted(curve, left, orders), delta, self.variation)

    @property
    def spent(self) -> dict[int, float]:
        """Divergence charged so far, by order, rounded up."""
        return dict(zip(self.budgets, self._spent.tolist(), strict=False))

    def affords(self, event: Basic) -> bool:
        """Whether one more release of this kind would be accepted."""
        return self._fits(self._cost(event))

    def charge(self, *, round: int, event: Basic) -> bytes:  # noqa: A002
        """Charge a round, by an event that is known before its outcome, before anything leaves.

        Raises:
            BudgetExceeded: one of the orders has no room; nothing is charged.
            PlanError: this round was charged before.
        """
        self._begin(round)
        cost = self._cost(event)
        if not self._fits(cost):
            worst = int(np.argmax((self._spent + cost) - self._limits))
            raise BudgetExceeded(
                spent=float(self._spent[worst]),
                asked=float(cost[worst]),
                limit=float(self._limits[worst]),
                measure="Renyi divergence" if worst < len(self.budgets) else "total variation",
            )
        self._take(round, cost)
        return self._line("charge", round, {"cost": [value.hex() for value in cost.tolist()]})

    def _cost(self, event: Basic) -> Curve:
        return np.append(renyi_curve(event, list(self.budgets)), total_variation([event]))

    def _fits(self, cost: Curve) -> bool:
        return bool(np.all(cost >= 0) and np.all((self._spent + cost) * (1 + 2.0**-50) <= self._limits))

    def _take(self, number: int, cost: Curve) -> None:
        self._charges[number] = cost
        self._spent = (self._spent + cost) * (1 + 2.0**-52)

    @classmethod
    def replay(
        cls, budgets: Mapping[int, float], journal: bytes, *, variation: float = 0.0, witness: Witness | None = None
    ) -> RdpFilter:
        """Rebuild the filter from its journal; errors as `GdpFilter.replay`."""
        return cls(budgets, variation=variation)._follow(journal, witness)

    def _apply(self, kind: str, number: int, entry: Mapping[str, object]) -> bool:
        values = entry["cost"]
        if not isinstance(values, list) or len(values) != len(self._limits):
            return False
        cost = np.array([float.fromhex(value) for value in values])
        if kind != "charge" or number in self._charges or not self._fits(cost):
            return False
        self._take(number, cost)
        return True


class DominatingEventFilter(PrivacyFilter):
    """At most `rounds` releases, each dominated by one event declared before the run.

    Guarantee: `guarantee(delta)` of everything charged, whatever the server chose.

    Example:
        >>> from fedmeta_privacy.events import PoissonGaussian
        >>> budget = DominatingEventFilter(PoissonGaussian(1.0, 0.01), rounds=2)
        >>> line = budget.charge(round=1, event=PoissonGaussian(1.2, 0.008))
        >>> budget.charge(round=2, event=PoissonGaussian(0.9, 0.001))
        Traceback (most recent call last):
        ...
        fedmeta_privacy.errors.NotDominated: SFM-313: ...
    """

    kind = "dominating-event"

    def __init__(self, declared: Basic, rounds: int) -> None:
        if isinstance(rounds, bool) or not isinstance(rounds, int) or rounds < 1:
            raise PlanError(f"rounds={rounds!r} is no number of rounds", "declare at least one")
        self.declared, self.rounds = declared, rounds
        fields = {name: str(value) for name, value in asdict(declared).items()}
        super().__init__({"declared": {"type": type(declared).__name__} | fields, "rounds": rounds})
        self._charges: dict[int, int] = {}

    def guarantee(self, delta: float) -> Epsilon:
        """Interval around the epsilon of the whole budget."""
        return epsilon([Repeated(self.declared, self.rounds)], delta)

    @property
    def spent(self) -> int:
        """Releases charged so far."""
        return sum(self._charges.values())

    def affords(self, event: Basic) -> bool:
        """Whether such a release would be accepted."""
        asked = releases(event)
        return dominates(self.declared, event) and self.spent + asked <= self.rounds * releases(self.declared)

    def charge(self, *, round: int, event: Basic) -> bytes:  # noqa: A002
        """Charge a round, by an event that is known before its outcome, before anything leaves.

        Raises:
            NotDominated: the event costs more than the declared one, or the declared rounds are used up.
            PlanError: this round was charged before.
        """
        self._begin(round)
        if not self.affords(event):
            raise NotDominated(
                f"round {round} is not covered: {self.spent} of {self.rounds} declared rounds are used, "
                f"and each must be dominated by {type(self.declared).__name__}",
                "end the run here; declare a costlier event or more rounds before the next",
            )
        self._charges[round] = releases(event)
        return self._line("charge", round, {"releases": releases(event)})

    @classmethod
    def replay(
        cls, declared: Basic, rounds: int, journal: bytes, *, witness: Witness | None = None
    ) -> DominatingEventFilter:
        """Rebuild the filter from its journal; errors as `GdpFilter.replay`."""
        return cls(declared, rounds)._follow(journal, witness)

    def _apply(self, kind: str, number: int, entry: Mapping[str, object]) -> bool:
        asked = entry["releases"]
        if kind != "charge" or number in self._charges or isinstance(asked, bool) or not isinstance(asked, int):
            return False
        if asked < 1 or self.spent + asked > self.rounds * releases(self.declared):
            return False
        self._charges[number] = asked
        return True
