# SPDX-License-Identifier: Apache-2.0
"""Many tasks by `torch.func`: the gradient function of one task, vectorised over tasks, for most networks.

Attention must run with its mathematical form (the fused kernels have no second derivative), which this engine asks for.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from functools import cached_property

import torch
from torch import nn
from torch.func import grad, vmap
from torch.nn.attention import SDPBackend, sdpa_kernel

from ..errors import ModelRefused
from ..losses import RowLoss
from ..parameters import Architecture
from .batch import BatchLosses, Part, TaskBatch
from .batched import BatchedEngine, Unit, cause

Tensor = torch.Tensor


class VmapEngine(BatchedEngine):
    """Per-task vectors of a network that `torch.func.vmap` takes.

    Raises:
        ModelRefused: (when called) the network is one that it does not take.
    """

    def each(self, unit: Unit, theta: Tensor, batch: TaskBatch) -> Tensor:
        """The unit of every task: theta (D,) or (T, D) to (T, ...)."""
        try:
            with sdpa_kernel(SDPBackend.MATH), warnings.catch_warnings():
                # A layer without a rule for vmap is run task by task, with a warning.
                warnings.filterwarnings("ignore", "There is a performance drop", UserWarning)
                return vectorised(unit, self.network, self.row_loss, theta, batch)
        except (RuntimeError, NotImplementedError) as error:
            raise ModelRefused(
                f"torch.func fails on it: {cause(error)}",
                "engine vmap",
                "use engine stacked, loop or auto, if the rows and labels are what the network and the loss take",
            ) from None

    @cached_property
    def network(self) -> Architecture:
        """The network in the engine's own type."""
        return self.architecture.of_type(self.dtype)


def tensors_of(batch: TaskBatch) -> tuple[Tensor, ...]:
    """All tensors of a batch, in the order of `batch_of`."""
    s, q = batch.support, batch.query
    return s.rows, s.labels, s.weights, q.rows, q.labels, q.weights, batch.sizes


def batch_of(tensors: Sequence[Tensor], full: tuple[bool, bool]) -> TaskBatch:
    """Inverse of `tensors_of`; `full` says which part has no padding."""
    s, sl, sw, q, ql, qw, sizes = tensors
    return TaskBatch(Part(s, sl, sw, full[0]), Part(q, ql, qw, full[1]), sizes)


def vectorised(unit: Unit, network: Architecture, row_loss: RowLoss, theta: Tensor, batch: TaskBatch) -> Tensor:
    """One task's unit by `torch.func.grad`, vectorised over the tasks."""
    full = batch.support.full, batch.query.full
    # torch's recurrent cells add in place to products of the weights, which shared weights leave without tasks.
    cells = (nn.RNNBase, nn.RNNCellBase)
    if theta.dim() == 1 and any(isinstance(part, cells) for part in network.skeleton.modules()):
        theta = theta.expand(len(batch), -1)

    def one(at: Tensor, *tensors: Tensor) -> Tensor:
        return unit(at, BatchLosses(batch_of(tensors, full), network.outputs, row_loss), grad)

    arrays = tensors_of(batch)
    found: Tensor = vmap(one, in_dims=(None if theta.dim() == 1 else 0, *[0] * len(arrays)))(theta, *arrays)
    return found
