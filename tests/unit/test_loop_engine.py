"""The loop engine against independent float64 references: closed forms, finite differences, and its own limits."""

import numpy as np
import pytest
import torch
from mode_runs import network
from small_runs import random_task, small_plan

from secure_fedmeta.algorithms.glm import logistic, softmax
from secure_fedmeta.algorithms.inner import GradientSteps
from secure_fedmeta.algorithms.maml import Maml
from secure_fedmeta.engines.loop import LoopEngine
from secure_fedmeta.parameters import bind
from secure_fedmeta.tasks import Task

COLUMNS = 4


def linear(outputs=1):
    return bind(torch.nn.Linear(COLUMNS, outputs, bias=False))


def closed_plan(algorithm, steps, **changes):
    """As many slots as records, so that the closed form's public mean is the engine's mean."""
    return small_plan(
        algorithm=algorithm,
        inner_steps=steps,
        inner_lr=1.7,
        support_slots=6,
        query_slots=7,
        support_fraction=0.5,
        **changes,
    )


def engine_for(plan, architecture):
    return engine_of_maml(
        architecture, plan.loss, plan.inner_lr, plan.inner_steps, first_order=plan.algorithm == "fomaml"
    )


def engine_of_maml(architecture, loss, lr, steps, first_order=False):
    return LoopEngine(architecture, Maml(GradientSteps(lr, steps), first_order), loss=loss)


@pytest.mark.parametrize("algorithm", ["maml", "fomaml"])
@pytest.mark.parametrize("steps", [1, 4])
def test_agrees_with_the_closed_form_of_logistic_regression(algorithm, steps):
    rng = np.random.default_rng(steps)
    plan, task, theta = closed_plan(algorithm, steps), random_task(rng, COLUMNS), rng.normal(size=COLUMNS)
    (found,) = engine_for(plan, linear()).contributions(theta, [task])
    np.testing.assert_allclose(found, logistic.contributions(theta, task, plan).mean(axis=0), rtol=0, atol=1e-14)


@pytest.mark.parametrize("algorithm", ["maml", "fomaml"])
@pytest.mark.parametrize("steps", [1, 3])
def test_agrees_with_the_closed_form_of_softmax_regression(algorithm, steps):
    rng = np.random.default_rng(steps)
    plan = closed_plan(algorithm, steps, loss="cross-entropy", classes=3)
    drawn = random_task(rng, COLUMNS)
    task = Task(
        drawn.support_rows, rng.integers(0, 3, 6).astype(float), drawn.query_rows, rng.integers(0, 3, 7).astype(float)
    )
    theta = rng.normal(size=3 * COLUMNS)
    (found,) = engine_for(plan, linear(3)).contributions(theta, [task])
    np.testing.assert_allclose(found, softmax.contributions(theta, task, plan).mean(axis=0), rtol=0, atol=1e-14)


@pytest.mark.parametrize("outputs", [1, 3])
def test_second_order_is_the_derivative_of_the_adapted_loss(outputs):
    """Central differences of a plain implementation: adapt by first-order gradients, then take the query loss."""
    rng = np.random.default_rng(0)
    loss = "logistic" if outputs == 1 else "cross-entropy"
    bound = bind(network(outputs))
    drawn = random_task(rng, 3, 3, 3)
    labels = [rng.integers(0, max(outputs, 2), 3).astype(float) for _ in range(2)]
    task = Task(drawn.support_rows, labels[0], drawn.query_rows, labels[1])
    engine = engine_of_maml(bound, loss, 0.8, 2)
    theta = bound.start + 0.3 * rng.normal(size=bound.dimension)

    def adapted_loss(at):
        for _ in range(2):
            at = at - 0.8 * engine.example_gradients(at, task.support_rows, task.support_labels).mean(axis=0)
        module = bound.module_at(at)
        with torch.no_grad():
            out = module(torch.from_numpy(task.query_rows)).numpy()
        if outputs == 1:
            return np.mean(np.logaddexp(0, out[:, 0]) - task.query_labels * out[:, 0])
        return np.mean(np.log(np.exp(out).sum(axis=1)) - out[np.arange(3), task.query_labels.astype(int)])

    step = 1e-5
    units = np.eye(bound.dimension)
    expected = [(adapted_loss(theta + step * u) - adapted_loss(theta - step * u)) / (2 * step) for u in units]
    (found,) = engine.contributions(theta, [task])
    np.testing.assert_allclose(found, expected, rtol=0, atol=2e-9)
    first = engine_of_maml(bound, loss, 0.8, 2, first_order=True)
    assert np.abs(first.contributions(theta, [task])[0] - expected).max() > 1e-3


def test_hessian_products_are_derivatives_of_gradients():
    rng = np.random.default_rng(1)
    bound = bind(network())
    engine = engine_of_maml(bound, "logistic", 1.0, 1)
    task, vector = random_task(rng, 3, 2, 3), rng.normal(size=bound.dimension)
    rows, labels, step = task.query_rows, task.query_labels, 1e-5
    up = engine.example_gradients(bound.start + step * vector, rows, labels)
    down = engine.example_gradients(bound.start - step * vector, rows, labels)
    found = engine.example_products(bound.start, rows, labels, vector)
    np.testing.assert_allclose(found, (up - down) / (2 * step), rtol=0, atol=1e-9)


def test_example_gradients_sum_to_the_gradient_of_the_sum():
    rng = np.random.default_rng(2)
    bound = bind(network())
    engine = engine_of_maml(bound, "logistic", 1.0, 1)
    task = random_task(rng, 3, 0, 5)
    alone = engine.example_gradients(bound.start, task.query_rows, task.query_labels)
    (whole,) = engine.contributions(bound.start, [task])  # no support rows: no adaptation
    np.testing.assert_allclose(alone.mean(axis=0), whole, rtol=0, atol=1e-15)


def test_the_same_twice_to_the_last_bit():
    rng = np.random.default_rng(3)
    tasks = [random_task(rng, 3) for _ in range(3)]
    runs = [
        engine_of_maml(bind(network()), "logistic", 0.5, 3).contributions(bind(network()).start, tasks)
        for _ in range(2)
    ]
    assert (runs[0] == runs[1]).all()


def test_units_without_rows_and_broken_units():
    bound = bind(network())
    engine = engine_of_maml(bound, "cross-entropy", 0.5, 1)  # one output: label 1 has no class
    good = random_task(np.random.default_rng(0), 3, 0, 1)
    nobody = Task(good.support_rows, good.support_labels, np.empty((0, 3)), np.empty(0))
    bad = Task(good.support_rows, good.support_labels, good.query_rows, np.ones(1))
    found = engine.contributions(bound.start, [nobody, bad])
    assert (found[0] == 0).all() and np.isnan(found[1]).all()
    assert engine.contributions(bound.start, []).shape == (0, bound.dimension)


def test_the_engine_leaves_the_module_and_its_inputs_alone():
    module = network()
    before = [p.detach().clone() for p in module.parameters()]
    bound, task = bind(module), random_task(np.random.default_rng(0), 3)
    rows = task.support_rows.copy()
    engine_of_maml(bound, "logistic", 5.0, 2).contributions(bound.start, [task])
    assert all(torch.equal(a, b) for a, b in zip(before, module.parameters(), strict=True))
    assert (rows == task.support_rows).all() and all(p.grad is None for p in module.parameters())
