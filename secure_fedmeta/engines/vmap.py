# SPDX-License-Identifier: Apache-2.0
"""Many tasks by `torch.func`: the gradient function of one task, vectorised over tasks, for most networks.

Attention must run with its mathematical form (the fused kernels have no second derivative), which this engine asks for.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch.func import grad, vmap
from torch.nn.attention import SDPBackend, sdpa_kernel

from ..algorithms.core import Algorithm
from ..losses import ROW_LOSSES
from ..parameters import Architecture
from ..tasks import Task
from .batch import BatchLosses, Part, TaskBatch

Tensor = torch.Tensor


class VmapEngine:
    """Per-task vectors of a network that `torch.func.vmap` takes, `chunk` tasks at a time (all of them at None)."""

    def __init__(
        self,
        architecture: Architecture,
        algorithm: Algorithm,
        *,
        loss: str,
        dtype: torch.dtype = torch.float64,
        chunk: int | None = None,
    ) -> None:
        self._architecture = architecture.of_type(dtype)
        self._algorithm = algorithm
        self._row_loss = ROW_LOSSES[loss]
        self._dtype = dtype
        self._chunk = chunk

    def of_batch(self, theta: Tensor, batch: TaskBatch) -> Tensor:
        """What each task of a batch adds to the sum: (D,) or (T, D) to (T, D)."""

        def one(at: Tensor, s: Tensor, sl: Tensor, sw: Tensor, q: Tensor, ql: Tensor, qw: Tensor, n: Tensor) -> Tensor:
            task = TaskBatch(Part(s, sl, sw), Part(q, ql, qw), n)
            losses = BatchLosses(task, self._architecture.outputs, self._row_loss)
            return self._algorithm.contribution(at, losses, grad)

        support, query = batch.support, batch.query
        arrays = (support.rows, support.labels, support.weights, query.rows, query.labels, query.weights, batch.sizes)
        places = (None if theta.dim() == 1 else 0, *[0] * len(arrays))
        with sdpa_kernel(SDPBackend.MATH):
            found: Tensor = vmap(one, in_dims=places, chunk_size=self._chunk)(theta, *arrays)
        return found.detach()

    def contributions(self, theta: NDArray[np.float64], tasks: Sequence[Task]) -> NDArray[np.float64]:
        """What each task adds to the sum, (tasks, D)."""
        batch = TaskBatch.of(tasks, dtype=self._dtype)
        return self.of_batch(torch.from_numpy(theta).to(self._dtype), batch).double().numpy()
