# SPDX-License-Identifier: Apache-2.0
"""What the engines that take many tasks at once have in common: padding, chunks, and one task a row of a table."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from ..algorithms.core import Algorithm, Grad, Losses
from ..losses import row_loss
from ..parameters import Architecture, check_bound
from ..tasks import Task
from .batch import Part, TaskBatch

Tensor = torch.Tensor
Float = NDArray[np.float64]
# What is computed of one task: parameters, its losses and a way to take gradients, to a vector.
Unit = Callable[[Tensor, Losses, Grad], Tensor]


class BatchedEngine(ABC):
    """Per-task vectors, `chunk` tasks at a time (all of them at None), computed in `dtype`.

    `slots` (support, query) pads every batch to public row counts instead of its longest task. A batch that cannot be
    computed raises: for tasks of people who do not trust each other use `slots.SlottedEngine`.
    """

    def __init__(
        self,
        architecture: Architecture,
        algorithm: Algorithm,
        *,
        loss: str,
        dtype: torch.dtype = torch.float64,
        chunk: int | None = None,
        slots: tuple[int, int] | None = None,
    ) -> None:
        check_bound(architecture)
        self.architecture = architecture
        self.algorithm = algorithm
        self.row_loss = row_loss(loss)
        self.dtype = dtype
        self.chunk = chunk
        self.slots = slots
        self.prepare()

    def prepare(self) -> None:  # noqa: B027 - most kinds have nothing to do
        """What an engine makes once, or its refusal of the network."""

    @abstractmethod
    def each(self, unit: Unit, theta: Tensor, batch: TaskBatch) -> Tensor:
        """The unit of every task of a batch: theta (D,) or (T, D) to (T, ...)."""

    def of_batch(self, theta: Tensor, batch: TaskBatch) -> Tensor:
        """What each task of a batch adds to the sum: (D,) or (T, D) to (T, D)."""
        return self._chunks(self.algorithm.contribution, theta, batch)

    def adapt_batch(self, theta: Tensor, batch: TaskBatch) -> Tensor:
        """The network's parameters after each task's adaptation: (D,) or (T, D) to (T, P)."""
        return self._chunks(self.algorithm.adapt, theta, batch)

    def contributions(self, theta: Float, tasks: Sequence[Task]) -> Float:
        """What each task adds to the sum, (tasks, D)."""
        if not tasks:
            return np.zeros((0, len(theta)))
        return self.of_batch(self.tensor(theta), self._batch(tasks)).double().numpy()

    def adapted(self, theta: Float, tasks: Sequence[Task]) -> Float:
        """The network's parameters after each task's adaptation, (tasks, P)."""
        if not tasks:
            return np.zeros((0, self.architecture.dimension))
        return self.adapt_batch(self.tensor(theta), self._batch(tasks)).double().numpy()

    def example_gradients(self, theta: Float, rows: Float, labels: Float) -> Float:
        """One gradient of the loss a row, (n, P)."""
        return self._examples(_slope, theta, rows, labels)

    def example_products(self, theta: Float, rows: Float, labels: Float, vector: Float) -> Float:
        """Hessian of each row's loss times `vector`, (n, P): the gradient of the gradient's product with it."""
        along = self.tensor(vector)

        def product(at: Tensor, losses: Losses, grad: Grad) -> Tensor:
            return grad(lambda x: (_slope(x, losses, grad) * along).sum(-1))(at)

        return self._examples(product, theta, rows, labels)

    def tensor(self, values: Float) -> Tensor:
        """A copy in fresh memory, in the engine's type."""
        return torch.from_numpy(np.array(values, dtype=np.float64)).to(self.dtype).clone()

    def _batch(self, tasks: Sequence[Task]) -> TaskBatch:
        return TaskBatch.of(tasks, dtype=self.dtype, slots=self.slots)

    def _examples(self, unit: Unit, theta: Float, rows: Float, labels: Float) -> Float:
        count = len(labels)
        if not count:
            return np.zeros((0, len(theta)))
        given, marks = self.tensor(rows).unsqueeze(1), self.tensor(labels).unsqueeze(1)
        one = Part(given, marks, torch.ones_like(marks), full=True)
        batch = TaskBatch(one, one, torch.ones(count, 2, dtype=torch.int64))
        return self._chunks(unit, self.tensor(theta), batch).double().numpy()

    def _chunks(self, unit: Unit, theta: Tensor, batch: TaskBatch) -> Tensor:
        count, chunk = len(batch), self.chunk
        if chunk is None or count <= chunk:
            return self.each(unit, theta, batch).detach()
        starts = range(0, count, chunk)
        at = [theta if theta.dim() == 1 else theta[start : start + chunk] for start in starts]
        parts = [batch.part(start, min(start + chunk, count)) for start in starts]
        return torch.cat([self.each(unit, *pair).detach() for pair in zip(at, parts, strict=True)])


def _slope(at: Tensor, losses: Losses, grad: Grad) -> Tensor:
    return grad(losses.query)(at)


def cause(error: Exception) -> str:
    """The first line of what a network raised, for an error of our own; never an index, which may be a label."""
    said = (str(error).strip().splitlines() or [""])[0]
    if "out of bounds" in said or "out of range" in said:
        return "a label or another index is beyond its range"
    return said[:160] or type(error).__name__
