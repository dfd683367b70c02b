# SPDX-License-Identifier: Apache-2.0
"""From a model to what a site clips, sums and sends: one class per mode, one interface."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from fedmeta_privacy.noise import DiscreteGaussian, Words
from fedmeta_privacy.sensitivity import check_model
from fedmeta_privacy.surplus import samplers

from ..algorithms.glm import displacement, logistic, softmax
from ..engines import Engine
from ..performance import Performance, site_engine
from ..schedule import Schedule
from ..tasks import Task, check_task, check_tasks

if TYPE_CHECKING:
    from fedmeta_privacy.dp_sgd import ClippedNoisySum

Float = NDArray[np.float64]
Data = Task | tuple[Task, ...]


class Contribution(Protocol):
    """`units` gives one row a unit, to be clipped and summed with noise; `finish` may go on from that noisy sum.

    Neither may raise, wait or count on account of what the records are: a row that is not finite counts as zero later.
    """

    def units(self, theta: Float, words: Words | None) -> Float:
        """Shape (units, P)."""

    def finish(self, steps: NDArray[np.int64], words: Words | None) -> NDArray[np.int64]:
        """Steps to steps, (P,)."""


class _Plain:
    """What is uploaded is the noisy sum itself."""

    def finish(self, steps: NDArray[np.int64], words: Words | None) -> NDArray[np.int64]:  # noqa: ARG002
        """Nothing is left to do."""
        return steps


class ClosedForm(_Plain):
    """Mode bounded-glm: per-record meta-gradients of logistic or softmax regression, or where training on them led."""

    def __init__(self, schedule: Schedule, task: Task) -> None:
        self._plan, self._task = schedule.plan, task
        of_loss = logistic.contributions if schedule.plan.loss == "logistic" else softmax.contributions
        self._of = displacement.contributions if schedule.plan.one_role else of_loss

    def units(self, theta: Float, words: Words | None) -> Float:  # noqa: ARG002
        """One row a query record; a single one of reptile and fedavg."""
        return self._of(theta, self._task, self._plan)


class Persons(_Plain):
    """Mode task-is-person: each person's meta-gradient. Mode client-vector: one task, which is the whole site."""

    def __init__(self, engine: Engine, tasks: tuple[Task, ...]) -> None:
        self._engine = engine
        self._tasks = tasks  # each in its registered slot
        self._present = np.array([len(task.support_labels) + len(task.query_labels) > 0 for task in tasks], dtype=bool)

    def units(self, theta: Float, words: Words | None) -> Float:  # noqa: ARG002
        """One row a task; none for a task without any record, which is an empty slot and not a unit within the norm."""
        check_model(theta)
        rows: Float = self._engine.contributions(theta, self._tasks)[self._present]
        return rows


def contribution_of(schedule: Schedule, data: Data, performance: Performance | None = None) -> Contribution:
    """What the site's mode makes of its registered records; `performance` says how, and changes no guarantee."""
    plan = schedule.plan
    if plan.mode == "bounded-glm" and isinstance(data, Task):
        return ClosedForm(schedule, data)
    tasks = (data,) if isinstance(data, Task) else data
    shape = tasks[0].query_rows.shape[1:] if tasks else None  # a site without any person still sends noise
    engine = engine_of(schedule, performance or Performance(), shape)
    if plan.mode == "noisy-inner" and isinstance(data, Task):
        from ..algorithms.noisy_inner import NoisyInner

        return NoisyInner(schedule, engine, data)
    return Persons(engine, tasks)


def release_of(schedule: Schedule) -> ClippedNoisySum:
    """What clips a site's rows, sums them and adds its own noise, the part of it that is never taken off again."""
    from fedmeta_privacy.dp_sgd import ClippedNoisySum  # torch and Opacus: only for whoever uploads

    noise = None if schedule.scale is None else DiscreteGaussian(schedule.scale)
    if schedule.surplus is not None:
        noise = samplers(schedule.surplus.scales)[0]
    return ClippedNoisySum(
        clipping=schedule.clipping,
        encoding=schedule.encoding,
        noise=noise,
        slots=schedule.plan.unit_slots,
        rounding=schedule.noise.rounding,
    )


def engine_of(schedule: Schedule, performance: Performance, shape: tuple[int, ...] | None) -> Engine:
    """The engine that computes a network's gradients, for rows of this shape; None where there are no rows at all."""
    from ..algorithms.planned import algorithm_of

    plan, architecture = schedule.plan, schedule.architecture
    assert architecture is not None  # `make_schedule` saw to it
    return site_engine(plan, architecture, algorithm_of(plan, architecture), performance, shape)


def check_data(schedule: Schedule, data: Data, *, site: str) -> None:
    """Check a site's registered records where they are held, before the run.

    Raises:
        TooManyRecords, SettingError: they are not what the sensitivity proof asks for.
        ModelRefused: the network does not take such rows.
    """
    plan, architecture = schedule.plan, schedule.architecture
    tasks = (data,) if isinstance(data, Task) else data
    columns = schedule.columns if architecture is None else tasks[0].query_rows.shape[-1] if tasks else 1
    if architecture is not None and tasks:
        architecture.check_fits(columns, plan.outputs)
    if isinstance(data, Task):
        check_task(data, plan, dimension=columns, site=site)
    else:
        check_tasks(data, plan, dimension=columns, site=site)
