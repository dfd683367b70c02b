# SPDX-License-Identifier: Apache-2.0
"""Meta-SGD (Li, Zhou, Chen and Li 2017, arXiv 1707.09835v2): the inner rates are learned along with the parameters.

theta = [w; alpha], w_{k+1} = w_k - alpha o grad L_S(w_k), o coordinate by coordinate. The contribution is the gradient
of L_Q(w_K(theta)) by all of theta. The paper has one step and a rate for each parameter, so the vector is 2 P; with one
rate for each named tensor it is P and their number, which under noise costs next to nothing. All rates start at one
number (the paper draws them from [0.005, 0.1]); nothing keeps them positive, as there.

The rates are data: no constant bounds them, so no bound of one record's pull is known. The clip of a task's or a
site's whole vector, rates included, covers every value of them.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from ..errors import AlgorithmRefused
from ..parameters import Architecture
from .core import Grad, Losses, Tensor
from .inner import check_count, check_positive, limited


@dataclass(frozen=True, slots=True)
class MetaSgd:
    """MAML through `count` steps with learned rates; second order.

    Attributes:
        lr: every rate at the start.
        count: steps.
        lengths: of the network's named parameters, in the order of the flat vector.
        per_tensor: one rate for each of them, instead of one for each parameter.
        max_norm: longest gradient of a step, before the rates.
    Raises:
        AlgorithmRefused: a setting out of range.

    Example:
        >>> from secure_fedmeta.algorithms.core import tape_grad
        >>> class Bowl:  # L_S = (w - 1)^2 / 2, L_Q = w^2 / 2, at w = 3 and alpha = 1/2: w_1 = 2
        ...     def support(self, at): return ((at - 1) ** 2).sum(-1) / 2
        ...     def query(self, at): return (at ** 2).sum(-1) / 2
        >>> MetaSgd(lr=0.5, count=1, lengths=(1,)).contribution(torch.tensor([3.0, 0.5]), Bowl(), tape_grad)
        tensor([ 1., -4.])
    """

    lr: float
    count: int
    lengths: tuple[int, ...]
    per_tensor: bool = False
    max_norm: float | None = None

    def __post_init__(self) -> None:
        check_positive("meta-sgd", lr=self.lr)
        check_count("meta-sgd", count=self.count)
        if self.max_norm is not None:
            check_positive("meta-sgd", max_norm=self.max_norm)
        if not self.lengths or any(length < 0 for length in self.lengths):
            raise AlgorithmRefused(f"lengths of tensors {self.lengths[:8]}", "meta-sgd", "take an architecture's own")

    @property
    def name(self) -> str:
        """As a plan spells it."""
        return "meta-sgd"

    @property
    def rates(self) -> int:
        """How many rates are learned."""
        return len(self.lengths) if self.per_tensor else sum(self.lengths)

    def start(self, architecture: Architecture) -> Tensor:
        """The network's own initial parameters, and the rates."""
        own = architecture.start_tensor()
        return torch.cat([own, own.new_full((self.rates,), self.lr)])

    def adapt(self, theta: Tensor, losses: Losses, grad: Grad) -> Tensor:
        """The network's parameters after the steps."""
        size = sum(self.lengths)
        at, rates = theta[..., :size], theta[..., size:]
        if self.per_tensor:
            each = zip(torch.split(rates, 1, dim=-1), self.lengths, strict=True)
            rates = torch.cat([rate.expand(*rate.shape[:-1], length) for rate, length in each], dim=-1)
        slope = grad(losses.support)
        for _ in range(self.count):
            at = at - rates * limited(slope(at), self.max_norm)
        return at

    def contribution(self, theta: Tensor, losses: Losses, grad: Grad) -> Tensor:
        """The meta-gradient, of parameters and rates."""
        return grad(lambda at: losses.query(self.adapt(at, losses, grad)))(theta)
