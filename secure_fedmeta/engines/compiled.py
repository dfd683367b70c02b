# SPDX-License-Identifier: Apache-2.0
"""The vmapped gradient function compiled: 10 to 25 seconds once a shape, then the fastest; for long runs.

The function is traced through `torch.func` (second derivatives included: what comes out is a plain graph) and given to
torch.compile. Shapes are fixed: tasks are padded to public slots, or to the next power of two, so a few graphs serve a
whole run. Not for convolutions, which it makes slower and which take a gigabyte.
"""

from __future__ import annotations

import os
import shutil
import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.fx.experimental.proxy_tensor import make_fx
from torch.nn.attention import SDPBackend, sdpa_kernel

from ..errors import EngineRefused, ModelRefused
from .batch import Part, TaskBatch
from .batched import Unit
from .vmap import VmapEngine, batch_of, tensors_of, vectorised

Tensor = torch.Tensor
MOST_SHAPES = 8


class CompiledEngine(VmapEngine):
    """Contributions and adaptations by compiled functions; gradients by the row as in `VmapEngine`.

    Raises:
        ModelRefused: a network with convolutions; (when called) one that `torch.func` does not take.
        EngineRefused: no C++ compiler; (when called) more than `MOST_SHAPES` shapes.
    """

    def prepare(self) -> None:
        """Refuse what cannot be compiled, or not here."""
        if any(isinstance(part, nn.modules.conv._ConvNd) for part in self.architecture.skeleton.modules()):
            raise ModelRefused("compiled convolutions are slower and take a gigabyte", "engine compiled", _OTHER)
        if not any(shutil.which(name) for name in (os.environ.get("CXX") or "g++", "clang++", "c++")):
            raise EngineRefused("no C++ compiler was found", "engine compiled", f"install g++ or clang++, or {_OTHER}")
        self._made: dict[Any, Callable[..., Tensor]] = {}

    def each(self, unit: Unit, theta: Tensor, batch: TaskBatch) -> Tensor:
        """The unit of every task: theta (D,) or (T, D) to (T, ...)."""
        if unit not in (self.algorithm.contribution, self.algorithm.adapt):
            return super().each(unit, theta, batch)  # a function of one call: its vector would be compiled in
        count = len(batch)
        fixed = _padded(batch, self.chunk or _power(count), self.slots)
        if theta.dim() > 1:
            theta = torch.cat([theta, theta[:1].expand(len(fixed) - count, -1)])
        full = fixed.support.full, fixed.query.full
        arrays = (theta, *tensors_of(fixed))
        key = (unit == self.algorithm.adapt, full, tuple(tuple(one.shape) for one in arrays))
        if key not in self._made:
            if len(self._made) == MOST_SHAPES:
                raise EngineRefused(f"a shape beyond {MOST_SHAPES}", "engine compiled", "fix chunk and slots")
            self._made[key] = self._compile(unit, full, arrays)
        with torch.no_grad():
            return self._made[key](*arrays)[:count].clone()

    def _compile(self, unit: Unit, full: tuple[bool, bool], arrays: tuple[Tensor, ...]) -> Callable[..., Tensor]:
        def whole(theta: Tensor, *parts: Tensor) -> Tensor:
            return vectorised(unit, self.network, self.row_loss, theta, batch_of(parts, full))

        try:
            with sdpa_kernel(SDPBackend.MATH):
                graph = make_fx(whole)(*arrays)
        except (RuntimeError, NotImplementedError, torch.fx.proxy.TraceError) as error:
            raise ModelRefused(f"it cannot be traced ({type(error).__name__})", "engine compiled", _OTHER) from None
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # torch's compiler uses torch's own old interfaces
            made: Callable[..., Tensor] = torch.compile(graph, dynamic=False)
            made(*arrays)
        return made


_OTHER = "use engine stacked, loop or auto"


def _power(count: int) -> int:
    return 1 << max(0, count - 1).bit_length()


def _padded(batch: TaskBatch, tasks: int, slots: tuple[int, int] | None) -> TaskBatch:
    """To so many tasks, and to a power of two of rows unless public slots fix them; what is added weighs nothing."""
    wanted = slots or (_power(batch.support.labels.shape[1]), _power(batch.query.labels.shape[1]))
    more = tasks - len(batch)
    support, query = (_grown(one, more, rows) for one, rows in zip((batch.support, batch.query), wanted, strict=True))
    sizes = torch.cat([batch.sizes, batch.sizes.new_zeros(more, 2)])
    return TaskBatch(support, query, sizes)


def _grown(part: Part, tasks: int, rows: int) -> Part:
    more = rows - part.labels.shape[1]
    if not tasks and not more:
        return part

    def filled(tensor: Tensor) -> Tensor:
        return nn.functional.pad(tensor, (*[0] * (2 * (tensor.dim() - 2)), 0, more, 0, tasks))

    return Part(filled(part.rows), filled(part.labels), filled(part.weights))
