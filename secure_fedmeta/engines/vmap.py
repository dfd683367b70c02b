# SPDX-License-Identifier: Apache-2.0
"""Many tasks by `torch.func`: the gradient function of one task, vectorised over tasks, for most networks.

Attention must run with its mathematical form (the fused kernels have no second derivative), which this engine asks for.
"""

from __future__ import annotations

import warnings
from functools import cached_property

import torch
from torch.func import grad, vmap
from torch.nn.attention import SDPBackend, sdpa_kernel

from ..errors import ModelRefused
from ..losses import RowLoss
from ..parameters import Architecture
from .batch import BatchLosses, Part, TaskBatch
from .batched import BatchedEngine, Unit

Tensor = torch.Tensor


class VmapEngine(BatchedEngine):
    """Per-task vectors of a network that `torch.func.vmap` takes.

    Raises:
        ModelRefused: (when called) the network is one that it does not take.
    """

    def each(self, unit: Unit, theta: Tensor, batch: TaskBatch) -> Tensor:
        """The unit of every task: theta (D,) or (T, D) to (T, ...)."""
        return mapped(unit, self._network, self.row_loss, theta, batch)

    @cached_property
    def _network(self) -> Architecture:
        return self.architecture.of_type(self.dtype)


def mapped(unit: Unit, network: Architecture, row_loss: RowLoss, theta: Tensor, batch: TaskBatch) -> Tensor:
    """One task's unit by `torch.func.grad`, vectorised over the tasks.

    Raises:
        ModelRefused: `torch.func` does not take the network.
    """

    def one(at: Tensor, s: Tensor, sl: Tensor, sw: Tensor, q: Tensor, ql: Tensor, qw: Tensor, n: Tensor) -> Tensor:
        task = TaskBatch(Part(s, sl, sw, batch.support.full), Part(q, ql, qw, batch.query.full), n)
        return unit(at, BatchLosses(task, network.outputs, row_loss), grad)

    support, query = batch.support, batch.query
    arrays = (support.rows, support.labels, support.weights, query.rows, query.labels, query.weights, batch.sizes)
    places = (None if theta.dim() == 1 else 0, *[0] * len(arrays))
    try:
        with sdpa_kernel(SDPBackend.MATH), warnings.catch_warnings():
            # A recurrent layer has no rule for vmap and is run task by task, with a warning that there is none.
            warnings.filterwarnings("ignore", "There is a performance drop", UserWarning)
            found: Tensor = vmap(one, in_dims=places)(theta, *arrays)
    except (RuntimeError, NotImplementedError) as error:
        said = str(error).strip().splitlines() or [type(error).__name__]
        raise ModelRefused(
            f"torch.func fails on it: {said[0][:160]}", "engine vmap", "use engine loop or auto"
        ) from None
    return found
