# SPDX-License-Identifier: Apache-2.0
"""ANIL (Raghu et al. 2020, arXiv 1909.09157v2, section 4): MAML whose inner steps move the head alone.

theta = [body; head]; head_{k+1} = head_k - lr grad_head L_S(body, head_k), the body stays. The contribution is the
gradient of L_Q(body, head_K(body, head)) by all of theta, so the body is learned in common. Which places of the vector
are the head is a public constant.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch

from ..errors import AlgorithmRefused
from ..parameters import Architecture
from .core import Grad, Losses, Tensor
from .inner import GradientSteps

Spans = tuple[tuple[int, int], ...]


def head_of(architecture: Architecture, prefixes: Sequence[str] = ()) -> Spans:
    """Where the head's parameters lie in the flat vector, as (start, stop).

    `prefixes` are names of parameters or of modules that hold them ("4", "head.out"); without any, the last module that
    owns parameters is the head.

    Raises:
        AlgorithmRefused: a prefix that no parameter's name begins with.

    Example:
        >>> from secure_fedmeta.parameters import bind
        >>> net = bind(torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.Tanh(), torch.nn.Linear(3, 1)))
        >>> head_of(net), head_of(net, ["0.bias", "2"])
        (((9, 13),), ((6, 13),))
    """
    chosen = tuple(prefixes) or (architecture.names[-1].rpartition(".")[0],)
    for prefix in prefixes:
        if not prefix or not any(_under(name, prefix) for name in architecture.names):
            raise AlgorithmRefused(
                f"no parameter is named {prefix[:60]!r} or lies under it", "head", f"use {_named(architecture.names)}"
            )
    spans: list[tuple[int, int]] = []
    place = 0
    for name, length in zip(architecture.names, architecture.lengths, strict=True):
        if any(_under(name, prefix) for prefix in chosen):
            joined = spans and spans[-1][1] == place
            start = spans.pop()[0] if joined else place
            spans.append((start, place + length))
        place += length
    return tuple(spans)


def _under(name: str, prefix: str) -> bool:
    return not prefix or name == prefix or name.startswith(prefix + ".")


def _named(names: Sequence[str]) -> str:
    return ", ".join(names[:8]) + (", ..." if len(names) > 8 else "")


@dataclass(frozen=True, slots=True)
class Anil:
    """MAML with inner steps on the `head`; `max_norm` of the steps limits the head's gradient.

    Attributes:
        steps: the inner steps.
        head: spans of the flat vector, in order, from `head_of`.
        length: P.
        first_order: leave out that head_K depends on theta.
    Raises:
        AlgorithmRefused: spans that are empty, out of order or beyond the vector.

    Example:
        >>> from secure_fedmeta.algorithms.core import tape_grad
        >>> class Bowl:  # theta = [b; h], L_S = (b h - 1)^2 / 2, L_Q = (b h)^2 / 2, at b = 1, h = 3
        ...     def support(self, at): return (at.prod(-1) - 1) ** 2 / 2
        ...     def query(self, at): return at.prod(-1) ** 2 / 2
        >>> theta, steps = torch.tensor([1.0, 3.0]), GradientSteps(lr=0.5, count=1)
        >>> anil = Anil(steps, head=((1, 2),), length=2)
        >>> anil.adapt(theta, Bowl(), tape_grad), anil.contribution(theta, Bowl(), tape_grad)
        (tensor([1., 2.]), tensor([-1.,  1.]))
    """

    steps: GradientSteps
    head: Spans
    length: int
    first_order: bool = False

    def __post_init__(self) -> None:
        ends = [0, *(end for span in self.head for end in span), self.length]
        ordered = all(a <= b for a, b in pairwise(ends)) and all(a < b for a, b in self.head)
        if not self.head or not ordered:
            raise AlgorithmRefused(
                f"the head {str(self.head)[:60]} does not lie in a vector of {self.length}", "anil", "use `head_of`"
            )

    @property
    def name(self) -> str:
        """As a plan spells it."""
        return "anil"

    def start(self, architecture: Architecture) -> Tensor:
        """The network's own initial parameters."""
        return architecture.start_tensor()

    def adapt(self, theta: Tensor, losses: Losses, grad: Grad) -> Tensor:
        """The inner steps on the head; the gradient is taken by the head alone, so the body costs no backward pass."""
        head = self.steps(self._head(theta), lambda head: losses.support(self._with(theta, head)), grad)
        return self._with(theta, head)

    def contribution(self, theta: Tensor, losses: Losses, grad: Grad) -> Tensor:
        """The meta-gradient, of body and head."""
        if self.first_order:
            return grad(losses.query)(self.adapt(theta, losses, grad))
        return grad(lambda at: losses.query(self.adapt(at, losses, grad)))(theta)

    def _head(self, theta: Tensor) -> Tensor:
        return torch.cat([theta[..., start:stop] for start, stop in self.head], dim=-1)

    def _with(self, theta: Tensor, head: Tensor) -> Tensor:
        """Theta with another head."""
        parts, place, taken = [], 0, 0
        for start, stop in self.head:
            parts += [theta[..., place:start], head[..., taken : taken + stop - start]]
            place, taken = stop, taken + stop - start
        return torch.cat([*parts, theta[..., place:]], dim=-1)
