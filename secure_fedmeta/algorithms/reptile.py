# SPDX-License-Identifier: Apache-2.0
"""Reptile (Nichol, Achiam and Schulman 2018, arXiv 1803.02999v3): go towards where a task's own training leads.

theta_{k+1} = theta_k - lr grad L(theta_k) on all of the task's rows, with no split. The contribution is
(theta - theta_K)/(lr K), the "gradient" of section 2 there per unit of rate: a server that goes down the mean of it by
lr K eps is the paper's batched version (section 2, Algorithm 2: theta + eps/n sum (theta_K - theta)). Each step takes
all rows; the paper's steps take a mini-batch each.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..parameters import Architecture
from .core import Grad, Losses, Tensor
from .inner import GradientSteps, check_count


@dataclass(frozen=True, slots=True)
class Reptile:
    """First order, no split of the rows, and no Hessian anywhere.

    Raises:
        AlgorithmRefused: no step at all.

    Example:
        >>> import torch
        >>> from secure_fedmeta.algorithms.core import tape_grad
        >>> class Bowl:  # all rows: (x - 1)^2 / 2; from 3, two steps of 1/2: 2, 1.5; (3 - 1.5) / (0.5 * 2)
        ...     def every(self, at): return ((at - 1) ** 2).sum(-1) / 2
        >>> Reptile(GradientSteps(lr=0.5, count=2)).contribution(torch.tensor([3.0]), Bowl(), tape_grad)
        tensor([1.5000])
    """

    steps: GradientSteps

    def __post_init__(self) -> None:
        check_count("reptile", count=self.steps.count)

    @property
    def name(self) -> str:
        """As a plan spells it."""
        return "reptile"

    def start(self, architecture: Architecture) -> Tensor:
        """The network's own initial parameters."""
        return architecture.start_tensor()

    def adapt(self, theta: Tensor, losses: Losses, grad: Grad) -> Tensor:
        """The inner steps, on the support rows."""
        return self.steps(theta, losses.support, grad)

    def contribution(self, theta: Tensor, losses: Losses, grad: Grad) -> Tensor:
        """How far the steps on all rows went back, per unit of rate."""
        return (theta - self.steps(theta, losses.every, grad)) / (self.steps.lr * self.steps.count)
