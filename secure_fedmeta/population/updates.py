# SPDX-License-Identifier: Apache-2.0
"""What clients send, whatever they compute: local training (`local_sgd`), or any meta-learning algorithm."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import torch

from ..engines.batch import TaskBatch
from ..engines.stacked import StackedEngine
from ..engines.vmap import VmapEngine
from .clients import ClientSource, Indices
from .local_sgd import LocalSgd

Tensor = torch.Tensor


class Updates(Protocol):
    """Contributions of a cohort, a chunk of clients at a time: the server goes down along their mean."""

    def rows(self, theta: Tensor, source: ClientSource, cohort: Indices) -> Iterator[Tensor]:
        """Blocks of rows (chunk, D) in the order of the cohort; each is the caller's own to change."""

    def total(self, theta: Tensor, source: ClientSource, cohort: Indices, clip_norm: float | None) -> Tensor:
        """The sum of the rows, each clipped in norm, (D,); of nobody, zeros."""


@dataclass(frozen=True, slots=True)
class Trained:
    """Local training of the cohort's clients."""

    sgd: LocalSgd

    def rows(self, theta: Tensor, source: ClientSource, cohort: Indices) -> Iterator[Tensor]:
        """As `Updates.rows`."""
        for part in chunks(cohort, self.sgd.chunk):
            yield self.sgd.rows(theta, source.batch(part))

    def total(self, theta: Tensor, source: ClientSource, cohort: Indices, clip_norm: float | None) -> Tensor:
        """As `Updates.total`, without anybody's row."""
        total = torch.zeros_like(theta)
        for part in chunks(cohort, self.sgd.chunk):
            total += self.sgd.total(theta, source.batch(part), clip_norm=clip_norm)
        return total


@dataclass(frozen=True, slots=True)
class Adapted:
    """Contributions of a meta-learning algorithm by a batched engine, `chunk` tasks at a time.

    `slots` are public (support, query) numbers of rows that tasks are padded to; the longest of a chunk otherwise.
    """

    engine: StackedEngine | VmapEngine
    chunk: int = 128
    slots: tuple[int, int] | None = None

    def rows(self, theta: Tensor, source: ClientSource, cohort: Indices) -> Iterator[Tensor]:
        """As `Updates.rows`."""
        for part in chunks(cohort, self.chunk):
            tasks = [source.task(int(index)) for index in part]
            yield self.engine.of_batch(theta, TaskBatch.of(tasks, dtype=theta.dtype, slots=self.slots))

    def total(self, theta: Tensor, source: ClientSource, cohort: Indices, clip_norm: float | None) -> Tensor:
        """As `Updates.total`."""
        total = torch.zeros_like(theta)
        for rows in self.rows(theta, source, cohort):
            total += rows.sum(0) if clip_norm is None else clip_factors(rows, clip_norm) @ rows
        return total


def chunks(cohort: Indices, size: int) -> Iterator[Indices]:
    """Parts of at most `size` clients, in order."""
    for start in range(0, len(cohort), size):
        yield cohort[start : start + size]


def clip_factors(rows: Tensor, clip_norm: float) -> Tensor:
    """min(1, C / ||row||) of each row, (n,), in the rows' own arithmetic: for simulation, not for a proof."""
    return (clip_norm / rows.norm(dim=1).clamp_min_(1e-12)).clamp_max_(1.0)
