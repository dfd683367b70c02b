"""Several steps in second order need the term that grows as K^2: the one-step Hessian term, K times, is exceeded.

One feature, 1000 support slots, 1000 query slots. All support rows pull one way, so the model runs towards the edge of
the sigmoid by one fixed stride a step; where it starts decides how far the last factors 1 - lr H bend. One parameter is
searched, and scored by the code that a site runs.
"""

import math

import numpy as np
import pytest

from fedmeta_privacy.sensitivity import Order, logistic_sensitivity
from secure_fedmeta.algorithms import contributions
from secure_fedmeta.plan import Plan
from secure_fedmeta.tasks import Task

SLOTS, RATE = 1000, 8.0


def plan_for(steps):
    return Plan(
        inner_steps=steps, support_slots=SLOTS, query_slots=SLOTS, inner_lr=RATE, clip_norm=1.0, algorithm="maml"
    )


def task_of(records, queries):
    return Task(np.ones((records, 1)), np.ones(records), -np.ones((queries, 1)), np.ones(queries))


def moved(theta, plan, queries):
    """What one support record of 1000 changes in the sum; no term is longer than the clip."""
    start = np.array([theta])
    with_it, without = (contributions(start, task_of(n, queries), plan) for n in (SLOTS, SLOTS - 1))
    assert max(np.abs(with_it).max(), np.abs(without).max()) <= plan.clip_norm
    return abs(float(with_it.sum() - without.sum()))


def worst_found(steps):
    plan = plan_for(steps)
    grid = np.linspace(-RATE * (steps + 1), 0.0, 1200)
    best = max(grid, key=lambda theta: moved(theta, plan, 1))
    return moved(best, plan, SLOTS)


def bound(steps):
    return logistic_sensitivity(
        order=Order.SECOND,
        row_bound=1.0,
        inner_lr=RATE,
        inner_steps=steps,
        support_slots=SLOTS,
        query_slots=SLOTS,
        clip_norm=1.0,
        dimension=1,
    ).support


@pytest.mark.parametrize("steps", [6, 8])
def test_one_step_terms_do_not_cover_many_steps(steps):
    found, a = worst_found(steps), RATE / SLOTS
    tight = SLOTS * steps * (8 / 27 * a + a**2 / (12 * math.sqrt(3)))
    general = SLOTS * steps * a / 2
    print(f"K={steps}: found {found:.2f}; K x one step {tight:.2f} and {general:.2f}; bound {bound(steps):.2f}")
    assert found > general > tight, "the attack got weak: the planted mistake would pass"
    # The bound is min(that formula, 2 m_Q R), and stays above what is found.
    assert found <= bound(steps)


def test_ratios_of_what_is_found_to_the_bound():
    ratios = {steps: worst_found(steps) / bound(steps) for steps in (2, 3, 4, 6)}
    print({steps: f"{ratio:.1%}" for steps, ratio in ratios.items()})
    assert all(0.1 < ratio <= 1 for ratio in ratios.values())
