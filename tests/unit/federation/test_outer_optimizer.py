"""The outer step is torch's SGD and Adam on the mean meta-gradient, and nothing else."""

import numpy as np
import pytest
import torch
from small_runs import small_plan

from secure_fedmeta.federation.outer import OuterOptimizer

STEPS, DIMENSION, SURVIVORS = 12, 7, 5


def sums(seed=0):
    return np.random.default_rng(seed).normal(size=(STEPS, DIMENSION)) * 40


@pytest.mark.parametrize(
    ("settings", "reference"),
    [
        ({"outer": "sgd", "outer_lr": 3.0}, lambda p: torch.optim.SGD(p, lr=3.0)),
        ({"outer": "sgd", "outer_lr": 0.5, "outer_momentum": 0.9}, lambda p: torch.optim.SGD(p, lr=0.5, momentum=0.9)),
        ({"outer": "adam", "outer_lr": 0.3}, lambda p: torch.optim.Adam(p, lr=0.3, betas=(0.9, 0.99), eps=1e-8)),
    ],
)
def test_equal_to_torch(settings, reference):
    plan = small_plan(**settings)
    outer = OuterOptimizer(plan, dimension=DIMENSION, survivors=SURVIVORS)
    parameter = torch.nn.Parameter(torch.zeros(DIMENSION, dtype=torch.float64))
    optimizer = reference([parameter])
    for total in sums():
        parameter.grad = torch.from_numpy(total / (SURVIVORS * plan.query_slots))
        optimizer.step()
        np.testing.assert_allclose(outer.step(total), parameter.detach().numpy(), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(("share", "rounds", "averaged"), [(0.5, 12, 6), (0.25, 12, 3), (0.9, 10, 9), (0.34, 3, 2)])
def test_the_tail_average_is_the_mean_of_the_last_planned_iterates(share, rounds, averaged):
    outer = OuterOptimizer(small_plan(tail_average=share, rounds=rounds), dimension=DIMENSION, survivors=SURVIVORS)
    iterates = [outer.step(total).copy() for total in sums()[:rounds]]
    np.testing.assert_allclose(outer.released, np.mean(iterates[-averaged:], axis=0), rtol=1e-12)
    np.testing.assert_array_equal(outer.theta, iterates[-1])


def test_before_the_tail_begins_the_newest_iterate_is_released():
    outer = OuterOptimizer(small_plan(tail_average=0.5, rounds=100), dimension=DIMENSION, survivors=SURVIVORS)
    newest = outer.step(sums()[0])
    np.testing.assert_array_equal(outer.released, newest)


def test_an_iterate_that_was_handed_out_is_not_changed_later():
    outer = OuterOptimizer(small_plan(), dimension=DIMENSION, survivors=SURVIVORS)
    first = outer.step(sums()[0])
    copy = first.copy()
    outer.step(sums()[1])
    np.testing.assert_array_equal(first, copy)
