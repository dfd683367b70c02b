# SPDX-License-Identifier: Apache-2.0
"""Reptile and FedAvg's local update for logistic and softmax regression, in closed form: one row a site.

theta_{k+1} = theta_k - (lr/n_S) sum over the site's records of grad l(theta_k), with the *public* number of slots n_S.
Reptile contributes (theta - theta_K)/(lr K), FedAvg theta - theta_K. All records are in one role, the support's.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fedmeta_privacy.sensitivity import check_model

from ...plan import Plan
from ...tasks import Task
from .logistic import sigmoid
from .softmax import one_hot, softmax

Float = NDArray[np.float64]


def contributions(theta: Float, task: Task, plan: Plan) -> Float:
    """How far training on a site's records goes back, before clipping.

    Shapes: theta (d,) to (1, d), for softmax d = C p.
    Guarantee: one record changes the clipped row by at most `sensitivity.displacement_sensitivity`.

    Raises:
        UnsafeModel: theta is not finite, not float64 or beyond 2^20, before any record is touched.

    Example:
        >>> nothing, one = np.empty((0, 1)), np.array([[1.0]])
        >>> task = Task(one, np.array([1.0]), nothing, np.empty(0))
        >>> plan = Plan(inner_lr=0.5, inner_steps=2, support_slots=1, algorithm="reptile")
        >>> contributions(np.zeros(1), task, plan).round(4).tolist()
        [[-0.4689]]
    """
    check_model(theta)
    rate = plan.inner_lr / plan.support_slots
    rows, labels = task.support_rows, task.support_labels
    adapted = theta
    for _ in range(plan.inner_steps):
        if plan.loss == "logistic":
            slope = rows.T @ (sigmoid(rows @ adapted) - labels)
        else:
            shares = softmax(rows @ adapted.reshape(plan.classes, -1).T)
            slope = ((shares - one_hot(labels, plan.classes)).T @ rows).reshape(-1)
        adapted = adapted - rate * slope
    back = theta - adapted
    if plan.algorithm == "reptile":
        back = back / (plan.inner_lr * plan.inner_steps)
    row: Float = back[None, :]
    return row
