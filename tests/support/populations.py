"""Small populations for tests: clients made from an index, a small network, and a training of both."""

import numpy as np
import torch
from torch import nn

from secure_fedmeta.parameters import bind
from secure_fedmeta.population.clients import MadeClients, Shards
from secure_fedmeta.population.cohorts import Poisson
from secure_fedmeta.population.local_sgd import LocalSgd
from secure_fedmeta.population.rounds import NormalNoise
from secure_fedmeta.population.settings import Training
from secure_fedmeta.population.updates import Trained
from secure_fedmeta.tasks import Task


def small_net(features=3, classes=3, width=4):
    torch.manual_seed(0)
    return bind(nn.Sequential(nn.Linear(features, width), nn.Tanh(), nn.Linear(width, classes)))


def client(index, *, features=3, classes=3, rows=5):
    rng = np.random.default_rng(index)
    labels = rng.integers(0, classes, rows).astype(float)
    values = rng.normal(size=(rows, features)) + labels[:, None]
    return Task(values[:2], labels[:2], values[2:], labels[2:])


def small_training(population=200, **changes):
    sgd = LocalSgd(small_net(), loss="cross-entropy", lr=0.1, batch_size=2, chunk=16)
    settings = {
        "updates": Trained(sgd),
        "source": MadeClients(population, client),
        "cohorts": Poisson(population, 0.1),
        "rounds": 6,
        "divisor": 0.1 * population,
        "clip_norm": 0.5,
        "noise": NormalNoise(0.5, draws="sum"),
        "reproducible": True,
        "seed": 7,
        "data": "clients made from their index",
    }
    return Training(**(settings | changes))


def start_of(training):
    return training.updates.sgd.architecture.start_tensor().float()


def by_hand(module, theta, part, *, loss, lr, size, epochs=1):
    """Each client's way, by the optimiser and automatic differentiation of torch."""
    ways = []
    for place in range(len(part)):
        net = module()
        net.to(theta.dtype)
        nn.utils.vector_to_parameters(theta.clone(), net.parameters())
        optimiser = torch.optim.SGD(net.parameters(), lr=lr)
        count = part.slots if part.counts is None else int(part.counts[place])
        rows, labels = part.rows[place, :count], part.labels[place, :count]
        for _ in range(epochs):
            for start in range(0, count, size):
                optimiser.zero_grad()
                loss(net(rows[start : start + size]), labels[start : start + size]).backward()
                optimiser.step()
        ways.append(theta - nn.utils.parameters_to_vector(net.parameters()).detach())
    return torch.stack(ways)


def random_shards(clients, slots, shape, classes, *, seed=0, counts=None, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    rows = torch.randn(clients, slots, *shape, generator=generator, dtype=dtype)
    labels = torch.randint(0, classes, (clients, slots), generator=generator)
    return Shards(rows, labels, counts)
