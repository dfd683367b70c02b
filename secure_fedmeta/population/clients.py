# SPDX-License-Identifier: Apache-2.0
"""The clients of a population: made from an index when they are asked for, never all at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from ..errors import DataRefused
from ..tasks import Task

Tensor = torch.Tensor
Indices = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Shards:
    """Rows of n clients side by side, for local training.

    Shapes: `rows` (n, slots, ...), `labels` (n, slots), `counts` (n,) whole numbers: a client's rows are the first
    counts[i] ones, the rest is padding. None: all slots are full.
    """

    rows: Tensor
    labels: Tensor
    counts: Tensor | None = None

    def __post_init__(self) -> None:
        if self.rows.shape[:2] != self.labels.shape or self.labels.dim() != 2:
            raise DataRefused(
                f"rows of shape {tuple(self.rows.shape)} with labels of shape {tuple(self.labels.shape)}",
                "clients",
                "give (n, slots, ...) and (n, slots)",
            )
        if self.counts is not None and self.counts.shape != self.labels.shape[:1]:
            raise DataRefused(f"{len(self.counts)} counts for {len(self.labels)} clients", "clients", "give one each")

    def __repr__(self) -> str:
        return f"Shards(<{len(self)} clients>)"

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def slots(self) -> int:
        """Rows that a client may have."""
        return self.labels.shape[1]

    def chunks(self, size: int) -> Iterator[Shards]:
        """Parts of at most `size` clients, in order."""
        if len(self) <= size:
            yield self
            return
        for start in range(0, len(self), size):
            part = slice(start, start + size)
            yield Shards(self.rows[part], self.labels[part], None if self.counts is None else self.counts[part])

    def batches(self, size: int) -> Iterator[tuple[Tensor, Tensor, Tensor | float]]:
        """Mini-batches in the order of the rows: rows, labels, and each row's weight in its client's mean.

        A client without a row in a mini-batch takes no step in it: its weights are zero.
        """
        for start in range(0, self.slots, size):
            part = slice(start, start + size)
            rows, labels = self.rows[:, part], self.labels[:, part]
            if self.counts is None:
                yield rows, labels, 1.0 / rows.shape[1]
                continue
            own = (self.counts - start).clamp(0, rows.shape[1]).unsqueeze(1)
            there = torch.arange(rows.shape[1]) < own
            yield rows, labels, there.to(rows.dtype) / own.clamp_min(1)

    @classmethod
    def of(cls, tasks: Sequence[Task], *, dtype: torch.dtype = torch.float32) -> Shards:
        """All records of each task, support first, filled up with zeros to the longest.

        Raises:
            DataRefused: no task, or rows of different shapes.

        Example:
            >>> one = np.ones((1, 2))
            >>> Shards.of([Task(one, np.ones(1), one, np.zeros(1))]).labels.tolist()
            [[1.0, 0.0]]
        """
        parts = [
            (np.concatenate([t.support_rows, t.query_rows]), np.concatenate([t.support_labels, t.query_labels]))
            for t in tasks
        ]
        shapes = {rows.shape[1:] for rows, _ in parts}
        if len(shapes) != 1:
            raise DataRefused(f"{len(parts)} clients with rows of {len(shapes)} shapes", "clients", "give rows alike")
        counts = np.array([len(labels) for _, labels in parts])
        slots = max(1, int(counts.max()))
        filled, marks = np.zeros((len(parts), slots, *shapes.pop())), np.zeros((len(parts), slots))
        for place, (rows, labels) in enumerate(parts):
            filled[place, : len(labels)], marks[place, : len(labels)] = rows, labels
        full = bool((counts == slots).all())
        rows_, labels_ = torch.from_numpy(filled).to(dtype), torch.from_numpy(marks).to(dtype)
        return cls(rows_, labels_, None if full else torch.from_numpy(counts))


class ClientSource(Protocol):
    """N clients by index, 0 .. N - 1; the same index is the same client whenever it is asked for."""

    def __len__(self) -> int:
        """N."""

    def task(self, index: int) -> Task:
        """One client's records by role."""

    def batch(self, indices: Indices) -> Shards:
        """The records of these clients, in this order."""


@dataclass(frozen=True, slots=True, eq=False)
class StackedClients:
    """Clients whose rows are in memory: rows (N, slots, ...), labels (N, slots); the first `support` are support."""

    shards: Shards
    support: int = 0

    def __len__(self) -> int:
        return len(self.shards)

    def task(self, index: int) -> Task:
        """One client's records."""
        count = self.shards.slots if self.shards.counts is None else int(self.shards.counts[index])
        rows = self.shards.rows[index, :count].double().numpy()
        labels = self.shards.labels[index, :count].double().numpy()
        cut = min(self.support, count)
        return Task(rows[:cut], labels[:cut], rows[cut:], labels[cut:])

    def batch(self, indices: Indices) -> Shards:
        """A copy of these clients' rows; all of them in order are handed out as they are."""
        if len(indices) == len(self.shards) and (indices == np.arange(len(indices))).all():
            return self.shards
        chosen = torch.from_numpy(indices)
        counts = None if self.shards.counts is None else self.shards.counts[chosen]
        return Shards(self.shards.rows[chosen], self.shards.labels[chosen], counts)


@dataclass(frozen=True, slots=True, eq=False)
class MadeClients:
    """N clients that a function of the index makes when they are asked for; nothing is kept.

    `make` must be pure: a client that takes part twice must be the same both times.
    """

    size: int
    make: Callable[[int], Task]

    def __len__(self) -> int:
        return self.size

    def task(self, index: int) -> Task:
        """Make one client."""
        if not 0 <= index < self.size:
            raise DataRefused(f"client {index} of {self.size}", "clients", "use an index from 0 to N - 1")
        return self.make(index)

    def batch(self, indices: Indices) -> Shards:
        """Make these clients."""
        return Shards.of([self.task(int(index)) for index in indices])
