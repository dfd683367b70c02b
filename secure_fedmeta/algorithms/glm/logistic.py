# SPDX-License-Identifier: Apache-2.0
"""MAML (Finn, Abbeel and Levine 2017, arXiv 1703.03400v3) for binary logistic regression, in closed form.

Adaptation: theta_{k+1} = theta_k - (lr/n_S) X_S^T (sigma(X_S theta_k) - y_S), with the *public* number of slots n_S,
not the count of records. Contribution of query row q: A_0 ... A_{K-1} x_q (sigma(x_q theta_K) - y_q), with
A_k = I - (lr/n_S) X_S^T diag(p_k (1 - p_k)) X_S; first order leaves the A_k out (FOMAML).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fedmeta_privacy.sensitivity import check_model

from ...plan import Plan
from ...tasks import Task

Float = NDArray[np.float64]
_BLOCK = 1 << 22


def sigmoid(x: Float) -> Float:
    """1 / (1 + e^-x) without overflow.

    Example:
        >>> sigmoid(np.array([0.0, -1e4])).tolist()
        [0.5, 0.0]
    """
    value: Float = 0.5 * (1.0 + np.tanh(0.5 * x))
    return value


def contributions(theta: Float, task: Task, plan: Plan) -> Float:
    """Per-record meta-gradients of one site, before clipping.

    Shapes: theta (d,) to (m, d), one row per query record.
    Guarantee: one record changes the clipped sum by at most `sensitivity.logistic_sensitivity`.

    Raises:
        UnsafeModel: theta is not finite, not float64 or beyond 2^20, before any record is touched.

    Example:
        >>> one = np.array([[1.0]])
        >>> task = Task(one, np.array([1.0]), one, np.array([1.0]))
        >>> contributions(np.zeros(1), task, Plan(inner_lr=1.0, support_slots=1, algorithm="fomaml")).round(4).tolist()
        [[-0.3775]]
    """
    check_model(theta)
    rate = plan.inner_lr / plan.support_slots
    rows, labels = task.support_rows, task.support_labels
    adapted = theta
    curvatures = []
    for _ in range(plan.inner_steps):
        p = sigmoid(rows @ adapted)
        curvatures.append(p * (1 - p))
        adapted = adapted - rate * (rows.T @ (p - labels))
    residual = sigmoid(task.query_rows @ adapted) - task.query_labels
    gradients: Float = task.query_rows * residual[:, None]
    if plan.algorithm == "maml":
        # In blocks of query rows, so that memory follows the model and not (query x support).
        block = max(1, _BLOCK // max(len(labels), 1))
        for start in range(0, len(gradients), block):
            part = gradients[start : start + block]
            for curvature in reversed(curvatures):
                part = part - rate * ((part @ rows.T) * curvature) @ rows
            gradients[start : start + block] = part
    return gradients
