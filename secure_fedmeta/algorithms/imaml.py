# SPDX-License-Identifier: Apache-2.0
"""iMAML (Rajeswaran, Finn, Kakade and Levine 2019, arXiv 1909.04630v1): the meta-gradient of an adaptation's solution.

Inner problem (equation 3 there): phi* = argmin L_S(phi) + (lambda/2) ||phi - theta||^2, here by K steps of rate lr from
theta, which are near phi* only if enough of them are taken. Meta-gradient (lemma 1 there), whatever the steps were:
u = (I + Hess L_S(phi)/lambda)^{-1} grad L_Q(phi), by `cg_steps` rounds of conjugate gradients with exact
Hessian-vector products, from zero. So memory does not grow with K.

A network's Hessian need not be positive: a direction of curvature <= 0, and a residual that is zero, end the rounds of
that task, whose u stays as it is (Steihaug 1983; if it is the very first direction, u is grad L_Q(phi): first order).
The number of rounds is the same for all, so nothing that can be observed depends on the data.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from ..errors import AlgorithmRefused
from ..parameters import Architecture
from .core import Grad, Losses, LossFunction, Tensor
from .inner import GradientSteps, check_count, check_positive


@dataclass(frozen=True, slots=True)
class Imaml:
    """Attributes: `steps` of the inner problem, its `regularization` lambda, and rounds of conjugate gradients.

    Raises:
        AlgorithmRefused: a setting out of range, or lr lambda >= 2, at which the steps fly off whatever the loss is.

    Example:
        >>> from secure_fedmeta.algorithms.core import tape_grad
        >>> class Bowl:  # lambda = 1: phi* = (1 + 3) / 2, grad L_Q = 2, (I + H)^{-1} = 1/2
        ...     def support(self, at): return ((at - 1) ** 2).sum(-1) / 2
        ...     def query(self, at): return (at ** 2).sum(-1) / 2
        >>> implicit = Imaml(GradientSteps(lr=0.5, count=1), regularization=1.0)
        >>> implicit.adapt(torch.tensor([3.0]), Bowl(), tape_grad)
        tensor([2.])
        >>> implicit.contribution(torch.tensor([3.0]), Bowl(), tape_grad)
        tensor([1.])
    """

    steps: GradientSteps
    regularization: float
    cg_steps: int = 5

    def __post_init__(self) -> None:
        check_positive("imaml", regularization=self.regularization)
        check_count("imaml", cg_steps=self.cg_steps, count=self.steps.count)
        if self.steps.rule == "gradient" and self.steps.lr * self.regularization >= 2:
            raise AlgorithmRefused(
                f"lr times regularization is {self.steps.lr * self.regularization:g}", "imaml", "keep it below 2"
            )

    @property
    def name(self) -> str:
        """As a plan spells it."""
        return "imaml"

    def start(self, architecture: Architecture) -> Tensor:
        """The network's own initial parameters."""
        return architecture.start_tensor()

    def adapt(self, theta: Tensor, losses: Losses, grad: Grad) -> Tensor:
        """The steps down the regularised loss."""

        def near(at: Tensor) -> Tensor:
            return losses.support(at) + self.regularization / 2 * (at - theta).square().sum(-1)

        return self.steps(theta, near, grad)

    def contribution(self, theta: Tensor, losses: Losses, grad: Grad) -> Tensor:
        """The implicit meta-gradient."""
        phi = self.adapt(theta, losses, grad)
        return self._solve(phi, grad(losses.query)(phi), losses.support, grad)

    def _solve(self, phi: Tensor, target: Tensor, loss: LossFunction, grad: Grad) -> Tensor:
        """(I + H/lambda)^{-1} target, (..., P)."""
        solution, residual, direction = torch.zeros_like(target), target, target
        size = _square(residual)
        begun = torch.zeros_like(size, dtype=torch.bool)
        for _ in range(self.cg_steps):
            turned = direction + _product(phi, direction, loss, grad) / self.regularization
            curvature = (direction * turned).sum(-1, keepdim=True)
            live = (curvature > 0) & (size > 0)
            begun = begun | live
            length = torch.where(live, size / torch.where(live, curvature, 1.0), 0.0)
            solution = solution + length * direction
            residual = residual - length * turned
            left = _square(residual)
            direction = torch.where(live, residual + left / torch.where(live, size, 1.0) * direction, 0.0)
            size = torch.where(live, left, 0.0)
        return torch.where(begun, solution, target)


def _square(vector: Tensor) -> Tensor:
    return vector.square().sum(-1, keepdim=True)


def _product(at: Tensor, vector: Tensor, loss: LossFunction, grad: Grad) -> Tensor:
    """The Hessian of each task's loss times its vector: the gradient of the gradient's product with it."""
    slope = grad(loss)
    return grad(lambda point: (slope(point) * vector).sum(-1))(at)
