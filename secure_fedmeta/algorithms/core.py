# SPDX-License-Identifier: Apache-2.0
"""What a meta-learning algorithm is: a pure function of parameters and a task's losses, written once for every engine.

Shapes: parameters are (..., P), losses (...,): no leading dimension for one task, one for a batch of tasks whose
parameters stand one below the other. So an algorithm uses only operations that broadcast over leading dimensions,
norms along the last one, and takes gradients through `Grad` alone.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import torch

from ..parameters import Architecture

Tensor = torch.Tensor
LossFunction = Callable[[Tensor], Tensor]
# From a loss function to its gradient function. Losses of a batch are independent of each other, so the gradient of
# their sum is every task's own.
Grad = Callable[[LossFunction], Callable[[Tensor], Tensor]]


class Losses(Protocol):
    """Mean losses of a task's records at network parameters (..., P); of no record, 0."""

    def support(self, at: Tensor) -> Tensor:
        """On the records that are adapted on."""

    def query(self, at: Tensor) -> Tensor:
        """On the records that the adapted model is judged on."""

    def every(self, at: Tensor) -> Tensor:
        """On all of them."""


class Algorithm(Protocol):
    """A frozen dataclass of public settings with these pure functions.

    theta is the vector that is learned in common, (..., D): the network's parameters (D = P), and whatever an
    algorithm learns beside them.
    """

    @property
    def name(self) -> str:
        """As a plan spells it."""

    def start(self, architecture: Architecture) -> Tensor:
        """The first theta, (D,), float64."""

    def adapt(self, theta: Tensor, losses: Losses, grad: Grad) -> Tensor:
        """Network parameters after adaptation to the support records, (..., P)."""

    def contribution(self, theta: Tensor, losses: Losses, grad: Grad) -> Tensor:
        """What a task adds to the sum, (..., D): the server goes down along the mean."""


def tape_grad(loss: LossFunction) -> Callable[[Tensor], Tensor]:
    """Gradients by automatic differentiation on the tape, of any order; works where `torch.func.grad` does not.

    A gradient taken inside another one is itself differentiable; the outermost one is not, and keeps no graph.

    Example:
        >>> cube = lambda x: (x**3).sum(-1)
        >>> tape_grad(cube)(torch.tensor([2.0])), tape_grad(lambda x: tape_grad(cube)(x).sum(-1))(torch.tensor([2.0]))
        (tensor([12.]), tensor([12.]))
    """

    def gradient(at: Tensor) -> Tensor:
        nested = at.requires_grad
        point = at if nested else at.detach().requires_grad_()
        with torch.enable_grad():
            total = loss(point).sum()
        if not total.requires_grad:  # a loss that does not depend on the parameters
            return torch.zeros_like(point)
        return torch.autograd.grad(total, point, create_graph=nested, materialize_grads=True)[0]

    return gradient
