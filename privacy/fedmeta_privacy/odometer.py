# SPDX-License-Identifier: Apache-2.0
"""What a run has cost so far, recorded at once and evaluated only when somebody asks.

Recording a round is two sums or one dictionary entry. Where nothing is sampled the squared shifts add up, so a report
after every round costs one evaluation of the exact curve. Where something is, all kinds of rounds are composed anew
when the number is read: read it at checkpoints, or let a simulation read it once at its end.

This is an odometer. It never decides: asked to, it raises `NotAFilter`.
"""

from __future__ import annotations

from typing import Never

from . import accountant
from .accountant import Epsilon, SecondOpinion, unsampled_epsilon
from .claims import Adjacency
from .errors import NotAFilter, PlanError
from .events import Basic, DiscreteGaussianSum, Event, Gaussian, Repeated, flatten
from .gdp import spend_variation

_OUTWARD = 1 + 2.0**-50  # each sum is rounded up


class RunningEpsilon:
    """Epsilon of everything recorded, at one delta.

    Example:
        >>> spent = RunningEpsilon(delta=1e-5)
        >>> for _ in range(4):
        ...     spent.record(Gaussian(2.0))
        >>> round(spent.value.upper, 6), spent.rounds
        (4.377178, 4)
        >>> spent.affords(Gaussian(2.0))
        Traceback (most recent call last):
        ...
        fedmeta_privacy.errors.NotAFilter: SFM-311: ...
    """

    def __init__(self, delta: float, *, second_opinion: SecondOpinion | None = None) -> None:
        """Start at zero.

        Raises:
            PlanError: delta outside (0, 1).
        """
        if not 0 < delta < 1:
            raise PlanError(f"delta={delta} is not a probability", "choose 0 < delta < 1")
        self.delta = delta
        self.rounds = 0
        self._second_opinion = second_opinion
        self._kinds: dict[Basic, int] = {}  # sampled rounds, and what else needs more than two sums
        self._shift = self._variation = 0.0
        self._discrete = False
        self._value: Epsilon | None = None

    def record(self, event: Event) -> None:
        """Book one executed round."""
        for basic, times in flatten((event,)):
            if isinstance(basic, Gaussian | DiscreteGaussianSum) and basic.adjacency is Adjacency.SLOT:
                self._shift = (self._shift + times * basic.mu_squared) * _OUTWARD
                if isinstance(basic, DiscreteGaussianSum):
                    self._variation = (self._variation + times * basic.total_variation) * _OUTWARD
                    self._discrete = True
            else:
                self._kinds[basic] = self._kinds.get(basic, 0) + times
        self.rounds += 1
        self._value = None

    @property
    def value(self) -> Epsilon:
        """Interval around the epsilon so far; computed when read, and again only after another round."""
        if self._value is None:
            self._value = self._evaluate()
        return self._value

    def _evaluate(self) -> Epsilon:
        if not self._kinds:
            return unsampled_epsilon(self._shift, self.delta, variation=self._variation, discrete=self._discrete)
        events: list[Event] = [Repeated(event, times) for event, times in self._kinds.items()]
        if self._shift > 0:
            # One Gaussian stands for all unsampled rounds; their total variation is spent from delta.
            events.append(Gaussian(self._shift**-0.5 * (1 - 2.0**-50)))
        if not self._discrete:
            return accountant.epsilon(events, self.delta, second_opinion=self._second_opinion)
        upper = spend_variation(lambda left: accountant.epsilon(events, left).upper, self.delta, self._variation)
        return Epsilon(0.0, upper, self.delta, "composition beside discrete sums")

    def affords(self, *_: object, **__: object) -> Never:
        """Not for an odometer.

        Raises:
            NotAFilter: always.
        """
        raise NotAFilter(type(self).__name__)

    charge = settle = affords
