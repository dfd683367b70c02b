# SPDX-License-Identifier: Apache-2.0
"""MAML (Finn, Abbeel and Levine 2017, arXiv 1703.03400v3): learn parameters that a few gradient steps adapt well.

theta_{k+1} = theta_k - lr grad L_S(theta_k). The contribution is the gradient of L_Q(theta_K(theta)) by theta; first
order (FOMAML, section 5.2 there) leaves out that theta_K depends on theta: the gradient of L_Q at theta_K.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..parameters import Architecture
from .core import Grad, Losses, Tensor
from .inner import GradientSteps


@dataclass(frozen=True, slots=True)
class Maml:
    """Second order through every step, or first order.

    Example:
        >>> import torch
        >>> from secure_fedmeta.algorithms.core import tape_grad
        >>> class Bowl:  # L_S = (x - 1)^2 / 2, L_Q = x^2 / 2: theta_1 = 0.5 (theta + 1) at rate 1/2
        ...     def support(self, at): return ((at - 1) ** 2).sum(-1) / 2
        ...     def query(self, at): return (at ** 2).sum(-1) / 2
        >>> theta, steps = torch.tensor([3.0]), GradientSteps(lr=0.5, count=1)
        >>> Maml(steps).contribution(theta, Bowl(), tape_grad), Maml(steps, True).contribution(theta, Bowl(), tape_grad)
        (tensor([1.]), tensor([2.]))
    """

    steps: GradientSteps
    first_order: bool = False

    @property
    def name(self) -> str:
        """Maml or fomaml."""
        return "fomaml" if self.first_order else "maml"

    def start(self, architecture: Architecture) -> Tensor:
        """The network's own initial parameters."""
        return architecture.start_tensor()

    def adapt(self, theta: Tensor, losses: Losses, grad: Grad) -> Tensor:
        """The inner steps."""
        return self.steps(theta, losses.support, grad)

    def contribution(self, theta: Tensor, losses: Losses, grad: Grad) -> Tensor:
        """The meta-gradient."""
        if self.first_order:
            return grad(losses.query)(self.adapt(theta, losses, grad))
        return grad(lambda at: losses.query(self.adapt(at, losses, grad)))(theta)
