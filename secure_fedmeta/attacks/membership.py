# SPDX-License-Identifier: Apache-2.0
"""Membership inference: was this person's record among a site's query records in this round?

For every query record two worlds are played, with the record and without it. The attacker knows the announced model,
the record in question and, being an insider, every other record of its site; what the other sites hold it knows only
as a population (or, in the last line, completely). Its score is the log-likelihood ratio of the two worlds under a
Gaussian fit, as in the online attack of Carlini et al. 2022 ("LiRA", arXiv 2112.03570v2, section 5). Here the update is
a sum, so both fits have one covariance and the ratio is linear: with y the observation minus what the attacker expects
without the record, g the record's clipped contribution and S the covariance of all that it does not know,

    score = g^T S^{-1} y - g^T S^{-1} g / 2.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedmeta_crypto import Entropy

from ..algorithms.glm.logistic import sigmoid
from .figures import (
    BARE,
    MASKED,
    NOISED,
    OWN_NOISE,
    AttackReport,
    Figure,
    auc,
    auc_limit,
    true_positives_at,
    true_positives_limit,
)
from .target import Target

Float = NDArray[np.float64]

FALSE_POSITIVES = 0.01
SUCCESS = 0.8
DRAWS = 20  # of noise for each record
INSIDER = "the record, and all other records of its site"
ALL_KNOWING = "the record, and all other records of all sites"
ADAPTED = "the model as a site adapted it (it never leaves the site)"
_RIDGE = 1e-9  # of the clip norm, squared: what is known exactly has this variance


@dataclass(frozen=True, slots=True, eq=False)
class _Worlds:
    """Scores with and without the record."""

    within: Float
    without: Float


@dataclass(frozen=True, slots=True)
class _Seat:
    """What the attacker sees: of how many parties' noise, with the other sites or not, and what it knows of them."""

    others: bool = False
    known: bool = False
    parties: int = 0


def infer_membership(target: Target, *, entropy: Entropy = os.urandom, draws: int = DRAWS) -> AttackReport:
    """Attack every query record of every site: bare, with the site's own noise, masked, and masked with noise.

    Args:
        target: the round.
        entropy: of the noise.
        draws: of noise for each record.
    """
    schedule = target.schedule
    seats = [(BARE, INSIDER, _Seat())]
    if schedule.scale is not None:
        seats.append((OWN_NOISE, INSIDER, _Seat(parties=1)))
    if schedule.masked:
        seats += [(MASKED, INSIDER, _Seat(others=True)), (MASKED, ALL_KNOWING, _Seat(others=True, known=True))]
    if schedule.masked and schedule.scale is not None:
        n = schedule.planned_survivors
        seats += [
            (NOISED, INSIDER, _Seat(others=True, parties=n)),
            (NOISED, ALL_KNOWING, _Seat(others=True, known=True, parties=n)),
        ]
    figures = [_figure(name, attacker, seat, target, entropy, draws) for name, attacker, seat in seats]
    return AttackReport(
        "membership",
        target.name,
        f"an attack succeeds if it tells a member from a non-member {SUCCESS:.0%} of the time (AUC)",
        (*figures, _loss_figure(target)),
        "Masking hides a site among the others; it does not stop an attacker who knows the records of all of them. "
        "Noise does: its limit holds for every attack on one round with the planned survivors, known or unknown, and "
        "the run's epsilon for all rounds together. A low figure here is no proof: only the limit is. Figures are over "
        "a few thousand trials, so one may come out some thousandths above its limit. An adapted model is protected by "
        "nothing but staying where it was adapted.",
    )


def scores(target: Target, *, noisy: bool, entropy: Entropy = os.urandom, draws: int = DRAWS) -> tuple[Float, Float]:
    """Scores with and without each record, of an attacker who knows all others, at a masked sum; for a curve.

    Args:
        target: the round.
        noisy: with the noise of all planned survivors, or with none.
        entropy: of the noise.
        draws: of noise for each record.
    """
    seat = _Seat(others=True, known=True, parties=target.schedule.planned_survivors if noisy else 0)
    worlds = _play(target, seat, entropy, draws if noisy else 1)
    return worlds.within, worlds.without


