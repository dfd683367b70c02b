# SPDX-License-Identifier: Apache-2.0
"""Many tasks in one autograd pass: parameters (T, P) as a leaf, batched products, and the sum of independent losses.

The gradient of that sum by row t of the leaf is task t's own gradient, of any order, ready for clipping; no
`torch.func` and no warm-up. Each kind of layer needs a batched form here; a network with another one is refused by
`batched_outputs` and goes to another engine.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from ..algorithms.core import Algorithm, tape_grad
from ..errors import ModelRefused
from ..losses import ROW_LOSSES
from ..parameters import Architecture
from ..tasks import Task
from .batch import BatchLosses, Outputs, TaskBatch

Tensor = torch.Tensor
Parts = dict[str, Tensor]
Layer = Callable[[Parts, Tensor], Tensor]

_ELEMENTWISE = (nn.ReLU, nn.Tanh, nn.Sigmoid, nn.GELU, nn.SiLU, nn.ELU, nn.LeakyReLU, nn.Softplus, nn.Identity)


class StackedEngine:
    """Per-task vectors of a network that stacks.

    Raises:
        ModelRefused: a layer without a batched form.

    Example:
        >>> from secure_fedmeta.algorithms.inner import GradientSteps
        >>> from secure_fedmeta.algorithms.maml import Maml
        >>> from secure_fedmeta.parameters import bind
        >>> engine = StackedEngine(bind(nn.Linear(2, 1)), Maml(GradientSteps(lr=0.5, count=1)), loss="logistic")
        >>> one = np.ones((1, 2))
        >>> engine.contributions(np.zeros(3), [Task(one, np.ones(1), one, np.ones(1))]).round(4).tolist()
        [[-0.2005, -0.2005, -0.2005]]
    """

    def __init__(
        self, architecture: Architecture, algorithm: Algorithm, *, loss: str, dtype: torch.dtype = torch.float64
    ) -> None:
        self._outputs = batched_outputs(architecture)
        self._algorithm = algorithm
        self._row_loss = ROW_LOSSES[loss]
        self._dtype = dtype

    def of_batch(self, theta: Tensor, batch: TaskBatch) -> Tensor:
        """What each task of a batch adds to the sum: (D,) or (T, D) to (T, D)."""
        stacked = theta.expand(len(batch), -1) if theta.dim() == 1 else theta
        return self._algorithm.contribution(stacked, self._losses(batch), tape_grad).detach()

    def adapt_batch(self, theta: Tensor, batch: TaskBatch) -> Tensor:
        """The network's parameters after each task's adaptation: (D,) or (T, D) to (T, P)."""
        stacked = theta.expand(len(batch), -1) if theta.dim() == 1 else theta
        return self._algorithm.adapt(stacked, self._losses(batch), tape_grad).detach()

    def contributions(self, theta: NDArray[np.float64], tasks: Sequence[Task]) -> NDArray[np.float64]:
        """What each task adds to the sum, (tasks, D)."""
        batch = TaskBatch.of(tasks, dtype=self._dtype)
        return self.of_batch(torch.from_numpy(theta).to(self._dtype), batch).double().numpy()

    def _losses(self, batch: TaskBatch) -> BatchLosses:
        return BatchLosses(batch, self._outputs, self._row_loss)


def batched_outputs(architecture: Architecture) -> Outputs:
    """The network as a function of parameters (T, P) and rows (T, n, ...) to outputs (T, n, C).

    Raises:
        ModelRefused: a layer without a batched form.

    Example:
        >>> from secure_fedmeta.parameters import bind
        >>> net = bind(nn.Sequential(nn.Linear(2, 4), nn.Tanh(), nn.Linear(4, 1)))
        >>> rows, theta = torch.rand(3, 5, 2, dtype=torch.float64), net.start_tensor()
        >>> stacked = batched_outputs(net)(theta.expand(3, -1), rows)
        >>> torch.allclose(stacked[1], net.outputs(theta, rows[1]))
        True
    """
    layer = _layer(architecture.skeleton, "")

    def outputs(at: Tensor, rows: Tensor) -> Tensor:
        parts = torch.split(at, list(architecture.lengths), dim=-1)
        named = {
            name: part.reshape(len(at), *shape)
            for name, part, shape in zip(architecture.names, parts, architecture.shapes, strict=True)
        }
        return layer(named, rows)

    return outputs


def _layer(module: nn.Module, prefix: str) -> Layer:
    if isinstance(module, nn.Sequential):
        layers = [_layer(part, f"{prefix}{name}.") for name, part in module.named_children()]

        def run(parts: Parts, rows: Tensor) -> Tensor:
            for layer in layers:
                rows = layer(parts, rows)
            return rows

        return run
    if isinstance(module, nn.Linear):
        weight, bias = f"{prefix}weight", f"{prefix}bias" if module.bias is not None else None

        def linear(parts: Parts, rows: Tensor) -> Tensor:
            turned = parts[weight].transpose(1, 2)
            if bias is None:
                return torch.bmm(rows, turned)
            return torch.baddbmm(parts[bias].unsqueeze(1), rows, turned)

        return linear
    if isinstance(module, _ELEMENTWISE):
        return lambda _, rows: module(rows)
    if isinstance(module, nn.Flatten) and module.start_dim == 1:
        return lambda _, rows: rows.flatten(2)
    raise ModelRefused(f"{type(module).__name__} has no batched form", "model", "use engine vmap, loop or auto")
