# SPDX-License-Identifier: Apache-2.0
"""The inner loop that several algorithms share: gradient steps, each of them limited in length if so asked.

Momentum is the heavy ball (Polyak 1964), v <- momentum v + g; Adam is Kingma and Ba 2015 (arXiv 1412.6980v9) with its
own constants, except that the root is sqrt(s + 1e-16): it has a derivative at zero, which second order asks for.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch

from ..errors import AlgorithmRefused
from .core import Grad, LossFunction, Tensor

InnerRule = Literal["gradient", "momentum", "adam"]
_RULES = ("gradient", "momentum", "adam")
_MOMENTUM, _FIRST, _SECOND, _ROOT = 0.9, 0.9, 0.999, 1e-16
MOST_STEPS = 100_000


def check_positive(where: str, **values: float) -> None:
    """Each value must be a positive finite number.

    Raises:
        AlgorithmRefused: with the first that is not.

    Example:
        >>> check_positive("maml", lr=0.1)
        >>> check_positive("maml", lr=0.0)
        Traceback (most recent call last):
        ...
        secure_fedmeta.errors.AlgorithmRefused: SFM-117: lr is 0.0 (maml). Remedy: give a positive number.
    """
    for name, value in values.items():
        if isinstance(value, bool) or not (math.isfinite(value) and value > 0):
            raise AlgorithmRefused(f"{name} is {value!r}", where, "give a positive number")


def check_count(where: str, *, least: int = 1, **values: int) -> None:
    """Each value must be a whole number from `least` to 100 000.

    Raises:
        AlgorithmRefused: with the first that is not.
    """
    for name, value in values.items():
        if type(value) is not int or not least <= value <= MOST_STEPS:
            raise AlgorithmRefused(f"{name} is {value!r}", where, f"give a whole number from {least} to {MOST_STEPS}")


def limited(gradient: Tensor, max_norm: float | None) -> Tensor:
    """The gradient, task by task no longer than `max_norm`; differentiable everywhere.

    Example:
        >>> limited(torch.tensor([3.0, 4.0]), 1.0)
        tensor([0.6000, 0.8000])
    """
    if max_norm is None:
        return gradient
    # Squares and a floor, not a norm: the root has no derivative at zero.
    squared = gradient.square().sum(-1, keepdim=True).clamp_min(max_norm**2)
    return gradient * (max_norm / squared.sqrt())


@dataclass(frozen=True, slots=True)
class GradientSteps:
    """`count` steps of rate `lr` down a loss.

    `max_norm` clips each step's gradient to that length, task by task, so that a long adaptation does not diverge;
    differentiable, and the gradient goes through the clip. `rule` is "gradient" (plain), "momentum" or "adam".

    Raises:
        AlgorithmRefused: a rate or norm that is not positive, a count that is negative, an unknown rule.

    Example:
        >>> import torch
        >>> from secure_fedmeta.algorithms.core import tape_grad
        >>> bowl = lambda x: (x**2).sum(-1) / 2
        >>> GradientSteps(lr=0.5, count=2)(torch.tensor([4.0]), bowl, tape_grad)
        tensor([1.])
        >>> GradientSteps(lr=0.5, count=2, max_norm=1.0)(torch.tensor([4.0]), bowl, tape_grad)
        tensor([3.])
        >>> GradientSteps(lr=0.5, count=2, rule="momentum")(torch.tensor([4.0]), bowl, tape_grad)
        tensor([-0.8000])
    """

    lr: float
    count: int
    max_norm: float | None = None
    rule: InnerRule = "gradient"

    def __post_init__(self) -> None:
        check_positive("inner steps", lr=self.lr)
        check_count("inner steps", least=0, count=self.count)
        if self.max_norm is not None:
            check_positive("inner steps", max_norm=self.max_norm)
        if self.rule not in _RULES:
            raise AlgorithmRefused(f"rule is {self.rule!r}", "inner steps", f"use one of {', '.join(_RULES)}")

    def __call__(self, theta: Tensor, loss: LossFunction, grad: Grad) -> Tensor:
        """From theta (..., P) to the parameters after the steps."""
        slope = grad(loss)
        first = second = torch.zeros(()) if self.rule == "gradient" else torch.zeros_like(theta)
        for step in range(1, self.count + 1):
            gradient = limited(slope(theta), self.max_norm)
            if self.rule == "momentum":
                gradient = first = _MOMENTUM * first + gradient
            elif self.rule == "adam":
                first = _FIRST * first + (1 - _FIRST) * gradient
                second = _SECOND * second + (1 - _SECOND) * gradient.square()
                spread = (second / (1 - _SECOND**step) + _ROOT).sqrt()
                gradient = first / (1 - _FIRST**step) / spread
            theta = torch.sub(theta, gradient, alpha=self.lr)
        return theta
