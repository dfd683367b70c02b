"""Every engine gives the loop engine's numbers for every network, with tasks of unequal size and empty parts."""

import numpy as np
import pytest
import torch
from networks import MAML, NETS
from small_runs import random_task

from secure_fedmeta.algorithms.inner import GradientSteps
from secure_fedmeta.algorithms.maml import Maml
from secure_fedmeta.engines.compiled import CompiledEngine
from secure_fedmeta.engines.loop import LoopEngine
from secure_fedmeta.engines.stacked import StackedEngine
from secure_fedmeta.engines.vmap import VmapEngine
from secure_fedmeta.parameters import bind

SIZES = [(4, 5), (2, 6), (0, 3), (3, 0), (5, 1)]
ALGORITHMS = [
    Maml(GradientSteps(0.3, 1)),
    Maml(GradientSteps(0.3, 3)),
    Maml(GradientSteps(0.3, 3), first_order=True),
    Maml(GradientSteps(0.3, 3, max_norm=0.05)),
]
FAST = [(name, kind) for name in NETS for kind in (StackedEngine, VmapEngine)]


def everything(engine, net, theta, tasks):
    """All that an engine computes, by name."""
    one, rng = tasks[0], np.random.default_rng(9)
    rows, labels = one.query_rows, one.query_labels
    return {
        "contributions": engine.contributions(theta, tasks),
        "adapted": engine.adapted(theta, tasks),
        "gradients": engine.example_gradients(theta, rows, labels),
        "products": engine.example_products(theta, rows, labels, rng.normal(size=len(theta))),
    }


@pytest.mark.parametrize(("name", "kind"), FAST, ids=lambda one: one if isinstance(one, str) else one.__name__)
def test_float64_to_1e_10_and_float32_to_1e_5(name, kind):
    net, rng = NETS[name], np.random.default_rng(0)
    bound, tasks = net.bound(), [net.task(rng, *size) for size in SIZES]
    slow = everything(LoopEngine(bound, MAML, loss="cross-entropy"), net, bound.start, tasks)
    assert all(np.isfinite(rows).all() and np.abs(rows).max() > 1e-3 for rows in slow.values())
    fast = everything(kind(bound, MAML, loss="cross-entropy", chunk=3), net, bound.start, tasks)
    narrow = everything(kind(bound, MAML, loss="cross-entropy", dtype=torch.float32), net, bound.start, tasks)
    for what, expected in slow.items():
        np.testing.assert_allclose(fast[what], expected, rtol=0, atol=1e-10, err_msg=what)
        scale = max(1.0, np.abs(expected).max())
        np.testing.assert_allclose(narrow[what], expected, rtol=0, atol=1e-5 * scale, err_msg=what)


@pytest.mark.parametrize("engine", [StackedEngine, VmapEngine])
@pytest.mark.parametrize("algorithm", ALGORITHMS, ids=str)
def test_every_form_of_the_inner_loop(engine, algorithm):
    torch.manual_seed(0)
    net = bind(torch.nn.Sequential(torch.nn.Linear(3, 8), torch.nn.Tanh(), torch.nn.Linear(8, 1)))
    rng = np.random.default_rng(0)
    tasks = [random_task(rng, 3, support, query) for support, query in [(4, 6), (0, 5), (3, 0), (7, 1)]]
    slow = LoopEngine(net, algorithm, loss="logistic").contributions(net.start, tasks)
    fast = engine(net, algorithm, loss="logistic").contributions(net.start, tasks)
    np.testing.assert_allclose(fast, slow, rtol=0, atol=1e-12)
    assert np.abs(slow[0]).max() > 1e-3


@pytest.mark.long
@pytest.mark.parametrize("name", ["linear"])
def test_the_compiled_engine(name):
    net, rng = NETS[name], np.random.default_rng(0)
    bound, tasks = net.bound(), [net.task(rng, *size) for size in SIZES]
    slow = everything(LoopEngine(bound, MAML, loss="cross-entropy"), net, bound.start, tasks)
    engine = CompiledEngine(bound, MAML, loss="cross-entropy", chunk=4, slots=(6, 6))
    fast = everything(engine, net, bound.start, tasks)
    for what, expected in slow.items():
        np.testing.assert_allclose(fast[what], expected, rtol=0, atol=1e-10, err_msg=what)
    assert len(engine._made) == 2  # one graph of contributions, one of adaptations, though five tasks came as 4 and 1
