# SPDX-License-Identifier: Apache-2.0
"""The inner loop that several algorithms share: plain gradient steps, each of them limited in length if so asked."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from .core import Grad, LossFunction, Tensor


@dataclass(frozen=True, slots=True)
class GradientSteps:
    """`count` steps of rate `lr` down a loss.

    `max_norm` clips each step's gradient to that length, task by task, so that a long adaptation does not diverge;
    differentiable, and the gradient goes through the clip.

    Example:
        >>> import torch
        >>> from secure_fedmeta.algorithms.core import tape_grad
        >>> bowl = lambda x: (x**2).sum(-1) / 2
        >>> GradientSteps(lr=0.5, count=2)(torch.tensor([4.0]), bowl, tape_grad)
        tensor([1.])
        >>> GradientSteps(lr=0.5, count=2, max_norm=1.0)(torch.tensor([4.0]), bowl, tape_grad)
        tensor([3.])
    """

    lr: float
    count: int
    max_norm: float | None = None

    def __call__(self, theta: Tensor, loss: LossFunction, grad: Grad) -> Tensor:
        """From theta (..., P) to the parameters after the steps."""
        slope = grad(loss)
        for _ in range(self.count):
            theta = torch.sub(theta, self.limited(slope(theta)), alpha=self.lr)
        return theta

    def limited(self, gradient: Tensor) -> Tensor:
        """The gradient, no longer than `max_norm`."""
        if self.max_norm is None:
            return gradient
        # Squares and a floor, not a norm: the root has no derivative at zero.
        squared = gradient.square().sum(-1, keepdim=True).clamp_min(self.max_norm**2)
        return gradient * (self.max_norm / squared.sqrt())
