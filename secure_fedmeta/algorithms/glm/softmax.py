# SPDX-License-Identifier: Apache-2.0
"""MAML for softmax regression of C classes, in closed form: `maml` with a residual vector instead of a number.

theta holds W (C, p) row by row. Gradient of a row: (softmax(W x) - e_y) x^T. Hessian of a row times V (C, p):
(diag(s) - s s^T) V x x^T with s = softmax(W x).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fedmeta_privacy.sensitivity import check_model

from ...plan import Plan
from ...tasks import Task

Float = NDArray[np.float64]


def softmax(logits: Float) -> Float:
    """Class probabilities, (n, C) to (n, C), without overflow.

    Example:
        >>> softmax(np.array([[0.0, 1e4]])).tolist()
        [[0.0, 1.0]]
    """
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    shares: Float = powers / powers.sum(axis=1, keepdims=True)
    return shares


def contributions(theta: Float, task: Task, plan: Plan) -> Float:
    """Per-record meta-gradients of one site, before clipping.

    Shapes: theta (C p,) to (m, C p), one row per query record.
    Guarantee: one record changes the clipped sum by at most `sensitivity.glm_sensitivity` of the softmax loss.

    Raises:
        UnsafeModel: theta is not finite, not float64 or beyond 2^20, before any record is touched.

    Example:
        >>> one = np.array([[1.0]])
        >>> plan = Plan(loss="cross-entropy", support_slots=1, algorithm="fomaml")
        >>> contributions(np.zeros(2), Task(one, np.array([1.0]), one, np.array([1.0])), plan).round(4).tolist()
        [[0.2689, -0.2689]]
    """
    check_model(theta)
    classes, rate = plan.classes, plan.inner_lr / plan.support_slots
    rows, hot = task.support_rows, _one_hot(task.support_labels, classes)
    adapted = theta.reshape(classes, -1)
    laws = []
    for _ in range(plan.inner_steps):
        shares = softmax(rows @ adapted.T)
        laws.append(shares)
        adapted = adapted - rate * (shares - hot).T @ rows
    residual = softmax(task.query_rows @ adapted.T) - _one_hot(task.query_labels, classes)
    gradients = np.zeros((len(residual), theta.size))
    for index, (left, row) in enumerate(zip(residual, task.query_rows, strict=True)):
        part = left[:, None] * row[None, :]
        if plan.algorithm == "maml":
            for shares in reversed(laws):
                logits = rows @ part.T
                turned = shares * (logits - (shares * logits).sum(axis=1, keepdims=True))
                part = part - rate * turned.T @ rows
        gradients[index] = part.reshape(-1)
    return gradients


def _one_hot(labels: Float, classes: int) -> Float:
    hot: Float = (labels[:, None] == np.arange(classes)).astype(np.float64)
    return hot
