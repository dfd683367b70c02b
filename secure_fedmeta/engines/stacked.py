# SPDX-License-Identifier: Apache-2.0
"""Many tasks in one autograd pass: parameters (T, P) as a leaf, batched products, and the sum of independent losses.

The gradient of that sum by row t of the leaf is task t's own gradient, of any order, ready for clipping; no
`torch.func` and no warm-up. Each kind of layer needs a batched form (`traced`); a network with another one is refused
and goes to another engine.
"""

from __future__ import annotations

import torch

from ..algorithms.core import tape_grad
from ..errors import ModelRefused
from ..parameters import Architecture
from .batch import BatchLosses, Outputs, TaskBatch
from .batched import BatchedEngine, Unit, cause
from .traced import layer_of

Tensor = torch.Tensor


class StackedEngine(BatchedEngine):
    """Per-task vectors of a network that stacks.

    Raises:
        ModelRefused: a layer without a batched form; (when called) rows or labels that do not fit.

    Example:
        >>> import numpy as np
        >>> from secure_fedmeta.algorithms.inner import GradientSteps
        >>> from secure_fedmeta.algorithms.maml import Maml
        >>> from secure_fedmeta.parameters import bind
        >>> from secure_fedmeta.tasks import Task
        >>> maml = Maml(GradientSteps(lr=0.5, count=1))
        >>> engine = StackedEngine(bind(torch.nn.Linear(2, 1)), maml, loss="logistic")
        >>> one = np.ones((1, 2))
        >>> engine.contributions(np.zeros(3), [Task(one, np.ones(1), one, np.ones(1))]).round(4).tolist()
        [[-0.2005, -0.2005, -0.2005]]
    """

    def prepare(self) -> None:
        """The network's batched form."""
        self._outputs = batched_outputs(self.architecture)

    def each(self, unit: Unit, theta: Tensor, batch: TaskBatch) -> Tensor:
        """The unit of every task: theta (D,) or (T, D) to (T, ...)."""
        stacked = theta.expand(len(batch), -1) if theta.dim() == 1 else theta
        try:
            return unit(stacked, BatchLosses(batch, self._outputs, self.row_loss), tape_grad)
        except (RuntimeError, ValueError, IndexError) as error:
            raise ModelRefused(
                f"it does not run on these rows: {cause(error)}",
                "engine stacked",
                "give rows and labels that the network and the loss take, and as many parameters as are learned",
            ) from None


def batched_outputs(architecture: Architecture) -> Outputs:
    """The network as a function of parameters (T, P) and rows (T, n, ...) to outputs (T, n, C).

    Raises:
        ModelRefused: a layer without a batched form.

    Example:
        >>> from torch import nn
        >>> from secure_fedmeta.parameters import bind
        >>> net = bind(nn.Sequential(nn.Linear(2, 4), nn.Tanh(), nn.Linear(4, 1)))
        >>> rows, theta = torch.rand(3, 5, 2, dtype=torch.float64), net.start_tensor()
        >>> stacked = batched_outputs(net)(theta.expand(3, -1), rows)
        >>> torch.allclose(stacked[1], net.outputs(theta, rows[1]))
        True
    """
    layer = layer_of(architecture.skeleton)
    named = tuple(zip(architecture.names, architecture.shapes, strict=True))
    lengths = list(architecture.lengths)
    # Parameters that are not learned are the same for every task.
    frozen = {
        name: one.detach() for name, one in architecture.skeleton.named_parameters() if name not in architecture.names
    }

    def outputs(at: Tensor, rows: Tensor) -> Tensor:
        count = len(at)
        parts = {
            name: part.view(count, *shape)
            for (name, shape), part in zip(named, torch.split(at, lengths, dim=-1), strict=True)
        }
        parts |= {name: one.to(at.dtype).expand(count, *one.shape) for name, one in frozen.items()}
        out: Tensor = layer(parts, rows)
        return out

    return outputs
