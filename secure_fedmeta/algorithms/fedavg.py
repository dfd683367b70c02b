# SPDX-License-Identifier: Apache-2.0
"""The local update of FedAvg (McMahan et al. 2017, arXiv 1602.05629v4, Algorithm 1): E steps on all rows, no meta part.

The contribution is theta - theta_E: a server that goes down the mean of it at rate 1 puts the mean of the local models
in theta's place. Sites count alike, whatever their number of rows, which is no public number. Each step takes all of a
site's rows (the paper's batch size B = infinity).
"""

from __future__ import annotations

from dataclasses import dataclass

from ..parameters import Architecture
from .core import Grad, Losses, Tensor
from .inner import GradientSteps, check_count


@dataclass(frozen=True, slots=True)
class FedAvg:
    """Plain local training; `fine_tuning` says how the common model is adapted afterwards, None not at all.

    Raises:
        AlgorithmRefused: no step at all.

    Example:
        >>> import torch
        >>> from secure_fedmeta.algorithms.core import tape_grad
        >>> class Bowl:
        ...     def every(self, at): return ((at - 1) ** 2).sum(-1) / 2
        >>> FedAvg(GradientSteps(lr=0.5, count=2)).contribution(torch.tensor([3.0]), Bowl(), tape_grad)
        tensor([1.5000])
    """

    steps: GradientSteps
    fine_tuning: GradientSteps | None = None

    def __post_init__(self) -> None:
        check_count("fedavg", count=self.steps.count)

    @property
    def name(self) -> str:
        """As a plan spells it."""
        return "fedavg"

    def start(self, architecture: Architecture) -> Tensor:
        """The network's own initial parameters."""
        return architecture.start_tensor()

    def adapt(self, theta: Tensor, losses: Losses, grad: Grad) -> Tensor:
        """The common model as it is, or fine-tuned on the support rows."""
        return theta if self.fine_tuning is None else self.fine_tuning(theta, losses.support, grad)

    def contribution(self, theta: Tensor, losses: Losses, grad: Grad) -> Tensor:
        """How far the local steps on all rows went back."""
        return theta - self.steps(theta, losses.every, grad)
