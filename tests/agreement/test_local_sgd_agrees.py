"""Hand-batched local training against torch's own optimiser, client by client, and against the batched engine."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from populations import by_hand, random_shards
from torch import nn
from torch.nn import functional

from secure_fedmeta.algorithms.core import tape_grad
from secure_fedmeta.algorithms.inner import GradientSteps
from secure_fedmeta.engines.batch import BatchLosses, TaskBatch
from secure_fedmeta.engines.stacked import batched_outputs
from secure_fedmeta.errors import ModelRefused, SettingError
from secure_fedmeta.losses import ROW_LOSSES
from secure_fedmeta.parameters import bind
from secure_fedmeta.population.clients import Shards, StackedClients
from secure_fedmeta.population.local_sgd import LocalSgd


def check(module, part, *, lr=0.1, size=3, epochs=1, chunk=4):
    torch.manual_seed(1)
    architecture = bind(module())
    theta = torch.randn(architecture.dimension, dtype=torch.float64) * 0.3
    sgd = LocalSgd(architecture, loss="cross-entropy", lr=lr, batch_size=size, epochs=epochs, chunk=chunk)
    rows = sgd.rows(theta, part)
    expected = by_hand(module, theta, part, loss=functional.cross_entropy, lr=lr, size=size, epochs=epochs)
    torch.testing.assert_close(rows, expected, rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(sgd.total(theta, part), expected.sum(0), rtol=1e-9, atol=1e-11)
    clip = max(1e-3, float(expected.norm(dim=1).median()))
    factors = (clip / expected.norm(dim=1).clamp_min(1e-12)).clamp_max(1.0)
    torch.testing.assert_close(sgd.total(theta, part, clip_norm=clip), factors @ expected, rtol=1e-7, atol=1e-9)


@settings(max_examples=25, deadline=None)
@given(
    widths=st.lists(st.integers(1, 40), min_size=1, max_size=3),
    clients=st.integers(1, 9),
    slots=st.integers(1, 8),
    size=st.integers(1, 5),
    epochs=st.integers(1, 3),
    tanh=st.booleans(),
    bias=st.booleans(),
    seed=st.integers(0, 99),
)
def test_any_stack_of_linear_layers(widths, clients, slots, size, epochs, tanh, bias, seed):
    def module():
        layers, inside = [], 6
        for width in widths:
            layers += [nn.Linear(inside, width, bias=bias), nn.Tanh() if tanh else nn.ReLU()]
            inside = width
        return nn.Sequential(*layers, nn.Linear(inside, 3))

    counts = torch.randint(0, slots + 1, (clients,), generator=torch.Generator().manual_seed(seed))
    for given_counts in (None, counts):
        part = random_shards(clients, slots, (6,), 3, seed=seed, counts=given_counts)
        check(module, part, size=size, epochs=epochs)


@pytest.mark.parametrize("stride, padding, kernel", [(1, 1, 3), (2, 0, 3), (1, 0, 2), (2, 1, 3)])
def test_convolutions_and_pooling(stride, padding, kernel):
    def module():
        return nn.Sequential(
            nn.Unflatten(1, (2, 9, 7)),
            nn.Conv2d(2, 4, kernel, stride=stride, padding=padding),
            nn.ReLU(),
            nn.Conv2d(4, 3, 2, padding=1, bias=False),
            nn.MaxPool2d(2),
            nn.Tanh(),
            nn.Flatten(),
            nn.Linear(_flat(stride, padding, kernel), 5),
        )

    check(module, random_shards(5, 6, (126,), 5), size=4)
    check(module, random_shards(5, 6, (126,), 5, counts=torch.tensor([6, 1, 0, 4, 5])), size=4)


def _flat(stride, padding, kernel):
    with torch.no_grad():
        shape = nn.Sequential(
            nn.Conv2d(2, 4, kernel, stride=stride, padding=padding), nn.Conv2d(4, 3, 2, padding=1), nn.MaxPool2d(2)
        )(torch.zeros(1, 2, 9, 7)).shape
    return int(np.prod(shape))


def test_one_batch_a_step_is_the_engines_gradient_steps():
    net = bind(nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3)))
    clients = StackedClients(random_shards(6, 5, (4,), 3), support=5)
    batch = TaskBatch.of([clients.task(i) for i in range(6)])
    losses = BatchLosses(batch, batched_outputs(net), ROW_LOSSES["cross-entropy"])
    theta = net.start_tensor()
    ends = GradientSteps(lr=0.2, count=3)(theta.expand(6, -1), losses.support, tape_grad).detach()
    sgd = LocalSgd(net, loss="cross-entropy", lr=0.2, batch_size=5, epochs=3)
    torch.testing.assert_close(sgd.rows(theta, clients.batch(np.arange(6))), theta - ends, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("loss", ["logistic", "squared"])
def test_other_losses(loss):
    def module():
        return nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 1))

    part = random_shards(4, 6, (3,), 2)
    part = Shards(part.rows, part.labels.double())
    net = bind(module())
    theta = net.start_tensor()
    rows = LocalSgd(net, loss=loss, lr=0.3, batch_size=2).rows(theta, part)
    expected = by_hand(module, theta, part, loss=lambda o, y: ROW_LOSSES[loss](o, y).mean(), lr=0.3, size=2)
    torch.testing.assert_close(rows, expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    "layer",
    [
        nn.Conv2d(2, 2, 1, groups=2),
        nn.Conv2d(2, 2, 3, padding="same"),
        nn.MaxPool2d(3, stride=1),
        nn.GELU(),
        nn.Flatten(2),
        nn.MaxPool2d(2, ceil_mode=True),
    ],
)
def test_what_has_no_hand_batched_form_is_refused(layer):
    with pytest.raises(ModelRefused, match="SFM-114"):
        LocalSgd(bind(nn.Sequential(nn.Linear(2, 2), layer)), loss="squared", lr=0.1, batch_size=1)


def test_settings_out_of_range():
    net = bind(nn.Sequential(nn.Linear(2, 2)))
    for wrong in ({"loss": "hinge"}, {"lr": 0.0}, {"batch_size": 0}, {"epochs": 0}):
        with pytest.raises(SettingError):
            LocalSgd(net, **({"loss": "squared", "lr": 0.1, "batch_size": 1} | wrong))
    with pytest.raises(ModelRefused):
        LocalSgd(bind(nn.Linear(2, 2)), loss="squared", lr=0.1, batch_size=1)


@pytest.mark.parametrize(
    "layers",
    [
        lambda: [nn.ReLU(), nn.Linear(6, 3)],
        lambda: [nn.Flatten(), nn.ReLU(), nn.Linear(6, 3)],
        lambda: [nn.Tanh(), nn.Tanh(), nn.Linear(6, 3)],
        lambda: [nn.Linear(6, 5), nn.Tanh(), nn.Tanh(), nn.Linear(5, 3)],
        lambda: [nn.Linear(6, 5), nn.Tanh(), nn.Flatten(), nn.Tanh(), nn.ReLU(), nn.Tanh(), nn.Linear(5, 3)],
    ],
)
def test_activations_one_after_the_other_and_before_any_weight(layers):
    """None may write over what another one keeps, and least of all over the clients' own rows."""

    def module():
        torch.manual_seed(4)
        return nn.Sequential(*layers())

    shards = random_shards(4, 5, (6,), 3)
    before = shards.rows.clone()
    net = bind(module())
    theta = net.start_tensor()
    found = LocalSgd(net, loss="cross-entropy", lr=0.3, batch_size=2, epochs=2).rows(theta, shards)
    assert torch.equal(shards.rows, before)
    expected = by_hand(module, theta, shards, loss=functional.cross_entropy, lr=0.3, size=2, epochs=2)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)
