# SPDX-License-Identifier: Apache-2.0
"""Neighbouring records of one site, crafted so that a round moves by as much as its mode allows."""

import math

import numpy as np
from mode_runs import FEATURES

from secure_fedmeta.tasks import Task

NOTHING, NO_LABELS = np.empty((0, FEATURES)), np.empty(0)
FIRST = np.eye(FEATURES)[:1]


def task(support=(), query=(), *, scale=1.0):
    """Rows along the first axis, one for each label."""

    def side(labels):
        return (
            (np.tile(FIRST * scale, (len(labels), 1)), np.array(labels, float)) if len(labels) else (NOTHING, NO_LABELS)
        )

    return Task(*side(support), *side(query))


def worst_theta(schedule):
    """Where gradients are long.

    Logistic: residual 2/3 on the first axis (one step, second order); softmax: sure of class 0; networks: hidden units
    saturated and outputs undecided, so that either label gives a gradient of length 0.5 sqrt(5).
    """
    if schedule.architecture is not None:
        theta = schedule.start
        size = schedule.architecture.dimension
        theta[:size] *= 20
        theta[4 * FEATURES + 4 : size] = 0.0
        return theta
    theta = np.zeros(schedule.dimension)
    if schedule.plan.one_role:  # wrong about label 1 (of softmax: sure of class 0) at every step
        theta[0] = -50.0 if schedule.plan.loss == "logistic" else 50.0
        return theta
    theta[0] = math.log(2) if schedule.plan.loss == "logistic" else 50.0
    return theta


def pairs(schedule):
    """{role: (one world, the other)} under the plan's own adjacency."""
    plan = schedule.plan
    full = [0.0] * (plan.query_slots if plan.mode == "bounded-glm" else 1)
    if plan.unit == "task":
        one, other = task(query=[1.0], scale=9.0), task(query=[0.0], scale=9.0)
        beside = task([1.0], [0.0])
        return {"person": ((one, beside), (other, beside) if plan.adjacency == "replace-one" else (beside,))}
    if plan.unit == "client":
        one, other = task(query=[1.0, 1.0], scale=9.0), task(query=[0.0, 0.0], scale=9.0)
        return {"site": (one, other if plan.adjacency == "replace-one" else task())}
    if plan.one_role:
        return {"support": (task([1.0]), task([0.0] if plan.adjacency == "replace-one" else []))}
    scale = 1.0 if plan.mode == "bounded-glm" else 9.0
    replaced = plan.adjacency == "replace-one"
    return {
        "query": (task([0.0], [1.0, 0.0], scale=scale), task([0.0], [0.0, 0.0] if replaced else [0.0], scale=scale)),
        "support": (task([0.0], full, scale=scale), task([1.0] if replaced else [], full, scale=scale)),
    }
