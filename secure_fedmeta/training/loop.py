# SPDX-License-Identifier: Apache-2.0
"""The central meta-training loop: a source of task batches, an engine, outer steps. No privacy; see `client_level`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch

from ..algorithms.core import Algorithm, Grad, Losses
from ..engines.batch import TaskBatch
from ..errors import TrainingRefused
from ..parameters import Architecture
from .outer import Outer

Tensor = torch.Tensor
# From the number of a round, 0, 1, ..., to its tasks. A source that draws them from a generator of its own makes
# training a function of that generator's seed.
Source = Callable[[int], TaskBatch]
# Sees the number of finished rounds and the model so far.
Watch = Callable[[int, Tensor], None]


class BatchEngine(Protocol):
    """An engine that takes tasks as one batch."""

    def of_batch(self, theta: Tensor, batch: TaskBatch) -> Tensor:
        """What each task adds to the sum: (D,) to (T, D)."""


def meta_train(
    engine: BatchEngine, theta: Tensor, source: Source, outer: Outer, *, watch: Watch | None = None
) -> Tensor:
    """Train by the mean contribution of each round's tasks; (D,) to (D,). Equal seeds give equal results.

    Raises:
        TrainingRefused: a round's mean is not finite (the model before it would be no result), theta is no vector, or
            the source gives no batch.

    Example:
        >>> from secure_fedmeta.algorithms.inner import GradientSteps
        >>> from secure_fedmeta.algorithms.maml import Maml
        >>> from secure_fedmeta.engines.batch import Part
        >>> from secure_fedmeta.engines.stacked import StackedEngine
        >>> from secure_fedmeta.parameters import bind
        >>> net = bind(torch.nn.Linear(1, 1))
        >>> engine = StackedEngine(net, Maml(GradientSteps(lr=0.1, count=1)), loss="squared")
        >>> rows = torch.ones(2, 3, 1, dtype=torch.float64)  # twice the task y = 2 at x = 1
        >>> part = Part(rows, 2 * rows[..., 0], torch.full((2, 3), 1 / 3))
        >>> batch = TaskBatch(part, part, torch.full((2, 2), 3))
        >>> learned = meta_train(engine, torch.zeros(2).double(), lambda k: batch, Outer(rounds=200, lr=0.05))
        >>> round(float(learned.sum()), 2)
        2.0
    """
    state = outer.begin(theta)
    for number in range(outer.rounds):
        batch = source(number) if callable(source) else source
        if not isinstance(batch, TaskBatch):
            raise TrainingRefused(
                f"the source gave a {type(batch).__name__}",
                "training",
                "pass a function from the number of a round to its TaskBatch",
            )
        mean = engine.of_batch(state.theta, batch).mean(0)
        if not torch.isfinite(mean).all():
            raise TrainingRefused(
                f"the mean contribution of round {number + 1} is not finite",
                "training",
                "limit the inner steps (max_norm) or lower the rates",
            )
        state.step(mean)
        if watch is not None:
            watch(number + 1, state.released)
    return state.released


@dataclass(frozen=True, slots=True)
class Blend:
    """A weighted sum of algorithms' contributions, such as MAML's after one step and after five.

    Losses after several numbers of steps (multi-step loss: Antoniou, Edwards and Storkey 2019, arXiv 1810.09502v3)
    keep a model good after one step and stable after many. All members learn the same theta; adaptation is the first
    one's. A sum of contributions is still one contribution, so the clip of a task's vector covers it.

    Raises:
        TrainingRefused: no member, or weights that are not positive and one for each.

    Example:
        >>> from secure_fedmeta.algorithms.core import tape_grad
        >>> from secure_fedmeta.algorithms.inner import GradientSteps
        >>> from secure_fedmeta.algorithms.maml import Maml
        >>> class Bowl:
        ...     def support(self, at): return ((at - 1) ** 2).sum(-1) / 2
        ...     def query(self, at): return (at ** 2).sum(-1) / 2
        >>> halves = Maml(GradientSteps(0.5, 1)), Maml(GradientSteps(0.5, 2))  # 1.0 and 0.375
        >>> Blend(halves, (0.5, 0.5)).contribution(torch.tensor([3.0]), Bowl(), tape_grad)
        tensor([0.6875])
    """

    members: tuple[Algorithm, ...]
    weights: tuple[float, ...]

    def __post_init__(self) -> None:
        if not self.members or len(self.members) != len(self.weights) or not all(0 < w < 1e6 for w in self.weights):
            raise TrainingRefused("no members, or weights that do not fit", "blend", "give each a positive weight")

    @property
    def name(self) -> str:
        """Of its members."""
        return "+".join(member.name for member in self.members)

    def start(self, architecture: Architecture) -> Tensor:
        """The first member's."""
        return self.members[0].start(architecture)

    def adapt(self, theta: Tensor, losses: Losses, grad: Grad) -> Tensor:
        """The first member's."""
        return self.members[0].adapt(theta, losses, grad)

    def contribution(self, theta: Tensor, losses: Losses, grad: Grad) -> Tensor:
        """The weighted sum."""
        parts = [
            weight * member.contribution(theta, losses, grad)
            for member, weight in zip(self.members, self.weights, strict=True)
        ]
        return torch.stack(parts).sum(0)
