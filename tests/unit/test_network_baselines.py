"""FedAvg, Ditto and FedRep: their limits, against loops over single clients, and what stays with a client."""

import numpy as np
import pytest
import torch
from small_runs import random_task

from secure_fedmeta.algorithms.anil import head_of
from secure_fedmeta.algorithms.inner import GradientSteps
from secure_fedmeta.baselines.networks import Clients, Ditto, FedRep, fedavg
from secure_fedmeta.engines.batch import TaskBatch
from secure_fedmeta.errors import BaselineRefused
from secure_fedmeta.parameters import bind

torch.manual_seed(0)
NET = bind(torch.nn.Sequential(torch.nn.Linear(3, 5), torch.nn.Tanh(), torch.nn.Linear(5, 1)))
TASKS = [random_task(np.random.default_rng(k), 3, 4 + k, 5) for k in range(4)]
CLIENTS = Clients(NET, TaskBatch.of(TASKS), "logistic")
START = NET.start_tensor()
STEPS = GradientSteps(0.3, 2)
HEAD = head_of(NET)


def loss_of(theta, task):
    rows = torch.from_numpy(np.concatenate([task.support_rows, task.query_rows]))
    labels = torch.from_numpy(np.concatenate([task.support_labels, task.query_labels]))
    outputs = NET.outputs(theta, rows).squeeze(-1)
    return torch.nn.functional.binary_cross_entropy_with_logits(outputs, labels)


def slope(theta, task):
    leaf = theta.clone().requires_grad_()
    return torch.autograd.grad(loss_of(leaf, task), leaf)[0]


def test_fedavg_is_a_loop_over_clients():
    theta = START
    for _ in range(3):
        local = []
        for task in TASKS:
            at = theta
            for _ in range(2):
                at = at - 0.3 * slope(at, task)
            local.append(at)
        theta = torch.stack(local).mean(0)
    torch.testing.assert_close(fedavg(CLIENTS, START, rounds=3, steps=STEPS), theta, rtol=0, atol=1e-12)


def test_ditto_is_a_loop_over_clients():
    common, own = START, [START] * 4
    for _ in range(3):
        for k, task in enumerate(TASKS):
            for _ in range(2):
                own[k] = own[k] - 0.1 * (slope(own[k], task) + 2.0 * (own[k] - common))
        common = fedavg(CLIENTS, common, rounds=1, steps=STEPS)
    found, personal = Ditto(STEPS, lr=0.1, count=2, regularization=2.0).train(CLIENTS, START, rounds=3)
    torch.testing.assert_close(found, common, rtol=0, atol=1e-12)
    torch.testing.assert_close(personal, torch.stack(own), rtol=0, atol=1e-12)


def test_ditto_with_a_large_lambda_is_fedavg():
    # Each personal model follows the common model of its round's start: after 5 rounds that of 4.
    before = fedavg(CLIENTS, START, rounds=4, steps=STEPS)
    _, personal = Ditto(STEPS, lr=1e-9, count=1, regularization=1e9).train(CLIENTS, START, rounds=5)
    torch.testing.assert_close(personal, before.expand(4, -1), rtol=0, atol=1e-7)


def test_ditto_without_lambda_is_training_alone():
    _, personal = Ditto(STEPS, lr=0.3, count=2, regularization=0.0).train(CLIENTS, START, rounds=2)
    at = START
    for _ in range(4):
        at = at - 0.3 * slope(at, TASKS[1])
    torch.testing.assert_close(personal[1], at, rtol=0, atol=1e-12)


def test_fedrep_shares_its_body_and_keeps_its_heads():
    rep = FedRep(HEAD, GradientSteps(0.3, 3), GradientSteps(0.1, 2))
    common, own = rep.train(CLIENTS, START, rounds=4)
    ((start, stop),) = HEAD
    body = torch.ones(NET.dimension, dtype=torch.bool)
    body[start:stop] = False
    assert torch.equal(own[:, body], own[:1, body].expand(4, -1))
    assert torch.equal(common[body], own[0, body]) and not torch.equal(common[body], START[body])
    heads = own[:, start:stop]
    assert torch.equal(common[start:stop], START[start:stop])  # no head ever reaches the server
    assert len({tuple(head.tolist()) for head in heads}) == 4


def test_fedrep_is_a_loop_over_clients():
    ((start, stop),) = HEAD
    head = torch.zeros(NET.dimension, dtype=torch.float64)
    head[start:stop] = 1
    moved = []
    for task in TASKS:
        at = START
        for _ in range(3):
            at = at - 0.3 * head * slope(at, task)
        for _ in range(2):
            at = at - 0.1 * (1 - head) * slope(at, task)
        moved.append(at)
    expected = torch.where(head > 0, torch.stack(moved), torch.stack(moved).mean(0))
    _, own = FedRep(HEAD, GradientSteps(0.3, 3), GradientSteps(0.1, 2)).train(CLIENTS, START, rounds=1)
    torch.testing.assert_close(own, expected, rtol=0, atol=1e-12)


def test_another_client_learns_a_head_on_the_body_from_its_support_rows_alone():
    rep = FedRep(HEAD, GradientSteps(0.3, 3), GradientSteps(0.1, 2))
    adapted = rep.adapt(CLIENTS, START, count=5)
    ((start, stop),) = HEAD
    body = torch.ones(NET.dimension, dtype=torch.bool)
    body[start:stop] = False
    assert torch.equal(adapted[:, body], START[body].expand(4, -1))
    assert (CLIENTS.losses.support(adapted) < CLIENTS.losses.support(START.expand(4, -1))).all()


@pytest.mark.parametrize(
    "make",
    [
        lambda: Ditto(STEPS, lr=0.1, count=1, regularization=20.0),
        lambda: Ditto(STEPS, lr=0.0, count=1, regularization=1.0),
        lambda: FedRep((), STEPS, STEPS),
        lambda: FedRep(((0, 10_000),), STEPS, STEPS).train(CLIENTS, START, rounds=1),
        lambda: fedavg(CLIENTS, START, rounds=0, steps=STEPS),
    ],
)
def test_settings_out_of_range(make):
    with pytest.raises(BaselineRefused, match="SFM-147"):
        make()
