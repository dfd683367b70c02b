"""Every engine gives the loop engine's numbers, with tasks of unequal size, empty parts included."""

import numpy as np
import pytest
import torch
from small_runs import random_task

from secure_fedmeta.algorithms.inner import GradientSteps
from secure_fedmeta.algorithms.maml import Maml
from secure_fedmeta.engines.loop import LoopEngine
from secure_fedmeta.engines.stacked import StackedEngine
from secure_fedmeta.engines.vmap import VmapEngine
from secure_fedmeta.parameters import bind

ALGORITHMS = [
    Maml(GradientSteps(0.3, 1)),
    Maml(GradientSteps(0.3, 3)),
    Maml(GradientSteps(0.3, 3), first_order=True),
    Maml(GradientSteps(0.3, 3, max_norm=0.05)),
]


@pytest.mark.parametrize("engine", [StackedEngine, VmapEngine])
@pytest.mark.parametrize("algorithm", ALGORITHMS, ids=str)
def test_batched_engines_agree_with_the_loop(engine, algorithm):
    torch.manual_seed(0)
    net = bind(torch.nn.Sequential(torch.nn.Linear(3, 8), torch.nn.Tanh(), torch.nn.Linear(8, 1)))
    rng = np.random.default_rng(0)
    tasks = [random_task(rng, 3, support, query) for support, query in [(4, 6), (0, 5), (3, 0), (7, 1)]]
    slow = LoopEngine(net, algorithm, loss="logistic").contributions(net.start, tasks)
    fast = engine(net, algorithm, loss="logistic").contributions(net.start, tasks)
    np.testing.assert_allclose(fast, slow, rtol=0, atol=1e-12)
    assert np.abs(slow[0]).max() > 1e-3
