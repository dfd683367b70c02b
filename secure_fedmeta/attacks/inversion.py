# SPDX-License-Identifier: Apache-2.0
"""Gradient inversion, in closed form: reading a record out of an update.

The gradient of one record of a logistic model is (sigma(x theta) - y) x: the row itself, scaled. Every row carries the
codebook's constant feature in its last place, so dividing by that place and multiplying by the constant gives the
row back, whatever the residual was and however it was clipped. (Phong et al. 2018, "Privacy-Preserving Deep Learning
via Additively Homomorphic Encryption", section 3, for a neuron with a bias.) MAML's second-order factor bends the
direction a little; first order leaves it exact.

Of a sum over several records the same division gives a weighted mean of rows, which is nobody's. The yardstick is an
attacker who saw no update and names the population's mean row: an attack that comes no closer has read nothing.
"""

from __future__ import annotations

import os
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from fedmeta_crypto import Entropy

from ..tasks import Task
from .figures import BARE, MASKED, NOISED, AttackReport, Figure
from .rounds import masked_sum
from .target import NotAttackable, Target

Float = NDArray[np.float64]

LONE = "one site's bare update, a single query record in it"
SUCCESS = 0.25
ATTACKER = "the model and the public codebook"
_MEASURE = "distance to the record (1: no closer than a mean row)"


def row_from_gradient(gradient: Float, constant: float) -> Float:
    """The row (d,) that a one-record logistic gradient (d,) was made of; zeros if the gradient is zero.

    Example:
        >>> row_from_gradient(-0.3 * np.array([0.2, -0.1, 0.4]), 0.4).round(12).tolist()
        [0.2, -0.1, 0.4]
    """
    last = float(gradient[-1])
    if last == 0.0 or not np.isfinite(gradient).all():
        return np.zeros_like(gradient)
    row: Float = gradient * (constant / last)
    return row


def invert_gradients(target: Target, *, entropy: Entropy = os.urandom) -> AttackReport:
    """Read a record out of a lone update, a site's update, the masked sum, and that sum with noise.

    Every site is attacked in turn; of a sum the nearest of the records in it counts as the attacker's find.

    Raises:
        NotAttackable: a site without query records.
    """
    tasks, mean = target.tasks, target.outsiders[0].mean(axis=0)
    if not all(len(task.query_labels) for task in tasks.values()):
        raise NotAttackable("a site has no query record", target.name, "attack a run with more records")
    constant = float(mean[-1])
    decode = target.schedule.encoding.decode
    lone, bare = [], []
    for site, task in tasks.items():
        single = replace(target, tasks={site: _one_record(task)})
        lone.append(_distance(decode(single.upload(site, None)), single.tasks[site].query_rows, mean, constant))
        bare.append(_distance(decode(target.upload(site, None)), task.query_rows, mean, constant))
    everyone = np.concatenate([task.query_rows for task in tasks.values()])
    sums: list[tuple[str, Entropy | None]] = [(MASKED, None)] if target.schedule.masked else []
    if target.schedule.masked and target.schedule.scale is not None:
        sums.append((NOISED, entropy))
    figures = [_figure(LONE, lone), _figure(BARE, bare)]
    for name, source in sums:
        opened = decode(_summed(target, source))
        figures.append(_figure(name, [_distance(opened, everyone, mean, constant)]))
    return AttackReport(
        "inversion",
        target.name,
        f"an attack succeeds if it comes {1 / SUCCESS:.0f} times closer to a record than a mean row does",
        tuple(figures),
        "A site with a single record in its update shows that record to whoever sees the update. Within a sum no row "
        "stands alone, but a sum without noise still tells a lot to someone who knows the other records: see "
        "`--kind membership`. That this attack fails on a sum is no guarantee; epsilon is.",
    )


def _summed(target: Target, entropy: Entropy | None) -> NDArray[np.int64]:
    """The sum over all sites as the server opens it, through a whole masked round."""
    encoding = target.schedule.encoding
    vectors = {site: encoding.to_ring(target.upload(site, entropy)) for site in target.tasks}
    return encoding.from_ring(masked_sum(vectors, modulus_bits=encoding.modulus_bits).total)


def _one_record(task: Task) -> Task:
    return Task(task.support_rows, task.support_labels, task.query_rows[:1], task.query_labels[:1])


def _distance(update: Float, rows: Float, mean: Float, constant: float) -> float:
    """Distance of the reading to the nearest row, over the distance of the mean row to that row; 1 if it reads worse.

    The constant feature is public and left out.
    """
    read = row_from_gradient(update, constant)[:-1]
    distances = np.linalg.norm(rows[:, :-1] - read, axis=1)
    nearest = int(distances.argmin())
    yardstick = float(np.linalg.norm(rows[nearest, :-1] - mean[:-1]))
    return min(1.0, float(distances[nearest]) / max(yardstick, 1e-12))


def _figure(observed: str, distances: list[float]) -> Figure:
    median = float(np.median(distances))
    return Figure(observed, ATTACKER, {_MEASURE: median}, {}, median <= SUCCESS, len(distances))
