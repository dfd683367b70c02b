# SPDX-License-Identifier: Apache-2.0
"""The server's outer step. Everything here is post-processing of noisy sums and costs no privacy."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from fedmeta_privacy.clipping import AdaptiveClip, Clipping

from ..plan import Plan

Float = NDArray[np.float64]


def in_units(decoded: Float, rule: Clipping, *, slots: int) -> tuple[Float, Clipping]:
    """The gradient sum (P,) in its own units, and the rule of the next round: an adaptive one moves by the noisy count.

    `slots` are the survivors' registered ones, a public number; the fraction is never over a true count.

    Example:
        >>> rule = AdaptiveClip(clip_norm=2.0, count_weight=0.2)
        >>> gradients, moved = in_units(np.array([3.0, 10.0]), rule, slots=100)  # all within: the norm goes down
        >>> gradients.tolist(), moved.clip_norm < 2.0
        ([6.0], True)
    """
    if not isinstance(rule, AdaptiveClip):
        return decoded, rule
    gradients, count = rule.split(decoded)
    return gradients, rule.after(count, slots=slots)


class OuterOptimizer:
    """SGD with momentum, or Adam (Kingma and Ba 2015, arXiv 1412.6980v9), on the mean meta-gradient.

    The mean is over a public constant, planned survivors times a site's slots, never over what was counted. With
    `tail_average` f, the released model is the mean of the last f of all planned iterates (Polyak and Juditsky 1992).

    Example:
        >>> outer = OuterOptimizer(Plan(outer_lr=1.0, query_slots=10), dimension=2, survivors=1)
        >>> outer.step(np.array([10.0, 0.0])).tolist()
        [-1.0, 0.0]
    """

    def __init__(self, plan: Plan, *, dimension: int, survivors: int, start: Float | None = None) -> None:
        self.theta: Float = np.zeros(dimension) if start is None else start.copy()
        self._plan = plan
        self._divisor = float(survivors * plan.unit_slots)
        self._first: Float = np.zeros(dimension)
        self._second: Float = np.zeros(dimension)
        self._steps = 0
        self._tail: Float = np.zeros(dimension)
        self._tail_count = 0

    def step(self, total: Float) -> Float:
        """Take one step from the decoded sum and return the new iterate."""
        gradient = total / self._divisor
        plan = self._plan
        self._steps += 1
        if plan.outer == "adam":
            self._first = 0.9 * self._first + 0.1 * gradient
            self._second = 0.99 * self._second + 0.01 * gradient**2
            mean = self._first / (1 - 0.9**self._steps)
            spread = np.sqrt(self._second / (1 - 0.99**self._steps))
            self.theta = self.theta - plan.outer_lr * mean / (spread + 1e-8)
        else:
            self._first = plan.outer_momentum * self._first + gradient
            self.theta = self.theta - plan.outer_lr * self._first
        if self._steps > (1 - plan.tail_average) * plan.rounds + 1e-9:  # 0.9 of 10 is 9, not 10
            self._tail = self._tail + self.theta
            self._tail_count += 1
        return self.theta

    def state(self) -> tuple[dict[str, Float], tuple[int, int]]:
        """All that the next step depends on: four arrays (d,), and the counts of steps and of iterates in the tail."""
        arrays = {"theta": self.theta, "first": self._first, "second": self._second, "tail": self._tail}
        return {name: array.copy() for name, array in arrays.items()}, (self._steps, self._tail_count)

    def restore(self, arrays: Mapping[str, Float], counts: tuple[int, int]) -> None:
        """Go on from what `state` gave."""
        self.theta, self._first, self._second, self._tail = (
            arrays[name].copy() for name in ("theta", "first", "second", "tail")
        )
        self._steps, self._tail_count = counts

    @property
    def released(self) -> Float:
        """The model to hand out: the tail average if there is one yet, else the newest iterate."""
        if self._plan.tail_average > 0 and self._tail_count:
            mean: Float = self._tail / self._tail_count
            return mean
        return self.theta
