# SPDX-License-Identifier: Apache-2.0
"""Per-FedAvg, Hessian-free (Fallah, Mokhtari and Ozdaglar 2020, arXiv 2002.07948v4, Algorithm 1 and section 5).

A local step goes down the estimate of the gradient of f(w - alpha grad f(w)) from three batches (equation 8 there):

    w' = w - alpha grad L_D(w),  v = grad L_D'(w'),  u = v - alpha Hess L_D''(w) v,

the Hessian's product by a central difference. D are the support rows, D' the query rows, D'' all of them: the paper
draws three independent batches, a task has two parts, so the third is their union and the estimate is as biased as
that. After tau local steps of rate beta the contribution is (w_0 - w_tau)/(beta tau); with tau = 1 that is u itself.

The difference: Hess v = ||v|| [g(w + d v/||v||) - g(w - d v/||v||)] / (2 d) + O(d^2), and rounding adds about
eps ||g||/d. d is a length in the space of parameters, not the paper's factor of v, so a long v does not leave the
neighbourhood; unless given it is eps^(1/3) of the type in use, which balances the two: 6e-6 and relative errors of
about 1e-10 in float64, in which every run computes; 5e-3 and 1e-4 in float32.

With `max_norm` the step of the adaptation is clipped; u then is v - alpha Hess J v with J = J^T the derivative of the
clip at grad L_D(w).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from ..parameters import Architecture
from .core import Grad, Losses, Tensor
from .inner import check_count, check_positive, limited


@dataclass(frozen=True, slots=True)
class PerFedAvg:
    """Gradients alone, four a local step, with no graph to keep.

    Attributes:
        lr: alpha, of the one step that adapts.
        local_steps, local_lr: tau and beta.
        difference: d; None for the type's own.
        max_norm: longest gradient of the step that adapts.
    Raises:
        AlgorithmRefused: a setting out of range.

    Example:
        >>> from secure_fedmeta.algorithms.core import tape_grad
        >>> class Bowl:  # L_D = (x - 1)^2 / 2, L_D' = x^2 / 2, L_D'' = x^2: w' = 2, v = 2, u = v - v
        ...     def support(self, at): return ((at - 1) ** 2).sum(-1) / 2
        ...     def query(self, at): return (at ** 2).sum(-1) / 2
        ...     def every(self, at): return (at ** 2).sum(-1)
        >>> u = PerFedAvg(lr=0.5).contribution(torch.tensor([3.0], dtype=torch.float64), Bowl(), tape_grad)
        >>> bool(u.abs() < 1e-8)
        True
    """

    lr: float
    local_steps: int = 1
    local_lr: float = 0.1
    difference: float | None = None
    max_norm: float | None = None

    def __post_init__(self) -> None:
        check_positive("per-fedavg", lr=self.lr, local_lr=self.local_lr)
        check_count("per-fedavg", local_steps=self.local_steps)
        if self.difference is not None:
            check_positive("per-fedavg", difference=self.difference)
        if self.max_norm is not None:
            check_positive("per-fedavg", max_norm=self.max_norm)

    @property
    def name(self) -> str:
        """As a plan spells it."""
        return "per-fedavg"

    def start(self, architecture: Architecture) -> Tensor:
        """The network's own initial parameters."""
        return architecture.start_tensor()

    def adapt(self, theta: Tensor, losses: Losses, grad: Grad) -> Tensor:
        """One step on the support rows."""
        return theta - self.lr * limited(grad(losses.support)(theta), self.max_norm)

    def contribution(self, theta: Tensor, losses: Losses, grad: Grad) -> Tensor:
        """How far the local steps went back, per unit of their rate."""
        if self.local_steps == 1:
            return self._meta_gradient(theta, losses, grad)
        at = theta
        for _ in range(self.local_steps):
            at = at - self.local_lr * self._meta_gradient(at, losses, grad)
        return (theta - at) / (self.local_lr * self.local_steps)

    def _meta_gradient(self, at: Tensor, losses: Losses, grad: Grad) -> Tensor:
        step = grad(losses.support)(at)
        v = grad(losses.query)(at - self.lr * limited(step, self.max_norm))
        return v - self.lr * self._product(grad, losses, at, self._through_clip(step, v))

    def _through_clip(self, step: Tensor, v: Tensor) -> Tensor:
        """The clip's derivative at `step` times v: v within the norm; else the part across `step`, shortened."""
        if self.max_norm is None:
            return v
        squared = step.square().sum(-1, keepdim=True)
        over = squared > self.max_norm**2
        safe = torch.where(over, squared, 1.0)
        across = v - step * (step * v).sum(-1, keepdim=True) / safe
        return torch.where(over, across * (self.max_norm / safe.sqrt()), v)

    def _product(self, grad: Grad, losses: Losses, at: Tensor, v: Tensor) -> Tensor:
        """The Hessian of the loss on all rows times v, (..., P)."""
        length = v.square().sum(-1, keepdim=True).sqrt()
        d = torch.finfo(at.dtype).eps ** (1 / 3) if self.difference is None else self.difference
        ahead = d * v / torch.where(length > 0, length, 1.0)
        slope = grad(losses.every)
        return (slope(at + ahead) - slope(at - ahead)) * (length / (2 * d))
