# SPDX-License-Identifier: Apache-2.0
"""Measure what a large population costs in one process: memory, and time against cohort and population.

python benchmarks/population_scale.py --clients 100000 --json

A round of `--clients` clients, each made from its index (6 rows of 64 features, local SGD of two steps on a network of
10 138 parameters) and forgotten again: in floats, and in the ring with one discrete draw. Then cohorts of 1 000 from
populations of 10^4, 10^6 and 10^8: the time must not follow the population. Exit status 1 beyond 2 GB of memory.
Prints one JSON object as the last line with --json.
"""

import argparse
import json
import os
import resource
import time

import numpy as np
import torch
from torch import nn

from fedmeta_crypto import Keystream
from fedmeta_privacy.encoding import IntegerEncoding, choose_step
from secure_fedmeta.parameters import bind
from secure_fedmeta.population.clients import Indices, Shards
from secure_fedmeta.population.cohorts import Poisson
from secure_fedmeta.population.local_sgd import LocalSgd
from secure_fedmeta.population.rounds import DiscreteNoise, float_round, ring_round
from secure_fedmeta.population.updates import Trained
from secure_fedmeta.tasks import Task

LIMIT = 2e9


class Generated:
    """N clients by index, a chunk of them in one generator call each."""

    def __init__(self, size: int) -> None:
        self._size = size

    def __len__(self) -> int:
        return self._size

    def batch(self, indices: Indices) -> Shards:
        rows = np.empty((len(indices), 6, 64), np.float32)
        labels = np.empty((len(indices), 6), np.int64)
        for place, index in enumerate(indices.tolist()):
            generator = np.random.Generator(np.random.Philox(key=index))
            rows[place] = generator.standard_normal((6, 64), np.float32)
            labels[place] = generator.integers(0, 10, 6)
        return Shards(torch.from_numpy(rows), torch.from_numpy(labels))

    def task(self, index: int) -> Task:
        one = self.batch(np.array([index]))
        rows, labels = one.rows[0].double().numpy(), one.labels[0].double().numpy()
        return Task(rows[:3], labels[:3], rows[3:], labels[3:])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", type=int, default=100_000)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    net = bind(nn.Sequential(nn.Linear(64, 135), nn.Tanh(), nn.Linear(135, 10)))
    updates = Trained(LocalSgd(net, loss="cross-entropy", lr=0.1, batch_size=3, chunk=128))
    theta, d = net.start_tensor().float(), net.dimension
    encoding = IntegerEncoding(choose_step(1.0, d, cost=0.05), d, 32)
    keys = {"keys": lambda _: os.urandom(16)}

    def timed(run: object, *given: object, **named: object) -> float:
        start = time.perf_counter()
        run(*given, **named)  # type: ignore[operator]
        return time.perf_counter() - start

    whole, everyone = Generated(options.clients), np.arange(options.clients)
    noise = DiscreteNoise(64.0, draws="sum")
    seconds = {
        "floats": timed(float_round, updates, theta, whole, everyone, clip_norm=1.0),
        "ring": timed(
            ring_round, updates, theta, whole, everyone, clip_norm=1.0, encoding=encoding, noise=noise, **keys
        ),
    }
    by_population = {}
    for size in (10**4, 10**6, 10**8):
        cohorts, many = Poisson(size, 1000 / size), Generated(size)
        times = []
        for number in range(4):  # the first one works out the table of counts, once a run

            def one(number: int = number, cohorts: Poisson = cohorts, many: Generated = many) -> None:
                cohort = cohorts.draw(number, Keystream(os.urandom(16)).words)
                float_round(updates, theta, many, cohort, clip_norm=1.0)

            times.append(timed(one))
        by_population[size] = round(1e3 * min(times[1:]), 1)
    peak = 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    report = {
        "clients": options.clients,
        "parameters": d,
        "seconds": {name: round(value, 2) for name, value in seconds.items()},
        "ms_of_1000_clients_by_population": by_population,
        "peak_bytes": peak,
    }
    for name, value in report.items():
        print(f"{name:34s} {value}")
    if options.json:
        print(json.dumps(report))
    if peak > LIMIT:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
