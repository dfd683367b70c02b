# SPDX-License-Identifier: Apache-2.0
"""The reference engine: one unit at a time, by automatic differentiation, for any `torch.nn.Module`.

Each unit is computed from copies of its own rows, so its result is the same to the last bit whoever stands beside it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.attention import SDPBackend, sdpa_kernel

from ..algorithms.core import Algorithm, tape_grad
from ..losses import row_loss
from ..parameters import Architecture, check_bound
from ..tasks import Task

Float = NDArray[np.float64]


class LoopEngine:
    """Per-unit vectors of a network, unit by unit.

    Args:
        architecture: the network, bound and checked.
        loss: a key of `losses.ROW_LOSSES`.
        algorithm: what a task contributes.
        dtype: what it computes in.

    Example:
        >>> from secure_fedmeta.algorithms.inner import GradientSteps
        >>> from secure_fedmeta.algorithms.maml import Maml
        >>> from secure_fedmeta.parameters import bind
        >>> maml = Maml(GradientSteps(lr=0.5, count=1))
        >>> engine = LoopEngine(bind(torch.nn.Linear(2, 1)), maml, loss="logistic")
        >>> one = np.ones((1, 2))
        >>> engine.contributions(np.zeros(3), [Task(one, np.ones(1), one, np.ones(1))]).round(4).tolist()
        [[-0.2005, -0.2005, -0.2005]]
    """

    def __init__(
        self, architecture: Architecture, algorithm: Algorithm, *, loss: str, dtype: torch.dtype = torch.float64
    ) -> None:
        check_bound(architecture)
        self._architecture = architecture if dtype == torch.float64 else architecture.of_type(dtype)
        self._dtype = dtype
        self._algorithm = algorithm
        self._row_loss = row_loss(loss)

    def contributions(self, theta: Float, tasks: Sequence[Task]) -> Float:
        """What each task adds to the sum, (tasks, D); without query rows zeros, a broken one NaN."""

        def of(task: Task) -> torch.Tensor:
            losses = _OneTask(self._loss_of, task, self._tensor)
            return self._algorithm.contribution(self._tensor(theta), losses, tape_grad)

        return self._rows(len(theta), len(tasks), lambda index: of(tasks[index]))

    def adapted(self, theta: Float, tasks: Sequence[Task]) -> Float:
        """The network's parameters after each task's adaptation, (tasks, P); a broken one NaN."""

        def of(task: Task) -> torch.Tensor:
            return self._algorithm.adapt(self._tensor(theta), _OneTask(self._loss_of, task, self._tensor), tape_grad)

        return self._rows(self._architecture.dimension, len(tasks), lambda index: of(tasks[index]))

    def example_gradients(self, theta: Float, rows: Float, labels: Float) -> Float:
        """One gradient of the loss a row, (n, P); a broken one is NaN."""

        def of(i: int) -> torch.Tensor:
            row, label = self._tensor(rows[i : i + 1]), self._tensor(labels[i : i + 1])
            return tape_grad(lambda at: self._loss_of(at, row, label))(self._tensor(theta))

        return self._rows(len(theta), len(rows), of)

    def example_products(self, theta: Float, rows: Float, labels: Float, vector: Float) -> Float:
        """Hessian of each row's loss times `vector`, (n, P): the gradient of the gradient's product with it."""

        def of(i: int) -> torch.Tensor:
            row, label = self._tensor(rows[i : i + 1]), self._tensor(labels[i : i + 1])
            slope = tape_grad(lambda at: self._loss_of(at, row, label))
            return tape_grad(lambda at: slope(at) @ self._tensor(vector))(self._tensor(theta))

        return self._rows(len(theta), len(rows), of)

    def _rows(self, width: int, count: int, unit: Callable[[int], torch.Tensor]) -> Float:
        found = np.full((count, width), np.nan)
        for index in range(count):
            try:
                with sdpa_kernel(SDPBackend.MATH):  # fused attention has no second derivative
                    found[index] = unit(index).detach().numpy()
            except Exception:  # noqa: BLE001, S112 - whatever a network raises on one unit's rows must not end a round
                continue  # stays NaN, counts as zero
        return found

    def _tensor(self, values: Float) -> torch.Tensor:
        """A copy in fresh memory: how an array is aligned can change how it is summed."""
        return torch.from_numpy(np.array(values, dtype=np.float64)).to(self._dtype).clone()

    def _loss_of(self, flat: torch.Tensor, rows: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        if not len(labels):
            return flat.sum() * 0.0
        return self._row_loss(self._architecture.outputs(flat, rows), labels).mean()


class _OneTask:
    """The losses of one task, from copies of its rows."""

    def __init__(
        self,
        loss: Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor],
        task: Task,
        tensor: Callable[[Float], torch.Tensor],
    ) -> None:
        self._loss = loss
        self._support = tensor(task.support_rows), tensor(task.support_labels)
        self._query = tensor(task.query_rows), tensor(task.query_labels)

    def support(self, at: torch.Tensor) -> torch.Tensor:
        return self._loss(at, *self._support)

    def query(self, at: torch.Tensor) -> torch.Tensor:
        return self._loss(at, *self._query)

    def every(self, at: torch.Tensor) -> torch.Tensor:
        s, q = len(self._support[1]), len(self._query[1])
        return (s * self.support(at) + q * self.query(at)) / max(s + q, 1)
