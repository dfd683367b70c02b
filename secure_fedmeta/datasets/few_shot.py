# SPDX-License-Identifier: Apache-2.0
"""Few-shot tasks: sine curves, and N-way K-shot episodes from any labelled arrays.

Seeds and generators here make data for experiments; no privacy rests on them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from secure_fedmeta.datasets.clients import Float, Index, TaskError
from secure_fedmeta.datasets.labelled import Labelled
from secure_fedmeta.tasks import Task

LARGEST = 1 << 28
"""Most numbers that one call makes (2 GiB in float64)."""


@dataclass(frozen=True, slots=True, eq=False)
class Episodes:
    """T tasks of equal size: support (T, s, ...), (T, s[, 1]) and query (T, m, ...), (T, m[, 1]).

    Example:
        >>> made = sine_episodes(3, support=5, query=7, rng=np.random.default_rng(0))
        >>> len(made), made.support_x.shape, made.query_y.shape
        (3, (3, 5, 1), (3, 7, 1))
        >>> next(iter(made)).support_labels.shape
        (5,)
    """

    support_x: Float
    support_y: NDArray[np.generic]
    query_x: Float
    query_y: NDArray[np.generic]

    def __len__(self) -> int:
        """Number of tasks."""
        return len(self.support_x)

    def __repr__(self) -> str:
        return f"Episodes(<{len(self)} tasks, {self.support_x.shape[1]} + {self.query_x.shape[1]} samples>)"

    def __iter__(self) -> Iterator[Task]:
        """Each task by itself, inputs flattened to (s, d), labels (s,) in float64."""
        for sx, sy, qx, qy in zip(self.support_x, self.support_y, self.query_x, self.query_y, strict=True):
            s, m = len(sx), len(qx)
            labels = np.asarray(sy, dtype=np.float64).reshape(s), np.asarray(qy, dtype=np.float64).reshape(m)
            yield Task(sx.reshape(s, -1), labels[0], qx.reshape(m, -1), labels[1])


@dataclass(frozen=True, slots=True, eq=False)
class SineTasks:
    """T curves y = amplitude * sin(x - phase), (T,) each: Finn, Abbeel and Levine 2017, arXiv 1703.03400v3, 5.1.

    Amplitude U[0.1, 5], phase U[0, pi], inputs U[-5, 5]. The sign of the phase is that of the authors' own code
    (cbfinn/maml, data_generator.py); the paper gives no formula.

    Example:
        >>> curves = sine_tasks(1000, rng=np.random.default_rng(0))
        >>> x, y = curves.sample(10, rng=np.random.default_rng(1))
        >>> x.shape, y.shape, bool(np.abs(y).max() <= 5.0)
        ((1000, 10, 1), (1000, 10, 1), True)
    """

    amplitude: Float
    phase: Float

    def __len__(self) -> int:
        """Number of curves."""
        return len(self.amplitude)

    def at(self, x: Float) -> Float:
        """Values (T, n, 1) of each curve at its inputs (T, n, 1), or at (n, 1) shared ones."""
        values: Float = self.amplitude[:, None, None] * np.sin(x - self.phase[:, None, None])
        return values

    def sample(self, shots: int, *, rng: np.random.Generator) -> tuple[Float, Float]:
        """Inputs and values, (T, shots, 1) each."""
        _check_size("sine samples", len(self), shots, 1)
        x = rng.uniform(-5.0, 5.0, (len(self), shots, 1))
        return x, self.at(x)

    def grid(self, points: int = 200) -> tuple[Float, Float]:
        """The same evenly spaced inputs over [-5, 5] for all curves, and the values; (T, points, 1) each."""
        _check_size("sine grid", len(self), points, 1)
        x = np.broadcast_to(np.linspace(-5.0, 5.0, points)[:, None], (len(self), points, 1))
        return x, self.at(x)


def sine_tasks(tasks: int, *, rng: np.random.Generator) -> SineTasks:
    """Draw curves.

    Raises:
        TaskError: SFM-137 for no tasks, or more than memory is meant for.
    """
    _check_size("sine tasks", tasks, 1, 1)
    return SineTasks(rng.uniform(0.1, 5.0, tasks), rng.uniform(0.0, math.pi, tasks))


def sine_episodes(tasks: int, *, support: int, query: int, rng: np.random.Generator) -> Episodes:
    """New curves with their support and query samples, drawn at once.

    Raises:
        TaskError: SFM-137 for counts below one, or more than memory is meant for.
    """
    curves = sine_tasks(tasks, rng=rng)
    sx, sy = curves.sample(support, rng=rng)
    qx, qy = curves.sample(query, rng=rng)
    return Episodes(sx, sy, qx, qy)


def episodes(data: Labelled, *, ways: int, shots: int, queries: int, tasks: int, seed: int) -> Episodes:
    """N-way K-shot classification: in each task `ways` classes, of each `shots` support and `queries` query samples.

    Classes, samples and the numbering 0 to ways - 1 are drawn anew for each task; no sample is in support and query of
    one task. Samples follow each other class by class. For test tasks of unseen classes split the classes first
    (`Labelled.split_classes`). Labels are int64.

    Raises:
        TaskError: SFM-137 for settings out of bounds (one way is no task); SFM-138 for fewer classes than ways, or a
            class with fewer than shots + queries samples, which is named: `Labelled.without_small_classes` drops such
            classes when that is what you want.

    Example:
        >>> from secure_fedmeta.datasets.labelled import bundled
        >>> train, test = bundled("digits").split_classes(5, seed=0)
        >>> made = episodes(test, ways=5, shots=1, queries=15, tasks=4, seed=0)
        >>> made.support_x.shape, made.query_y.shape, made.support_y[0].tolist()
        ((4, 5, 64), (4, 75), [0, 1, 2, 3, 4])
    """
    where = f"episodes of {data.name!r}"
    width = data.x[0].size
    _check_size(where, tasks * ways, shots + queries, width)
    if ways < 2 or min(shots, queries, tasks) < 1 or seed < 0:
        what, remedy = f"{ways} ways, {shots} shots, {queries} queries, {tasks} tasks, seed {seed}", "use positive ones"
        raise TaskError("SFM-137", what, where, f"{remedy}, at least two ways")
    places = data.places()
    if len(places) < ways:
        raise TaskError("SFM-138", f"{len(places)} classes for {ways} ways", where, "lower ways, or add classes")
    for label, held in places.items():
        if len(held) < shots + queries:
            what = f"class {label} has {len(held)} samples for {shots} shots and {queries} queries"
            raise TaskError("SFM-138", what, where, "lower them, or drop small classes with without_small_classes")
    rng = np.random.default_rng(seed)
    index = np.stack([_draw(places, ways, shots + queries, rng) for _ in range(tasks)])  # (T, ways, shots + queries)
    support, query = index[:, :, :shots].reshape(tasks, -1), index[:, :, shots:].reshape(tasks, -1)
    labels = np.arange(ways)
    return Episodes(
        np.asarray(data.x, dtype=np.float64)[support],
        np.tile(np.repeat(labels, shots), (tasks, 1)),
        np.asarray(data.x, dtype=np.float64)[query],
        np.tile(np.repeat(labels, queries), (tasks, 1)),
    )


def _draw(places: dict[int, Index], ways: int, samples: int, rng: np.random.Generator) -> Index:
    """Positions (ways, samples) of one task; `permutation` over classes also numbers them by chance."""
    chosen = rng.permutation(np.fromiter(places, dtype=np.int64, count=len(places)))[:ways]
    drawn: Index = np.stack([rng.choice(places[int(label)], samples, replace=False) for label in chosen])
    return drawn


def _check_size(where: str, tasks: int, samples: int, width: int) -> None:
    if tasks < 1 or samples < 1:
        raise TaskError("SFM-137", f"{tasks} tasks of {samples} samples", where, "use counts of at least one")
    if tasks * samples * width > LARGEST:
        what = f"{tasks} x {samples} x {width} numbers are more than {LARGEST}"
        raise TaskError("SFM-137", what, where, "make them in parts")
