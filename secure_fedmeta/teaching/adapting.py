# SPDX-License-Identifier: Apache-2.0
"""Checks of notebook 10: meta-learning."""

from __future__ import annotations

from typing import Any

import numpy as np

from .verdicts import Verdict, judge, judge_function


def _sigmoid(z: Any) -> Any:
    return 1 / (1 + np.exp(-z))


def check_1(inner: Any) -> Verdict:
    """`inner(theta, rows, labels, lr)`: one gradient step of logistic regression on the mean loss."""
    rng = np.random.default_rng(0)
    rows, labels, theta = rng.normal(size=(6, 3)), np.array([0.0, 1, 1, 0, 1, 0]), np.array([0.1, -0.2, 0.3])

    def step(t: Any, x: Any, y: Any, lr: float, sign: float = -1.0, mean: bool = True) -> Any:
        gradient = x.T @ (_sigmoid(x @ t) - y)
        return t + sign * lr * (gradient / len(y) if mean else gradient)

    return judge_function(
        inner,
        [(theta, rows, labels, 0.5), (np.zeros(3), rows[:2], labels[:2], 1.0)],
        right=step,
        says="That is all of MAML's inner loop. What MAML learns is where to start it.",
        hints=[
            (lambda t, x, y, lr: step(t, x, y, lr, sign=1.0), "You walked uphill: subtract the gradient."),
            (
                lambda t, x, y, lr: step(t, x, y, lr, mean=False),
                "That is the sum's gradient; of the mean it is divided by the number of rows.",
            ),
            (lambda t, x, y, lr: t - lr * x.T @ (x @ t - y) / len(y), "The residual is sigmoid(x theta) - y."),
        ],
        otherwise="theta - lr * rows.T @ (sigmoid(rows @ theta) - labels) / len(labels)",
    )


def check_2(loss: Any) -> Verdict:
    """On which rows does MAML judge the adapted model: "support" or "query"?"""
    return judge(
        str(loss).strip().lower(),
        right=lambda a: a == "query",
        says="On others than it adapted on: what counts is how well a few records prepare for the next ones.",
        hints=[
            (lambda a: a == "support", "On those it adapted: the best start would be one that memorises them."),
            (lambda a: "both" in a, "FedAvg does so, in effect. MAML keeps the roles apart."),
            (
                lambda a: "test" in a,
                "Test persons take part in no training; here the site's own rows are split in two roles.",
            ),
        ],
        otherwise='Answer "support" or "query".',
    )


def check_3(sensitivity: Any) -> Verdict:
    """Support role 0.2975, query role 0.3: what must the noise of this plan be made for?"""
    return judge(
        sensitivity,
        right=lambda s: abs(float(s) - 0.3) < 1e-6,
        says="A record has one role, by a keyed hash of its id; which one an attacker cannot choose, so the larger counts.",
        hints=[
            (
                lambda s: abs(float(s) - 0.2975) < 1e-6,
                "Then records in the query role would get less than is promised.",
            ),
            (
                lambda s: abs(float(s) - 0.5975) < 1e-3,
                "A record never has both roles: adding them wastes half the noise.",
            ),
            (lambda s: abs(float(s) - (0.3**2 + 0.2975**2) ** 0.5) < 1e-3, "A record never has both roles."),
        ],
        otherwise="One record has one of the two roles.",
    )
