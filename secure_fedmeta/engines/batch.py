# SPDX-License-Identifier: Apache-2.0
"""Tasks of unequal size as one padded batch, and the losses of a batch.

Rows are filled up with zeros and masked: a task's loss is the sum over its own rows by their number, so padding changes
no loss and no gradient.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from ..losses import RowLoss
from ..tasks import Task

Tensor = torch.Tensor
Outputs = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """Rows (T, n, ...), labels (T, n) and weights (T, n): 1 / a task's own count on its rows, 0 on padding.

    The same without the leading T is one task's. `full` says that no row is padding, which saves the mask.
    """

    rows: Tensor
    labels: Tensor
    weights: Tensor
    full: bool = False

    def mean(self, outputs: Tensor, row_loss: RowLoss) -> Tensor:
        """Mean loss of each task, (T,). Padding must not turn into NaN: it is cut out, not multiplied by zero."""
        losses = row_loss(outputs, self.labels)
        if self.full:
            return losses.mean(-1)
        return (torch.where(self.weights > 0, losses, 0.0) * self.weights).sum(-1)


@dataclass(frozen=True, slots=True, eq=False)
class TaskBatch:
    """Support and query parts of T tasks; `sizes` (T, 2) are their true counts."""

    support: Part
    query: Part
    sizes: Tensor

    def __len__(self) -> int:
        return len(self.sizes)

    def part(self, start: int, stop: int) -> TaskBatch:
        """Tasks from `start` to before `stop`."""
        support, query = (
            Part(one.rows[start:stop], one.labels[start:stop], one.weights[start:stop], one.full)
            for one in (self.support, self.query)
        )
        return TaskBatch(support, query, self.sizes[start:stop])

    def __repr__(self) -> str:
        return f"TaskBatch(<{len(self)} tasks>)"

    @classmethod
    def of(
        cls, tasks: Sequence[Task], *, dtype: torch.dtype = torch.float64, slots: tuple[int, int] | None = None
    ) -> TaskBatch:
        """Pad tasks to their longest, or to the public (support, query) `slots`.

        Raises:
            ValueError: no task, rows of different shapes, or more rows than slots.

        Example:
            >>> task = Task(np.ones((2, 3)), np.ones(2), np.ones((1, 3)), np.zeros(1))
            >>> TaskBatch.of([task, task], slots=(4, 2)).support.weights[0]
            tensor([0.5000, 0.5000, 0.0000, 0.0000], dtype=torch.float64)
        """
        sizes = torch.tensor([[len(task.support_labels), len(task.query_labels)] for task in tasks])
        if not len(sizes):
            raise ValueError("a batch needs a task")
        most = sizes.amax(0).tolist() if slots is None else slots
        if (sizes > torch.tensor(most)).any():
            raise ValueError(f"a task has more rows than its {tuple(most)} slots")
        # With public slots the mask is always there: which kernels run must not tell how many rows there are.
        full = [slots is None and bool(most[role]) and bool((sizes[:, role] == most[role]).all()) for role in (0, 1)]
        support = _part([(task.support_rows, task.support_labels) for task in tasks], most[0], dtype, full[0])
        query = _part([(task.query_rows, task.query_labels) for task in tasks], most[1], dtype, full[1])
        return cls(support, query, sizes)


def _part(
    roles: Sequence[tuple[np.ndarray, np.ndarray]],
    slots: int,
    dtype: torch.dtype,
    full: bool,
) -> Part:
    shape = next((rows.shape[1:] for rows, labels in roles if len(labels)), roles[0][0].shape[1:])
    filled, marks = np.zeros((len(roles), slots, *shape)), np.zeros((len(roles), slots))
    weights = np.zeros((len(roles), slots))
    for place, (rows, labels) in enumerate(roles):
        count = len(labels)
        if count:
            if rows.shape[1:] != shape:
                raise ValueError(f"rows of shapes {shape} and {rows.shape[1:]} in one batch")
            filled[place, :count], marks[place, :count], weights[place, :count] = rows, labels, 1.0 / count
    given, marked, weighed = (torch.from_numpy(array).to(dtype) for array in (filled, marks, weights))
    return Part(given, marked, weighed, full)


@dataclass(frozen=True, slots=True, eq=False)
class BatchLosses:
    """`algorithms.core.Losses` of a batch: parameters (T, P) to losses (T,); or of one task, (P,) to ().

    `outputs` runs the network: (T, P) and rows (T, n, ...) to (T, n, C).
    """

    batch: TaskBatch
    outputs: Outputs
    row_loss: RowLoss

    def support(self, at: Tensor) -> Tensor:
        """On the support rows."""
        part = self.batch.support
        return part.mean(self.outputs(at, part.rows), self.row_loss)

    def query(self, at: Tensor) -> Tensor:
        """On the query rows."""
        part = self.batch.query
        return part.mean(self.outputs(at, part.rows), self.row_loss)

    def every(self, at: Tensor) -> Tensor:
        """On all rows: the two means weighted by their counts."""
        sizes = self.batch.sizes.to(at.dtype)
        share = sizes / sizes.sum(-1, keepdim=True).clamp_min(1.0)
        return share[..., 0] * self.support(at) + share[..., 1] * self.query(at)
