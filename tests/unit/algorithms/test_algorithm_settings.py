"""Bad settings are refused when an algorithm is made, with a number; lengths of vectors and heads are as stated."""

import math

import numpy as np
import pytest
import torch
from algorithm_cases import algorithms_of, small_net

from secure_fedmeta.algorithms.anil import Anil, head_of
from secure_fedmeta.algorithms.fedavg import FedAvg
from secure_fedmeta.algorithms.imaml import Imaml
from secure_fedmeta.algorithms.inner import GradientSteps
from secure_fedmeta.algorithms.meta_sgd import MetaSgd
from secure_fedmeta.algorithms.per_fedavg import PerFedAvg
from secure_fedmeta.algorithms.reptile import Reptile
from secure_fedmeta.engines.loop import LoopEngine
from secure_fedmeta.errors import AlgorithmRefused
from secure_fedmeta.parameters import bind
from secure_fedmeta.tasks import Task

ONE = GradientSteps(0.1, 1)
REFUSED = {
    "rate zero": lambda: GradientSteps(0.0, 1),
    "rate NaN": lambda: GradientSteps(math.nan, 1),
    "rate infinite": lambda: GradientSteps(math.inf, 1),
    "rate True": lambda: GradientSteps(True, 1),
    "count negative": lambda: GradientSteps(0.1, -1),
    "count no integer": lambda: GradientSteps(0.1, 2.0),
    "count huge": lambda: GradientSteps(0.1, 10**6),
    "norm zero": lambda: GradientSteps(0.1, 1, max_norm=0.0),
    "rule": lambda: GradientSteps(0.1, 1, rule="nesterov"),
    "reptile without a step": lambda: Reptile(GradientSteps(0.1, 0)),
    "fedavg without a step": lambda: FedAvg(GradientSteps(0.1, 0)),
    "no head": lambda: Anil(ONE, (), 5),
    "empty span": lambda: Anil(ONE, ((2, 2),), 5),
    "overlapping spans": lambda: Anil(ONE, ((1, 3), (2, 5)), 5),
    "span beyond the vector": lambda: Anil(ONE, ((1, 6),), 5),
    "unknown head": lambda: head_of(small_net(), ("4",)),
    "half a name": lambda: head_of(small_net(), ("2.weig",)),
    "empty prefix": lambda: head_of(small_net(), ("",)),
    "no tensors": lambda: MetaSgd(0.1, 1, ()),
    "meta-sgd rate": lambda: MetaSgd(-0.1, 1, (3,)),
    "meta-sgd norm": lambda: MetaSgd(0.1, 1, (3,), max_norm=math.nan),
    "meta-sgd steps": lambda: MetaSgd(0.1, 0, (3,)),
    "per-fedavg alpha": lambda: PerFedAvg(0.0),
    "per-fedavg beta": lambda: PerFedAvg(0.1, local_lr=-1.0),
    "per-fedavg steps": lambda: PerFedAvg(0.1, local_steps=0),
    "per-fedavg difference": lambda: PerFedAvg(0.1, difference=0.0),
    "per-fedavg norm": lambda: PerFedAvg(0.1, max_norm=-1.0),
    "imaml lambda": lambda: Imaml(ONE, regularization=0.0),
    "imaml rounds": lambda: Imaml(ONE, regularization=1.0, cg_steps=0),
    "imaml steps": lambda: Imaml(GradientSteps(0.1, 0), regularization=1.0),
    "imaml flies off": lambda: Imaml(GradientSteps(1.0, 1), regularization=2.0),
}


@pytest.mark.parametrize("case", REFUSED)
def test_bad_settings_are_refused_when_made(case):
    with pytest.raises(AlgorithmRefused) as caught:
        REFUSED[case]()
    assert str(caught.value).startswith("SFM-117: ") and "Remedy: " in str(caught.value)


def test_vectors_are_as_long_as_stated():
    net = small_net()
    for name, algorithm in algorithms_of(net).items():
        start = algorithm.start(net).numpy()
        expected = {"meta-sgd": 2 * net.dimension, "meta-sgd-clipped": 2 * net.dimension, "meta-sgd-tensors": 45}
        assert len(start) == expected.get(name, net.dimension) and start.dtype == np.float64
        assert np.array_equal(start[: net.dimension], net.start) and (start[net.dimension :] == 0.3).all()
        assert algorithm.name == name.removesuffix("-clipped").removesuffix("-tensors") or "-" in name


def test_the_head_is_the_last_module_or_what_is_named():
    net = small_net(hidden=4)  # 0.weight 12, 0.bias 4, 2.weight 4, 2.bias 1
    assert head_of(net) == head_of(net, ("2",)) == ((16, 21),)
    assert head_of(net, ("2.bias",)) == ((20, 21),)
    assert head_of(net, ("0.weight", "2.bias")) == ((0, 12), (20, 21))
    assert head_of(net, ("0", "2")) == ((0, 21),)
    assert head_of(bind(torch.nn.Linear(3, 1))) == ((0, 4),)  # of a linear model the head is all there is


def test_anil_with_the_whole_vector_as_its_head_is_maml():
    net = small_net()
    task = Task(np.eye(3), np.array([1.0, 0.0, 1.0]), np.eye(3) / 2, np.zeros(3))
    anil, maml = Anil(GradientSteps(0.3, 3), ((0, net.dimension),), net.dimension), algorithms_of(net)["maml"]
    rows = [LoopEngine(net, one, loss="logistic").contributions(net.start, [task]) for one in (anil, maml)]
    np.testing.assert_allclose(*rows, atol=1e-15)


def test_clipped_inner_steps_keep_a_long_adaptation_finite():
    """A steep loss at a large rate: plain steps overflow, clipped ones move by at most lr max_norm each."""
    net = bind(torch.nn.Linear(1, 1))
    task = Task(np.full((1, 1), 30.0), np.zeros(1), np.full((1, 1), 30.0), np.zeros(1))
    plain, kept = (
        LoopEngine(net, Reptile(GradientSteps(0.1, 200, max_norm=most)), loss="squared").contributions(
            net.start, [task]
        )
        for most in (None, 1.0)
    )
    assert not np.isfinite(plain).all()
    assert np.linalg.norm(kept) <= 1.0 + 1e-12


def test_rates_that_explode_are_data_like_any_other():
    """Meta-SGD at huge rates: the vector is huge or not finite, never an exception, and the clip comes after."""
    net = small_net()
    algorithm = algorithms_of(net)["meta-sgd"]
    theta = np.concatenate([net.start, np.full(net.dimension, 2.0**20)])
    task = Task(np.eye(3), np.array([1.0, 0.0, 1.0]), np.eye(3), np.zeros(3))
    row = LoopEngine(net, algorithm, loss="logistic").contributions(theta, [task])
    assert row.shape == (1, 2 * net.dimension)
