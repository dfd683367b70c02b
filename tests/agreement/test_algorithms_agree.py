"""One definition of each algorithm, three engines, one result; tasks of unequal size and empty parts included."""

import numpy as np
import pytest
import torch
from algorithm_cases import NAMES, algorithms_of, small_net
from small_runs import random_task

from secure_fedmeta.engines.auto import AutoEngine
from secure_fedmeta.engines.loop import LoopEngine
from secure_fedmeta.engines.stacked import StackedEngine
from secure_fedmeta.engines.vmap import VmapEngine

NET = small_net()
TASKS = [
    random_task(np.random.default_rng(n), 3, *sizes) for n, sizes in enumerate([(4, 6), (0, 5), (3, 0), (7, 1), (0, 0)])
]


def theta_of(algorithm):
    rng = np.random.default_rng(1)
    start = algorithm.start(NET).numpy()
    return start + 0.1 * rng.normal(size=len(start))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("engine", [StackedEngine, VmapEngine])
def test_batched_engines_agree_with_the_loop(engine, name):
    algorithm = algorithms_of(NET)[name]
    theta = theta_of(algorithm)
    slow = LoopEngine(NET, algorithm, loss="logistic").contributions(theta, TASKS)
    fast = engine(NET, algorithm, loss="logistic").contributions(theta, TASKS)
    difference = 1e-9 if name.startswith("per-fedavg") else 1e-12  # rounding over 2 d = 1e-5
    np.testing.assert_allclose(fast, slow, rtol=0, atol=difference)
    assert slow.shape == (len(TASKS), len(theta)) and np.abs(slow[0]).max() > 1e-3
    np.testing.assert_allclose(slow[-1], 0.0, atol=1e-15)  # a task without rows pulls nowhere


@pytest.mark.parametrize("name", ["maml", "meta-sgd", "meta-sgd-tensors"])
@pytest.mark.parametrize("engine", [LoopEngine, StackedEngine, VmapEngine, AutoEngine])
def test_no_task_gives_no_row_of_the_length_that_is_learned(engine, name):
    algorithm = algorithms_of(NET)[name]
    theta = theta_of(algorithm)
    made = engine(NET, algorithm, loss="logistic")
    assert made.contributions(theta, []).shape == (0, len(theta))
    assert made.adapted(theta, []).shape == (0, NET.dimension)


@pytest.mark.parametrize("name", NAMES)
def test_adapted_parameters_agree(name):
    algorithm = algorithms_of(NET)[name]
    theta = theta_of(algorithm)
    slow = LoopEngine(NET, algorithm, loss="logistic").adapted(theta, TASKS)
    assert slow.shape == (len(TASKS), NET.dimension)
    np.testing.assert_allclose(slow[1], theta[: NET.dimension], atol=1e-15)  # no support rows: nothing to adapt to
    from secure_fedmeta.engines.batch import TaskBatch

    fast = StackedEngine(NET, algorithm, loss="logistic").adapt_batch(torch.from_numpy(theta), TaskBatch.of(TASKS))
    np.testing.assert_allclose(fast.numpy(), slow, rtol=0, atol=1e-12)


PLAIN = [name for name in NAMES if name.count("-") < 2 and not name.endswith(("clipped", "momentum", "adam", "tuned"))]


@pytest.mark.parametrize("name", PLAIN)
@pytest.mark.parametrize("loss", ["cross-entropy", "squared"])
def test_other_losses_agree_too(name, loss):
    outputs = 3 if loss == "cross-entropy" else 1
    net = small_net(outputs=outputs)
    algorithm = algorithms_of(net, lr=0.1)[name]
    theta = algorithm.start(net).numpy()
    found = [engine(net, algorithm, loss=loss).contributions(theta, TASKS[:2]) for engine in (LoopEngine, VmapEngine)]
    np.testing.assert_allclose(*found, rtol=0, atol=1e-9)


@pytest.mark.parametrize("name", PLAIN)
def test_one_task_is_untouched_by_the_others(name):
    """A unit's row depends on that unit and theta alone, bit for bit."""
    algorithm = algorithms_of(NET)[name]
    theta, engine = theta_of(algorithm), LoopEngine(NET, algorithm, loss="logistic")
    broken = random_task(np.random.default_rng(9), 3, 2, 2)
    broken.support_rows[0, 0] = np.nan
    together = engine.contributions(theta, [TASKS[3], broken, TASKS[0]])
    assert np.array_equal(together[0], engine.contributions(theta, [TASKS[3]])[0])
    assert np.array_equal(together[2], engine.contributions(theta, [TASKS[0]])[0])
    assert np.isnan(together[1]).any()


def test_float32_is_near_enough():
    for name in PLAIN:
        algorithm = algorithms_of(NET)[name]
        theta = theta_of(algorithm)
        exact = LoopEngine(NET, algorithm, loss="logistic").contributions(theta, TASKS[:1])
        rough = StackedEngine(NET, algorithm, loss="logistic", dtype=torch.float32).contributions(theta, TASKS[:1])
        assert np.abs(rough - exact).max() < (2e-3 if name.startswith("per-fedavg") else 2e-5), name
