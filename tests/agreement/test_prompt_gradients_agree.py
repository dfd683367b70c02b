"""Gradients of a prompt: engines, the batched losses, and differences of float64 losses."""

import numpy as np
import pytest
import torch
from small_prompts import LETTERS, TINY, encoded_task, tiny_prompt, tiny_transformer
from torch.func import grad, vmap

from secure_fedmeta.algorithms.core import tape_grad
from secure_fedmeta.algorithms.inner import GradientSteps
from secure_fedmeta.algorithms.maml import Maml
from secure_fedmeta.engines.loop import LoopEngine
from secure_fedmeta.engines.vmap import VmapEngine
from secure_fedmeta.parameters import bind
from secure_fedmeta.prompts.losses import PromptLosses, WeightLosses

RULES = [Maml(GradientSteps(lr=0.7, count=2), first_order=first) for first in (False, True)]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_loop_and_vmap(rule):
    bound = bind(tiny_prompt())
    tasks = [encoded_task(user, 2 + user % 3, 4 - user % 2) for user in range(5)]
    theta = bound.start + np.random.default_rng(0).normal(0, 0.1, bound.dimension)
    expected = LoopEngine(bound, rule, loss="cross-entropy").contributions(theta, tasks)
    assert np.isfinite(expected).all() and (np.abs(expected).max(axis=1) > 1e-4).all()
    found = VmapEngine(bound, rule, loss="cross-entropy").contributions(theta, tasks)
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)


def test_against_differences_of_losses():
    """The meta-gradient through two steps, coordinate by coordinate, from values alone."""
    bound, task, rule = bind(tiny_prompt()), encoded_task(3, 3, 4), RULES[0]
    engine = LoopEngine(bound, rule, loss="cross-entropy")
    found = engine.contributions(bound.start, [task])[0]

    def loss(theta):
        at = engine.adapted(theta, [task])[0]
        with torch.no_grad():
            logits = bound.outputs(torch.from_numpy(at.copy()), torch.from_numpy(task.query_rows.copy()))
            return float(torch.nn.functional.cross_entropy(logits, torch.from_numpy(task.query_labels.copy()).long()))

    h = 1e-5
    differences = [
        (loss(bound.start + h * unit) - loss(bound.start - h * unit)) / (2 * h) for unit in np.eye(bound.dimension)
    ]
    np.testing.assert_allclose(found, differences, rtol=1e-5, atol=1e-8)


def frames(users, each, seed):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(LETTERS, (users, each, TINY.window + 1), generator=generator)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_many_users_at_once_are_as_each_alone(rule):
    frozen = tiny_transformer().double().requires_grad_(requires_grad=False)
    support, query = frames(5, 2, 1), frames(5, 3, 2)
    theta = torch.randn(5, 3 * TINY.width, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    together = rule.contribution(theta, PromptLosses(frozen, support, query), tape_grad)
    for user in range(5):
        alone = PromptLosses(frozen, support[user : user + 1], query[user : user + 1])
        torch.testing.assert_close(rule.contribution(theta[user : user + 1], alone, tape_grad)[0], together[user])


def test_the_prompts_loss_is_written_out_once_more():
    frozen = tiny_transformer().double().requires_grad_(requires_grad=False)
    query, theta = frames(2, 2, 4), torch.randn(2, 2 * TINY.width, dtype=torch.float64)
    found = PromptLosses(frozen, query[:, :1], query[:, 1:])
    for user in range(2):
        for losses, place in ((found.support(theta), 0), (found.query(theta), 1)):
            ids = query[user, place]
            shares = frozen(ids[None, :-1], theta[user].view(2, -1))[0].softmax(-1)
            by_hand = -np.mean([np.log(float(shares[i, ids[i + 1]])) for i in range(TINY.window)])
            assert float(losses[user]) == pytest.approx(by_hand, rel=1e-12)
    halves = (found.support(theta) + found.query(theta)) / 2
    torch.testing.assert_close(found.every(theta), halves)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_all_weights_by_vmap_and_by_tape(rule):
    network = bind(tiny_transformer())
    support, query, theta = frames(3, 1, 5), frames(3, 2, 6), network.start_tensor()
    together = vmap(lambda s, q: rule.contribution(theta, WeightLosses(network, s, q), grad))(support, query)
    for user in range(3):
        losses = WeightLosses(network, support[user], query[user])
        torch.testing.assert_close(rule.contribution(theta, losses, tape_grad).detach(), together[user].detach())
