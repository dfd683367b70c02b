# SPDX-License-Identifier: Apache-2.0
"""Outer steps of central training: Adam or gradient steps, with warm-up, cosine decay and an average of the last ones.

All of it is post-processing of the mean contribution: under noise it costs no privacy.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch

from ..errors import TrainingRefused

Tensor = torch.Tensor


@dataclass(frozen=True, slots=True)
class Outer:
    """Settings of the outer steps.

    Attributes:
        rounds: how many there are.
        lr: the largest rate, reached after the warm-up.
        rule: "adam" (Kingma and Ba 2015, arXiv 1412.6980v9) or "sgd", plain.
        warmup: share of the rounds in which the rate rises linearly.
        decay: "cosine" to zero (Loshchilov and Hutter 2017, arXiv 1608.03983v5, one period), or "none".
        betas: Adam's.
        tail_average: share of the last iterates whose mean is the result (Polyak and Juditsky 1992); 0: the last one.
    Raises:
        TrainingRefused: a setting out of range.

    Example:
        >>> [round(Outer(rounds=4, lr=1.0, warmup=0.0).rate(k), 3) for k in range(4)]
        [1.0, 0.854, 0.5, 0.146]
    """

    rounds: int
    lr: float
    rule: Literal["adam", "sgd"] = "adam"
    warmup: float = 0.02
    decay: Literal["cosine", "none"] = "cosine"
    betas: tuple[float, float] = (0.9, 0.999)
    tail_average: float = 0.0

    def __post_init__(self) -> None:
        shares = all(0 <= value < 1 for value in (self.warmup, self.tail_average, *self.betas))
        if self.rounds < 1 or not (math.isfinite(self.lr) and self.lr > 0) or not shares:
            raise TrainingRefused(f"{self} is out of range", "outer", "use rounds >= 1, lr > 0 and shares in [0, 1)")
        if self.rule not in ("adam", "sgd") or self.decay not in ("cosine", "none"):
            raise TrainingRefused(
                f"rule {self.rule!r} or decay {self.decay!r}", "outer", "use adam or sgd; cosine or none"
            )

    def rate(self, done: int) -> float:
        """The rate of the step after `done` ones."""
        rising = min(1.0, (done + 1) / (self.warmup * self.rounds + 1))
        falling = 0.5 * (1 + math.cos(math.pi * done / self.rounds)) if self.decay == "cosine" else 1.0
        return self.lr * rising * falling

    def begin(self, theta: Tensor) -> OuterState:
        """The state before the first step.

        Raises:
            TrainingRefused: theta is no vector of floats.
        """
        if not isinstance(theta, Tensor) or theta.dim() != 1 or not theta.is_floating_point():
            raise TrainingRefused("theta is no vector of floats", "outer", "pass a torch tensor of shape (D,)")
        return OuterState(self, theta)


class OuterState:
    """Where the outer steps are: `theta` (D,), the newest iterate; `released`, what is handed out.

    Example:
        >>> state = Outer(rounds=10, lr=0.1, rule="sgd", decay="none", warmup=0.0).begin(torch.tensor([1.0]))
        >>> state.step(torch.tensor([2.0]))
        tensor([0.8000])
    """

    def __init__(self, settings: Outer, theta: Tensor) -> None:
        self.theta = theta.clone()
        self._settings = settings
        self._first = torch.zeros_like(theta)
        self._second = torch.zeros_like(theta)
        self._tail = torch.zeros_like(theta)
        self._done = self._averaged = 0

    def step(self, gradient: Tensor) -> Tensor:
        """Go down along the mean contribution (D,)."""
        settings, lr = self._settings, self._settings.rate(self._done)
        self._done += 1
        if settings.rule == "sgd":
            self.theta = self.theta - lr * gradient
        else:
            b1, b2 = settings.betas
            self._first = b1 * self._first + (1 - b1) * gradient
            self._second = b2 * self._second + (1 - b2) * gradient.square()
            spread = (self._second / (1 - b2**self._done)).sqrt() + 1e-8
            self.theta = self.theta - lr * (self._first / (1 - b1**self._done)) / spread
        if self._done > (1 - settings.tail_average) * settings.rounds + 1e-9:
            self._tail = self._tail + self.theta
            self._averaged += 1
        return self.theta

    @property
    def released(self) -> Tensor:
        """The mean of the tail if there is one yet, else the newest iterate."""
        return self._tail / self._averaged if self._settings.tail_average > 0 and self._averaged else self.theta
