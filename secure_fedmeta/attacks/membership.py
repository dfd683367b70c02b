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
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedmeta_crypto import Entropy

from ..algorithms.maml import sigmoid
from .figures import BARE, MASKED, NOISED, AttackReport, Figure, auc, auc_limit, true_positives_at, true_positives_limit
from .target import Target

Float = NDArray[np.float64]

FALSE_POSITIVES = 0.01
SUCCESS = 0.8
DRAWS = 20  # of noise for each record
INSIDER = "the record, and all other records of its site"
ALL_KNOWING = "the record, and all other records of all sites"
_RIDGE = 1e-9  # of the clip norm, squared: what is known exactly has this variance


@dataclass(frozen=True, slots=True, eq=False)
class _Worlds:
    """Scores with and without the record."""

    within: Float
    without: Float


def infer_membership(target: Target, *, entropy: Entropy = os.urandom, draws: int = DRAWS) -> AttackReport:
    """Attack every query record of every site, before masking, after it, and with noise.

    Args:
        target: the round.
        entropy: of the noise.
        draws: of noise for each record.
    """
    figures = [
        _figure(BARE, INSIDER, _play(target, others=False, known=False, entropy=None, draws=1)),
        _figure(MASKED, INSIDER, _play(target, others=True, known=False, entropy=None, draws=1)),
        _figure(MASKED, ALL_KNOWING, _play(target, others=True, known=True, entropy=None, draws=1)),
    ]
    if target.schedule.scale is not None:
        mu = math.sqrt(target.schedule.shift(target.schedule.planned_survivors))
        for attacker, known in ((INSIDER, False), (ALL_KNOWING, True)):
            worlds = _play(target, others=True, known=known, entropy=entropy, draws=draws)
            figures.append(_figure(NOISED, attacker, worlds, mu=mu))
    return AttackReport(
        "membership",
        target.name,
        f"an attack succeeds if it tells a member from a non-member {SUCCESS:.0%} of the time (AUC)",
        tuple(figures),
        "Masking hides a site among the others; it does not stop an attacker who knows the records of all of them. "
        "Noise does: its limit holds for every attack on one round with the planned survivors, known or unknown, and "
        "the run's epsilon for all rounds together. A low figure here is no proof: only the limit is. Figures are over "
        "a few thousand trials, so one may come out some thousandths above its limit.",
    )


def _figure(observed: str, attacker: str, worlds: _Worlds, mu: float | None = None) -> Figure:
    area = auc(worlds.within, worlds.without)
    measures = {
        "AUC": area,
        "TPR at 1 % FPR": true_positives_at(worlds.within, worlds.without, FALSE_POSITIVES),
    }
    limits = {}
    if mu is not None:
        limits = {"AUC": auc_limit(mu), "TPR at 1 % FPR": true_positives_limit(mu, FALSE_POSITIVES)}
    return Figure(observed, attacker, measures, limits, area >= SUCCESS, len(worlds.within))


def _play(target: Target, *, others: bool, known: bool, entropy: Entropy | None, draws: int) -> _Worlds:
    """Both worlds of every query record; `others` adds the other sites, `known` tells the attacker about them."""
    within, without = [], []
    mean, spread = _population(target)
    clipped = {site: target.clipped(site) for site in target.tasks}
    sums = {site: rows.sum(axis=0) for site, rows in clipped.items()}
    for site, rows in clipped.items():
        hidden = sum((sums[other] for other in sums if other != site), np.zeros(rows.shape[1]))
        count = sum(len(clipped[other]) for other in sums if other != site)
        unknown = np.zeros_like(hidden) if not others or known else hidden - count * mean
        covariance = np.zeros_like(spread) if not others or known else count * spread
        variance = (_RIDGE * target.plan.clip_norm) ** 2
        if entropy is not None:
            variance += target.noise_deviation**2
        weights = np.linalg.inv(covariance + variance * np.eye(len(mean)))
        # Records in blocks, each with its own draws of noise.
        for g, noise in _with_noise(target, rows, entropy, draws):
            without_it = unknown + noise
            pull = g @ weights
            half = float(pull @ g) / 2
            # In units of its own deviation, so that records of different strength share one threshold.
            size = math.sqrt(2 * half) if half > 0 else 1.0
            without.append((without_it @ pull - half) / size)
            within.append(((without_it + g) @ pull - half) / size)
    return _Worlds(np.concatenate(within), np.concatenate(without))


def _with_noise(target: Target, rows: Float, entropy: Entropy | None, draws: int) -> Iterator[tuple[Float, Float]]:
    if entropy is None:
        nothing = np.zeros((1, rows.shape[1]))
        yield from ((g, nothing) for g in rows)
        return
    noise = target.noise(entropy, draws * len(rows)).reshape(len(rows), draws, -1)
    yield from zip(rows, noise, strict=True)


def _population(target: Target) -> tuple[Float, Float]:
    """Mean and covariance of one person's clipped contribution, from people at no member site."""
    rows, labels = target.outsiders
    gradients = target.clip(rows * (sigmoid(rows @ target.theta) - labels)[:, None])
    mean: Float = gradients.mean(axis=0)
    centred = gradients - mean
    spread: Float = centred.T @ centred / (len(gradients) - 1)
    return mean, spread
