# SPDX-License-Identifier: Apache-2.0
"""Which engine a network gets: each candidate computes tasks that hold no data, is compared with the loop, and timed.

The loop takes any network, so it is the reference and the last resort. `compiled` is no candidate: its first call takes
half a minute, which only a long run earns back.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from ..algorithms.core import Algorithm
from ..errors import ModelRefused, UserError
from ..parameters import Architecture
from ..tasks import Task
from .batched import BatchedEngine
from .loop import LoopEngine
from .stacked import StackedEngine
from .vmap import VmapEngine

Float = NDArray[np.float64]
AGREEMENT = {torch.float64: 1e-8, torch.float32: 1e-3}  # of rows, relative to the largest entry
CONVOLVED_AT_ONCE = 4  # tasks with convolutions: their activations for two derivatives are what fills memory
FASTER = 0.9  # of the loop's seconds: less is not worth leaving the reference for
REPEATS = 3


@dataclass(frozen=True, slots=True)
class Timing:
    """One candidate: milliseconds for all tasks (estimated from a chunk of them), or why it is none."""

    engine: str
    milliseconds: float
    refused: str = ""

    def __str__(self) -> str:
        return f"{self.engine}: " + (f"no ({self.refused})" if self.refused else f"{self.milliseconds:.2f} ms")


@dataclass(frozen=True, slots=True)
class Choice:
    """The engine that was picked, and why.

    Example:
        >>> print(Choice("stacked", 32, (Timing("loop", 16.0), Timing("stacked", 1.0))))
        engine stacked for 32 tasks (loop: 16.00 ms, stacked: 1.00 ms)
    """

    engine: str
    tasks: int
    timings: tuple[Timing, ...]
    chunk: int | None = None

    def __str__(self) -> str:
        return f"engine {self.engine} for {self.tasks} tasks ({', '.join(map(str, self.timings))})"


def choose(
    architecture: Architecture,
    algorithm: Algorithm,
    *,
    loss: str,
    tasks: int,
    rows: tuple[int, int],
    shape: tuple[int, ...],
    candidates: Sequence[str] = ("stacked", "vmap"),
    dtype: torch.dtype = torch.float64,
) -> Choice:
    """Measure the candidates on public tasks of this size: `tasks` of `rows` support and query rows of `shape`.

    The probe's rows are zeros and ones drawn with a fixed seed, which embeddings take as well; labels are zeros.

    Raises:
        ModelRefused: the network does not run on such rows at all.
    """
    convolved = any(isinstance(part, nn.modules.conv._ConvNd) for part in architecture.skeleton.modules())
    chunk = min(tasks, CONVOLVED_AT_ONCE) if convolved else None
    probe = _public_tasks(min(tasks, chunk or tasks), rows, shape)
    theta = algorithm.start(architecture).numpy()
    loop = LoopEngine(architecture, algorithm, loss=loss, dtype=dtype)
    reference, seconds = _timed(loop, theta, probe[:1])
    if not np.isfinite(reference).all():
        raise ModelRefused("it does not run on rows of zeros and ones", "engine auto", "check shapes and outputs")
    slow = seconds * tasks
    timings = [Timing("loop", 1e3 * slow)]
    for name in candidates:
        kind = ENGINES[name]
        if name == "vmap" and convolved:
            timings.append(Timing(name, math.inf, "convolutions take gigabytes there"))
            continue
        try:
            found, seconds = _timed(kind(architecture, algorithm, loss=loss, dtype=dtype, chunk=chunk), theta, probe)
        except (UserError, RuntimeError, ValueError, TypeError, LookupError) as error:
            said = error.what if isinstance(error, UserError) else type(error).__name__
            timings.append(Timing(name, math.inf, said))
            continue
        # Compared after its time is taken: a network that answers differently is no candidate, however fast.
        expected = loop.contributions(theta, probe)
        scale = max(1.0, float(np.abs(expected).max()))
        if not np.abs(found - expected).max() <= AGREEMENT[dtype] * scale:
            timings.append(Timing(name, math.inf, "it disagrees with the loop"))
            continue
        timings.append(Timing(name, 1e3 * seconds * tasks / len(probe)))
    best = min(timings[1:], key=lambda one: one.milliseconds, default=timings[0])
    if best.milliseconds > FASTER * timings[0].milliseconds:
        return Choice("loop", tasks, tuple(timings))
    return Choice(best.engine, tasks, tuple(timings), chunk)


ENGINES: dict[str, type[BatchedEngine]] = {"stacked": StackedEngine, "vmap": VmapEngine}


class AutoEngine:
    """Chooses at the first call, by the size of that batch, and says what in `choice`; then the same for all calls.

    For tasks of one owner: where units must not know of each other the choice is made from public sizes instead
    (`performance`).
    """

    def __init__(
        self, architecture: Architecture, algorithm: Algorithm, *, loss: str, dtype: torch.dtype = torch.float64
    ) -> None:
        self._architecture, self._algorithm, self._loss, self._dtype = architecture, algorithm, loss, dtype
        self.choice: Choice | None = None
        self._engine: BatchedEngine | LoopEngine = LoopEngine(architecture, algorithm, loss=loss, dtype=dtype)

    def contributions(self, theta: Float, tasks: Sequence[Task]) -> Float:
        """What each task adds to the sum, (tasks, D)."""
        return self._chosen(tasks).contributions(theta, tasks)

    def adapted(self, theta: Float, tasks: Sequence[Task]) -> Float:
        """The network's parameters after each task's adaptation, (tasks, P)."""
        return self._chosen(tasks).adapted(theta, tasks)

    def example_gradients(self, theta: Float, rows: Float, labels: Float) -> Float:
        """One gradient of the loss a row, (n, P)."""
        return self._chosen(_one_task(rows, labels)).example_gradients(theta, rows, labels)

    def example_products(self, theta: Float, rows: Float, labels: Float, vector: Float) -> Float:
        """Hessian of each row's loss times `vector`, (n, P)."""
        return self._chosen(_one_task(rows, labels)).example_products(theta, rows, labels, vector)

    def _chosen(self, tasks: Sequence[Task]) -> BatchedEngine | LoopEngine:
        if self.choice is None and tasks:
            sizes = [(len(one.support_labels), len(one.query_labels)) for one in tasks]
            rows = max(s for s, _ in sizes), max([1, *(q for _, q in sizes)])
            shape = next((r.shape[1:] for one in tasks for r in (one.query_rows, one.support_rows) if len(r)), ())
            choice = choose(
                self._architecture,
                self._algorithm,
                loss=self._loss,
                tasks=len(tasks),
                rows=rows,
                shape=shape,
                dtype=self._dtype,
            )
            if choice.engine != "loop":
                self._engine = ENGINES[choice.engine](
                    self._architecture, self._algorithm, loss=self._loss, dtype=self._dtype, chunk=choice.chunk
                )
            self.choice = choice
        return self._engine


def _one_task(rows: Float, labels: Float) -> list[Task]:
    return [Task(rows[:0], labels[:0], rows[i : i + 1], labels[i : i + 1]) for i in range(len(labels))]


def _public_tasks(count: int, rows: tuple[int, int], shape: tuple[int, ...]) -> list[Task]:
    rng = np.random.default_rng(0)
    s, q = rows[0], max(rows[1], 1)
    return [
        Task(
            rng.integers(0, 2, (s, *shape)).astype(float),
            np.zeros(s),
            rng.integers(0, 2, (q, *shape)).astype(float),
            np.zeros(q),
        )
        for _ in range(count)
    ]


def _timed(engine: BatchedEngine | LoopEngine, theta: Float, tasks: Sequence[Task]) -> tuple[Float, float]:
    """The rows, and the least seconds of a few calls after a first one."""
    found, best = engine.contributions(theta, tasks), math.inf
    for _ in range(REPEATS):
        start = time.perf_counter()
        engine.contributions(theta, tasks)
        best = min(best, time.perf_counter() - start)
    return found, best
