# SPDX-License-Identifier: Apache-2.0
"""MAML of any network with noise inside the adaptation: mode noisy-inner.

DP-SGD (Abadi et al. 2016, arXiv 1607.00133v2) on the support records, a clipped query sum at the adapted model, and in
second order private Hessian products.

What each release costs is worked out in `secure_fedmeta.mechanism`. Every sum is divided by public slots, never by a
count of records, and a record whose gradient is not finite counts as zero, so the noise is drawn and sent whatever the
records are.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fedmeta_privacy.dp_sgd import ClippedNoisySum
from fedmeta_privacy.noise import DiscreteGaussian, Words
from fedmeta_privacy.sensitivity import check_model

from ..engines import Engine
from ..mechanism import InnerRelease
from ..schedule import Schedule
from ..tasks import Task

Float = NDArray[np.float64]


class NoisyInner:
    """One site's rounds in mode noisy-inner: `units` before the upload's own clip and noise, `finish` after it.

    Guarantee: theta_1 ... theta_K together are `InnerRelease` gradients of the support records; the rows of `units`
        read support records through theta_K alone; `finish` reads them through further releases alone.
    """

    def __init__(self, schedule: Schedule, engine: Engine, task: Task) -> None:
        self._schedule = schedule
        self._engine = engine
        self._task = task
        self._sums = tuple(_sum_of(one) for one in schedule.inner)
        self._path: list[Float] = []

    def units(self, theta: Float, words: Words | None) -> Float:
        """Query gradients at the noisily adapted model, (m, P), one row a query record.

        Raises:
            UnsafeModel: before any record is touched.
        """
        check_model(theta)
        plan, task = self._schedule.plan, self._task
        self._path = [theta]
        for _ in range(plan.inner_steps):
            at = self._path[-1]
            gradients = self._engine.example_gradients(at, task.support_rows, task.support_labels)
            self._path.append(at - plan.inner_lr / plan.support_slots * self._noisy(0, gradients, words))
        return self._engine.example_gradients(self._path[-1], task.query_rows, task.query_labels)

    def finish(self, steps: NDArray[np.int64], words: Words | None) -> NDArray[np.int64]:
        """First order: the upload as it is. Second order: through the private Hessian products, back to the start."""
        path, self._path = self._path, []
        if self._schedule.shared:
            return steps
        plan, task, encoding = self._schedule.plan, self._task, self._schedule.encoding
        vector = encoding.decode(steps)
        for at in reversed(path[:-1]):
            products = self._engine.example_products(at, task.support_rows, task.support_labels, vector)
            vector = vector - plan.inner_lr / plan.support_slots * self._noisy(1, products, words)
        return encoding.encode(vector)

    def _noisy(self, kind: int, rows: Float, words: Words | None) -> Float:
        return self._schedule.inner[kind].encoding.decode(self._sums[kind](rows, words))


def _sum_of(one: InnerRelease) -> ClippedNoisySum:
    noise = None if one.scale is None else DiscreteGaussian(one.scale)
    return ClippedNoisySum(clip_norm=one.clip_norm, encoding=one.encoding, noise=noise)
