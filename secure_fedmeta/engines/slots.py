# SPDX-License-Identifier: Apache-2.0
"""A batched engine for units that must not know of each other: the batch has one public shape, whoever is in it.

Condition of the proofs (`fedmeta_privacy.clipped_sum`): a unit's row is a function of that unit and theta alone, bit
for bit. Kernels choose their order of summation by shape, alignment and place, never by values. So every unit keeps its
registered slot, rows are padded to public counts, and empty slots hold zeros: emptying or filling a slot leaves the
bits of all other rows as they are. A unit that does not fit the shape, or holds a label that would raise, is found out
by itself alone and computed by itself alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from ..errors import EngineUnsafe, SettingError
from ..tasks import Task
from .batched import BatchedEngine
from .loop import LoopEngine
from .stacked import StackedEngine

Float = NDArray[np.float64]


def whole_chunks(fast: BatchedEngine, count: int) -> int:
    """`count`, filled up so that every chunk has as many places: the last one too has the shape of all others.

    Example:
        >>> from types import SimpleNamespace
        >>> [whole_chunks(SimpleNamespace(chunk=chunk), 10) for chunk in (None, 4, 5, 16)]
        [10, 12, 10, 10]
    """
    chunk = fast.chunk
    return count if chunk is None or count <= chunk else -(-count // chunk) * chunk


def check_apart(
    fast: BatchedEngine, theta: Float, *, units: int, rows: tuple[int, int], shape: tuple[int, ...]
) -> None:
    """Compute public random tasks in one order and turned by a few slots: every row must keep its bits.

    More than the proof asks for, where a unit stays in its slot. But a person who was never registered leaves the later
    ones a slot earlier, and some networks round differently there (a GRU whose width is no multiple of a vector's).
    Sizes alone decide that, so random tasks of the same sizes show it.

    Raises:
        EngineUnsafe: a row moved.
    """
    rng = np.random.default_rng(1)

    def part(count: int) -> tuple[Float, Float]:
        return rng.integers(0, 2, (count, *shape)).astype(np.float64), np.zeros(count)

    units = whole_chunks(fast, units)
    drawn = [Task(*part(rows[0]), *part(rows[1])) for _ in range(units)]
    before = fast.slots
    fast.slots = rows
    found = fast.contributions(theta, drawn)
    for turn in {1, 2, 3, units // 2} - {0, units}:
        order = np.roll(np.arange(units), turn)
        if not np.array_equal(fast.contributions(theta, [drawn[place] for place in order]), found[order]):
            raise EngineUnsafe(
                "a row's last bits depend on its slot with this network", "performance", "use engine loop"
            )
    fast.slots = before


class SlottedEngine:
    """`fast` on registered slots, `slow` for a unit that does not fit.

    Args:
        fast: StackedEngine in float64; with one unit in all, any batched engine.
        slow: for the others, one at a time.
        units: registered slots.
        rows: public support and query rows of a slot; a unit with more goes through `slow`.
        shape: of one row, public.
        classes: what labels may be with loss cross-entropy (0 .. classes - 1); None where any number may stand.

    Raises:
        EngineUnsafe: another engine with more than one unit.
        SettingError: no slot or no row.
    """

    def __init__(
        self,
        fast: BatchedEngine,
        slow: LoopEngine,
        *,
        units: int,
        rows: tuple[int, int],
        shape: tuple[int, ...],
        classes: int | None = None,
    ) -> None:
        if units > 1 and type(fast) is not StackedEngine:
            raise EngineUnsafe(
                f"{type(fast).__name__} computes {units} units at once",
                "performance",
                "use engine stacked or loop, or make the client the unit",
            )
        if units < 1 or min(rows) < 0 or max(rows) < 1:
            raise SettingError(f"{units} slots of {rows} rows", "performance", "give every unit a slot with rows")
        self._fast, self._slow = fast, slow
        self._units, self._rows, self._shape, self._classes = units, rows, shape, classes
        fast.slots = rows

    def contributions(self, theta: Float, tasks: Sequence[Task]) -> Float:
        """What each task adds to the sum, (tasks, D); a broken one NaN."""
        return self._placed(tasks, lambda engine, some: engine.contributions(theta, some))

    def adapted(self, theta: Float, tasks: Sequence[Task]) -> Float:
        """The network's parameters after each task's adaptation, (tasks, P); a broken one NaN."""
        return self._placed(tasks, lambda engine, some: engine.adapted(theta, some))

    def example_gradients(self, theta: Float, rows: Float, labels: Float) -> Float:
        """One gradient of the loss a row, (n, P); a broken one is NaN."""
        return self._examples(rows, labels, lambda engine, *some: engine.example_gradients(theta, *some))

    def example_products(self, theta: Float, rows: Float, labels: Float, vector: Float) -> Float:
        """Hessian of each row's loss times `vector`, (n, P); a broken one is NaN."""
        return self._examples(rows, labels, lambda engine, *some: engine.example_products(theta, *some, vector))

    def _placed(
        self, tasks: Sequence[Task], run: Callable[[BatchedEngine | LoopEngine, Sequence[Task]], Float]
    ) -> Float:
        if len(tasks) > self._units:
            raise ValueError(f"{len(tasks)} units in {self._units} slots")
        fitting = [self._fits(task) for task in tasks]
        nobody = Task(np.zeros((0, *self._shape)), np.zeros(0), np.zeros((0, *self._shape)), np.zeros(0))
        slots = [task if fits else nobody for task, fits in zip(tasks, fitting, strict=True)]
        places = whole_chunks(self._fast, self._units)
        found = self._batch(run, slots + [nobody] * (places - len(tasks)))[: len(tasks)]
        for place, fits in enumerate(fitting):
            if not fits:
                found[place] = run(self._slow, [tasks[place]])[0]
        return found

    def _batch(
        self, run: Callable[[BatchedEngine | LoopEngine, Sequence[Task]], Float], slots: Sequence[Task]
    ) -> Float:
        if self._units > 1:  # what could raise on values has been sorted out unit by unit
            return run(self._fast, slots)
        try:
            return run(self._fast, slots)
        except Exception:  # noqa: BLE001 - any network may raise, and it concerns the one unit there is
            return run(self._slow, slots)

    def _examples(
        self, rows: Float, labels: Float, run: Callable[[BatchedEngine | LoopEngine, Float, Float], Float]
    ) -> Float:
        most = max(self._rows)
        if len(labels) > most:
            raise ValueError(f"{len(labels)} rows in {most} slots")
        places = whole_chunks(self._fast, most)
        if rows.shape[1:] != self._shape:
            return run(self._slow, rows, labels)  # one table has one shape: that of all of them
        valid = np.array([self._labelled(labels[i : i + 1]) for i in range(len(labels))], dtype=bool)
        filled, marks = np.zeros((places, *self._shape)), np.zeros(places)
        filled[: len(labels)], marks[: len(labels)] = rows, np.where(valid, labels, 0.0)
        found = run(self._fast, filled, marks)[: len(labels)]
        for place in np.flatnonzero(~valid):
            found[place] = run(self._slow, rows[place : place + 1], labels[place : place + 1])[0]
        return found

    def _fits(self, task: Task) -> bool:
        """Whether a unit has the public shape and labels that cannot raise; a function of that unit alone."""
        parts = ((task.support_rows, task.support_labels), (task.query_rows, task.query_labels))
        return all(
            rows.shape == (len(labels), *self._shape) and len(labels) <= most and self._labelled(labels)
            for (rows, labels), most in zip(parts, self._rows, strict=True)
        )

    def _labelled(self, labels: Float) -> bool:
        return self._classes is None or bool(np.isin(labels, np.arange(float(self._classes))).all())
