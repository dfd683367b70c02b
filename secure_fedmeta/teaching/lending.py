# SPDX-License-Identifier: Apache-2.0
"""Checks of notebook 14: the case of a bank."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..scores import expected_loss
from .verdicts import Verdict, judge, judge_function


def check_1(lost: Any) -> Verdict:
    """`lost(labels, scores)`: 0.6 times the default rate among the 80 % with the lowest scores."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 50).astype(float)
    cases = [(labels, rng.random(50)), (np.array([1.0, 0, 0, 0, 1]), np.array([0.1, 0.2, 0.3, 0.4, 0.9]))]
    return judge_function(
        lost,
        cases,
        right=lambda y, s: expected_loss(y, s),
        says="A better ranking keeps defaults out of the four fifths, whatever the cut-off is.",
        hints=[
            (lambda y, s: 0.6 * y.mean(), "That is the loss if everybody gets a loan: use the scores."),
            (
                lambda y, s: 0.6 * y[np.argsort(-s, kind="stable")[: round(0.8 * len(s))]].mean(),
                "You lent to those with the *highest* risk.",
            ),
            (
                lambda y, s: y[np.argsort(s, kind="stable")[: round(0.8 * len(s))]].mean(),
                "That is the default rate among the accepted; a default loses 60 % of the loan.",
            ),
        ],
        otherwise="Sort by score, take the first 80 %, mean of their labels, times 0.6.",
    )


def check_2(what: Any) -> Verdict:
    """What should a bank do first when the world has moved: "retrain", "calibrate" or "nothing"?"""
    return judge(
        str(what).strip().lower(),
        right=lambda a: "calib" in a,
        says="Calibration on the bank's own recent loans leaves nothing, so it costs no privacy. Retraining costs budget.",
        hints=[
            (lambda a: "retrain" in a, "In time perhaps; but every run draws from the same applicants' budgets."),
            (lambda a: "nothing" in a, "Then its probabilities are wrong, and so are its prices."),
            (lambda a: "noise" in a, "Noise is for privacy; it mends no drift."),
        ],
        otherwise='Answer "retrain", "calibrate" or "nothing".',
    )


def check_3(slots: Any) -> Verdict:
    """Delta 1e-5 is a tenth of 1/N for which N?"""
    return judge(
        slots,
        right=lambda n: int(n) == 10_000,
        says="1/N = 1e-4 then. At delta = 1/N one might publish a whole applicant at random.",
        hints=[
            (lambda n: int(n) == 100_000, "For that many it equals 1/N: no factor of ten is left."),
            (lambda n: int(n) == 1_000_000, "For that many it is ten times *more* than 1/N."),
            (lambda n: int(n) == 1_000, "For that many it is a hundredth of 1/N."),
        ],
        otherwise="10 * 1e-5 = 1/N.",
    )
