"""Outer steps against torch.optim; scores that leave no task out; step counts of every algorithm."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from secure_fedmeta.algorithms.anil import Anil, head_of
from secure_fedmeta.algorithms.fedavg import FedAvg
from secure_fedmeta.algorithms.imaml import Imaml
from secure_fedmeta.algorithms.inner import GradientSteps
from secure_fedmeta.algorithms.maml import Maml
from secure_fedmeta.algorithms.meta_sgd import MetaSgd
from secure_fedmeta.algorithms.per_fedavg import PerFedAvg
from secure_fedmeta.algorithms.reptile import Reptile
from secure_fedmeta.engines.batch import Part, TaskBatch
from secure_fedmeta.engines.stacked import StackedEngine
from secure_fedmeta.errors import TrainingRefused
from secure_fedmeta.parameters import bind
from secure_fedmeta.training import Blend, Outer, Score, evaluate, meta_train, with_steps

STEPS = GradientSteps(0.05, 1)


def net(outputs=1):
    torch.manual_seed(0)
    return bind(torch.nn.Sequential(torch.nn.Linear(2, 4), torch.nn.Tanh(), torch.nn.Linear(4, outputs)))


def tasks(count=5, rows=6, seed=0):
    made = torch.Generator().manual_seed(seed)

    def part():
        x = torch.rand(count, rows, 2, generator=made, dtype=torch.float64)
        return Part(
            x,
            x.sum(-1) * torch.arange(1.0, count + 1).double()[:, None],
            torch.full((count, rows), 1 / rows, dtype=torch.float64),
        )

    return TaskBatch(part(), part(), torch.full((count, 2), rows))


def test_adam_is_torchs():
    theta = torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64)
    state = Outer(rounds=50, lr=0.03, warmup=0.0, decay="none").begin(theta)
    other = theta.clone().requires_grad_()
    theirs = torch.optim.Adam([other], lr=0.03)
    for k in range(50):
        gradient = torch.sin(state.theta * (k + 1))
        other.grad = torch.sin(other.detach() * (k + 1))
        theirs.step()
        state.step(gradient)
    torch.testing.assert_close(state.theta, other.detach(), rtol=0, atol=1e-9)


def test_the_released_model_is_the_mean_of_the_tail():
    state = Outer(rounds=10, lr=1.0, rule="sgd", warmup=0.0, decay="none", tail_average=0.3).begin(torch.zeros(1))
    seen = [float(state.step(torch.tensor([-1.0]))) for _ in range(10)]
    assert float(state.released) == pytest.approx(sum(seen[-3:]) / 3)


@given(rounds=st.integers(1, 500), warmup=st.floats(0, 0.99))
@settings(max_examples=30)
def test_rates_stay_between_zero_and_the_largest(rounds, warmup):
    outer = Outer(rounds=rounds, lr=0.1, warmup=warmup)
    assert all(0 < outer.rate(k) <= 0.1 for k in range(rounds))


@pytest.mark.parametrize(
    "changes", [{"rounds": 0}, {"lr": 0.0}, {"lr": math.inf}, {"tail_average": 1.0}, {"rule": "rms"}, {"decay": "step"}]
)
def test_settings_out_of_range(changes):
    with pytest.raises(TrainingRefused, match="SFM-146"):
        Outer(**({"rounds": 5, "lr": 0.1} | changes))


def test_training_is_a_function_of_its_sources():
    architecture = net()
    engine = StackedEngine(architecture, Maml(STEPS), loss="squared")
    runs = [
        meta_train(engine, architecture.start_tensor(), lambda k: tasks(seed=k), Outer(rounds=5, lr=0.01))
        for _ in range(2)
    ]
    assert torch.equal(*runs)


def test_a_mean_that_is_not_finite_ends_training():
    architecture = net()
    engine = StackedEngine(architecture, Maml(GradientSteps(1e200, 5)), loss="squared")
    with pytest.raises(TrainingRefused, match="round 1 is not finite"):
        meta_train(engine, architecture.start_tensor(), lambda k: tasks(), Outer(rounds=5, lr=0.01))


def test_a_blend_is_the_weighted_sum_and_adapts_like_its_first():
    architecture, batch = net(), tasks()
    theta = architecture.start_tensor()
    one, five = Maml(STEPS), Maml(GradientSteps(0.05, 5))

    def of(algorithm):
        return StackedEngine(architecture, algorithm, loss="squared").of_batch(theta, batch)

    blend = Blend((five, one), (0.25, 0.75))
    torch.testing.assert_close(of(blend), 0.25 * of(five) + 0.75 * of(one))
    with pytest.raises(TrainingRefused):
        Blend((one,), (1.0, 2.0))


def test_no_task_is_left_out_of_a_score():
    worst = Score.of(torch.tensor([1.0, math.nan, 2.0, math.inf]))
    assert worst.mean == math.inf and worst.diverged == 2 and worst.median > 2.0


ARCHITECTURE = net()
ALGORITHMS = [
    Maml(STEPS),
    Maml(STEPS, first_order=True),
    Anil(STEPS, head_of(ARCHITECTURE), ARCHITECTURE.dimension),
    MetaSgd(0.05, 1, ARCHITECTURE.lengths),
    MetaSgd(0.05, 1, ARCHITECTURE.lengths, per_tensor=True),
    Reptile(STEPS),
    PerFedAvg(0.05),
    Imaml(STEPS, regularization=0.5),
    FedAvg(STEPS),
]


@pytest.mark.parametrize("algorithm", ALGORITHMS, ids=str)
def test_every_algorithm_is_scored_after_each_number_of_steps(algorithm):
    batch, theta = tasks(), algorithm.start(ARCHITECTURE)
    found = evaluate(ARCHITECTURE, algorithm, theta, batch, loss="squared", steps=(0, 1, 5))
    support = TaskBatch(batch.support, batch.support, batch.sizes)
    own = evaluate(ARCHITECTURE, algorithm, theta, support, loss="squared", steps=(0, 1, 5))
    assert own[5].mean < own[1].mean < own[0].mean  # on the rows adapted on, steps go down
    assert found[0] == evaluate(ARCHITECTURE, Maml(STEPS), theta, batch, loss="squared", steps=(0,))[0]


def test_steps_by_hand():
    batch, theta = tasks(count=1), ARCHITECTURE.start_tensor()
    at = theta
    for _ in range(2):
        leaf = at.clone().requires_grad_()
        loss = (ARCHITECTURE.outputs(leaf, batch.support.rows[0]).squeeze(-1) - batch.support.labels[0]).square().mean()
        at = at - 0.05 * torch.autograd.grad(loss, leaf)[0]
    by_hand = (ARCHITECTURE.outputs(at, batch.query.rows[0]).squeeze(-1) - batch.query.labels[0]).square().mean()
    found = evaluate(ARCHITECTURE, Maml(STEPS), theta, batch, loss="squared", steps=(2,))[2]
    assert found.mean == found.median == pytest.approx(float(by_hand), rel=1e-12)


def test_accuracy_counts_padding_for_nothing():
    architecture = net(outputs=3)
    x = torch.rand(2, 4, 2, dtype=torch.float64)
    guesses = architecture.outputs(architecture.start_tensor(), x).argmax(-1).double()
    labels = guesses.clone()
    labels[1, 0] = (labels[1, 0] + 1) % 3  # one of the second task's two rows is wrong
    weights = torch.tensor([[0.25] * 4, [0.5, 0.5, 0.0, 0.0]], dtype=torch.float64)
    part = Part(x, labels, weights)
    batch = TaskBatch(part, part, torch.tensor([[4, 4], [2, 2]]))
    found = evaluate(
        architecture,
        Maml(STEPS),
        architecture.start_tensor(),
        batch,
        loss="cross-entropy",
        steps=(0,),
        score="accuracy",
    )
    assert found[0].mean == pytest.approx(0.75)


def test_with_steps_refuses_what_it_does_not_know():
    with pytest.raises(TrainingRefused):
        with_steps(Maml(STEPS), -1)
    with pytest.raises(TrainingRefused):
        with_steps(Blend((Maml(STEPS),), (1.0,)), 3)


@pytest.mark.parametrize("theta", [np.zeros(3), [0.0], torch.zeros(2, 2), torch.zeros(3, dtype=torch.int64)])
def test_a_start_that_is_no_vector_of_floats_is_refused(theta):
    with pytest.raises(TrainingRefused, match="SFM-146: theta is no vector of floats"):
        Outer(rounds=1, lr=0.1).begin(theta)


@pytest.mark.parametrize("source", [lambda number: None, [1, 2], None])
def test_a_source_that_gives_no_batch_is_refused(source):
    engine = StackedEngine(bind(torch.nn.Linear(1, 1)), Maml(STEPS), loss="squared")
    with pytest.raises(TrainingRefused, match="SFM-146: the source gave a"):
        meta_train(engine, torch.zeros(2), source, Outer(rounds=1, lr=0.1))