def _figure(observed: str, attacker: str, seat: _Seat, target: Target, entropy: Entropy, draws: int) -> Figure:
    worlds = _play(target, seat, entropy, draws if seat.parties else 1)
    limits = {}
    if seat.parties and target.schedule.private:
        mu = math.sqrt(target.schedule.shift(seat.parties))
        limits = {"AUC": auc_limit(mu), "TPR at 1 % FPR": true_positives_limit(mu, FALSE_POSITIVES)}
    return _measured(observed, attacker, worlds, limits)


def _measured(observed: str, attacker: str, worlds: _Worlds, limits: Mapping[str, float]) -> Figure:
    area = auc(worlds.within, worlds.without)
    measures = {
        "AUC": area,
        "TPR at 1 % FPR": true_positives_at(worlds.within, worlds.without, FALSE_POSITIVES),
    }
    return Figure(observed, attacker, measures, limits, area >= SUCCESS, len(worlds.within))


def _loss_figure(target: Target) -> Figure:
    """Loss at the adapted parameters: records that a site adapted on, against people it never registered.

    Source: the threshold attack of Yeom et al. 2018 (arXiv 1709.01604v5), section 3.2.
    """
    within, without = [], []
    for site, task in target.tasks.items():
        adapted = _adapted(target, site)
        rows, labels = target.held_out[site]
        within.append(-_loss(adapted, task.support_rows, task.support_labels))
        without.append(-_loss(adapted, rows, labels))
    return _measured(ADAPTED, "the record", _Worlds(np.concatenate(within), np.concatenate(without)), {})


def _adapted(target: Target, site: int) -> Float:
    task, plan = target.tasks[site], target.plan
    theta = target.theta
    for _ in range(plan.inner_steps):
        residual = sigmoid(task.support_rows @ theta) - task.support_labels
        theta = theta - plan.inner_lr / plan.support_slots * (task.support_rows.T @ residual)
    return theta


def _loss(theta: Float, rows: Float, labels: Float) -> Float:
    """Logistic loss of each record."""
    loss: Float = np.logaddexp(0.0, -(2 * labels - 1) * (rows @ theta))
    return loss


def _play(target: Target, seat: _Seat, entropy: Entropy, draws: int) -> _Worlds:
    """Both worlds of every query record."""
    within, without = [], []
    mean, spread = _population(target)
    clipped = {site: target.clipped(site) for site in target.tasks}
    sums = {site: rows.sum(axis=0) for site, rows in clipped.items()}
    for site, rows in clipped.items():
        hidden = sum((sums[other] for other in sums if other != site), np.zeros(rows.shape[1]))
        count = sum(len(clipped[other]) for other in sums if other != site)
        unknown, covariance = np.zeros_like(hidden), np.zeros_like(spread)
        if seat.others and not seat.known:
            unknown, covariance = hidden - count * mean, count * spread
        variance = (_RIDGE * target.plan.clip_norm) ** 2 + target.noise_deviation(seat.parties) ** 2
        weights = np.linalg.inv(covariance + variance * np.eye(len(mean)))
        noise = np.zeros((len(rows), draws, len(mean)))
        if seat.parties:
            noise += target.noise(entropy, draws=draws * len(rows), parties=seat.parties).reshape(noise.shape)
        for g, drawn in zip(rows, noise, strict=True):
            pull = g @ weights
            half = float(pull @ g) / 2
            # In units of its own deviation, so that records of different strength share one threshold.
            size = math.sqrt(2 * half) if half > 0 else 1.0
            without.append(((unknown + drawn) @ pull - half) / size)
            within.append(((unknown + drawn + g) @ pull - half) / size)
    return _Worlds(np.concatenate(within), np.concatenate(without))


def _population(target: Target) -> tuple[Float, Float]:
    """Mean and covariance of one person's clipped contribution, from people at no member site."""
    rows, labels = target.outsiders
    gradients = target.clip(rows * (sigmoid(rows @ target.theta) - labels)[:, None])
    mean: Float = gradients.mean(axis=0)
    centred = gradients - mean
    spread: Float = centred.T @ centred / (len(gradients) - 1)
    return mean, spread
