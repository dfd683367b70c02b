# SPDX-License-Identifier: Apache-2.0
"""From scores to decisions, by rules that are fixed before the output is seen."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .errors import CountsRefused, ScoresRefused
from .multi_run import Decisions
from .result import check_count

Coins = NDArray[np.bool_]


def decide(scores: NDArray[np.float64], coins: Coins, threshold: float) -> Decisions:
    """Say "in" above a fixed threshold, and count the errors.

    Shapes: scores (m,) and coins (m,), True for a canary that is in.
    Raises:
        ScoresRefused: not finite, or of different lengths.  CountsRefused: a world without trials.

    Example:
        >>> decide(np.array([0.9, 0.2, 0.7, 0.1]), np.array([True, True, False, False]), 0.5)
        Decisions(false_positives=1, without=2, false_negatives=1, within=2)
    """
    scores, coins = _checked(scores, coins)
    if not np.isfinite(threshold):
        raise ScoresRefused(f"the threshold is {threshold}", "fix a finite threshold beforehand")
    said = scores > threshold
    return Decisions(int((said & ~coins).sum()), int((~coins).sum()), int((~said & coins).sum()), int(coins.sum()))


def count_correct(scores: NDArray[np.float64], coins: Coins, guesses: int) -> int:
    """Say "in" for the highest `guesses // 2` scores and "out" for as many of the lowest; count what is right.

    `guesses` must be even and fixed beforehand; ties are settled by position, never by the coin.
    Raises:
        ScoresRefused: as `decide`.  CountsRefused: an odd number, or more guesses than canaries.

    Example:
        >>> count_correct(np.array([0.9, 0.2, 0.7, 0.1]), np.array([True, True, False, False]), 2)
        2
    """
    scores, coins = _checked(scores, coins)
    check_count("guesses", guesses, at_least=2, at_most=scores.size)
    if guesses % 2:
        raise CountsRefused(f"{guesses} guesses do not split into two halves", "fix an even number beforehand")
    order = np.argsort(scores, kind="stable")
    half = guesses // 2
    return int((~coins[order[:half]]).sum() + coins[order[-half:]].sum())


def combine_rounds(scores: NDArray[np.float64], shifts: NDArray[np.float64]) -> NDArray[np.float64]:
    """One score for each canary that was in several rounds: the best linear one, 0 or 1 in the mean.

    Shapes: scores (T, m) with mean 0 or 1 and noise of deviation 1/mu_t; shifts (T,), the mu_t. Returns (m,).
    Source: the log-likelihood ratio of sum_t mu_t (score_t - 1/2) up to a factor; the combined shift is
        sqrt(sum mu_t^2), as Gaussian privacy composes (Dong, Roth and Su 2019, corollary 3.3, arXiv 1905.02383v3).
    Raises:
        ScoresRefused: not finite, other shapes, or a shift that is not positive.

    Example:
        >>> combine_rounds(np.array([[1.0, 0.0], [0.5, 0.5]]), np.array([3.0, 1.0])).tolist()
        [0.95, 0.05]
    """
    scores, shifts = np.asarray(scores, dtype=np.float64), np.asarray(shifts, dtype=np.float64)
    if scores.ndim != 2 or shifts.shape != scores.shape[:1] or not (np.isfinite(scores).all() and shifts.size):
        raise ScoresRefused("scores are not one finite row for each round", "give (T, m) scores and (T,) shifts")
    if not (np.isfinite(shifts).all() and (shifts > 0).all()):
        raise ScoresRefused("a round has no positive Gaussian shift", "leave out rounds without a release")
    weights = shifts**2
    combined: NDArray[np.float64] = weights @ scores / weights.sum()
    return combined


def _checked(scores: NDArray[np.float64], coins: Coins) -> tuple[NDArray[np.float64], Coins]:
    scores, coins = np.asarray(scores, dtype=np.float64), np.asarray(coins)
    if scores.ndim != 1 or scores.shape != coins.shape or coins.dtype != np.bool_ or scores.size == 0:
        raise ScoresRefused("scores and coins are not vectors of one length", "give one score and one coin a canary")
    if not np.isfinite(scores).all():
        raise ScoresRefused("a score is not finite", "score every canary, or leave it out of the canaries")
    return scores, coins
