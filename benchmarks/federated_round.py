# SPDX-License-Identifier: Apache-2.0
"""Measure a simulated federated round of many small clients, and how well it learns.

python benchmarks/federated_round.py --model mlp --noise 1 --engine auto --repeat 50 --json

100 clients of 14 rows each (scikit-learn's digits in label shards), two local SGD steps of 7 rows at rate 0.1, all
clients in every round; with --noise 1 each client's vector is clipped to 1 and given noise of deviation 0.5. Models are
the 64-128-10 MLP and a convolutional network of 105 226 parameters. Accuracy is that of 30 rounds on held-out digits.

Engines: `hand` is population.local_sgd; `stacked` runs the same steps through the stacked forward pass and the tape
(dense networks); `auto` is `hand`. Beside the float round stand the same with integers of the ring (rounded normal
noise, sum mod 2^32, and the round's charge), the same with discrete Gaussian noise from an AES keystream, and one
central draw of equal law. All kinds run in turn in each repetition, so that a slow moment falls on all.

--peer runs pfl 0.6.0 on the same work between two halves of our own repetitions, in its own environment
(benchmarks/peers/build.py pfl). It draws one float noise a client too, and knows no ring and no discrete noise.

With noise, accuracy is the mean over `--seeds` runs: one run's is spread over about 0.03. The last line with --json:
min_ms median_ms first_call_ms peak_extra_bytes clients_per_second accuracy, and more.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from fedmeta_privacy.claims import View
from fedmeta_privacy.encoding import IntegerEncoding, choose_step
from fedmeta_privacy.filters import DominatingEventFilter
from secure_fedmeta.algorithms.core import Grad, Losses, Tensor, tape_grad
from secure_fedmeta.engines.batch import BatchLosses, Part, TaskBatch
from secure_fedmeta.engines.stacked import batched_outputs
from secure_fedmeta.losses import ROW_LOSSES
from secure_fedmeta.parameters import Architecture, bind
from secure_fedmeta.population.accounting import Account, account_of
from secure_fedmeta.population.clients import Shards, StackedClients
from secure_fedmeta.population.cohorts import FixedSize
from secure_fedmeta.population.local_sgd import LocalSgd
from secure_fedmeta.population.rounds import (
    DiscreteNoise,
    NormalNoise,
    float_round,
    ring_round,
    simulated_ring_round,
)
from secure_fedmeta.population.updates import Trained, Updates, clip_factors

CLIENTS, ROWS, BATCH, RATE, CLIP, DEVIATION, ROUNDS = 100, 14, 7, 0.1, 1.0, 0.5, 30


def digits() -> tuple[Shards, Tensor, Tensor]:
    """Label shards for 100 clients, and held-out rows and labels."""
    from sklearn.datasets import load_digits

    rows, labels = load_digits(return_X_y=True)
    rows = (rows / 16.0).astype(np.float32)
    shuffle = np.random.RandomState(0)
    order = shuffle.permutation(len(rows))
    rows, labels = rows[order], labels[order]
    by_label = np.argsort(labels[:1400], kind="stable")
    shards = by_label.reshape(200, 7)[shuffle.permutation(200)].reshape(CLIENTS, ROWS)
    held = torch.tensor(rows[1400:]), torch.tensor(labels[1400:])
    return Shards(torch.tensor(rows[shards]), torch.tensor(labels[shards])), *held


def mlp() -> nn.Sequential:
    return nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 10))


def cnn() -> nn.Sequential:
    return nn.Sequential(
        nn.Unflatten(1, (1, 8, 8)),
        nn.Conv2d(1, 16, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(16, 32, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(512, 192),
        nn.ReLU(),
        nn.Linear(192, 10),
    )


MODELS = {"mlp": (mlp, 128), "cnn": (cnn, 10)}


class ByEngine:
    """The same local steps through the stacked forward pass and the tape."""

    def __init__(self, architecture: Architecture, chunk: int) -> None:
        self._outputs, self._chunk = batched_outputs(architecture), chunk

    def rows(self, theta: Tensor, source: StackedClients, cohort: np.ndarray) -> Any:
        for part in source.batch(cohort).chunks(self._chunk):
            at = theta.expand(len(part), -1)
            for rows, labels, weight in part.batches(BATCH):
                weights = torch.full(labels.shape, float(weight))
                batch = TaskBatch(Part(rows, labels, weights), Part(rows, labels, weights), torch.zeros(len(part), 2))
                losses: Losses = BatchLosses(batch, self._outputs, ROW_LOSSES["cross-entropy"])
                grad: Grad = tape_grad
                at = (at - RATE * grad(losses.support)(at)).detach()
            yield theta - at

    def total(self, theta: Tensor, source: StackedClients, cohort: np.ndarray, clip_norm: float | None) -> Tensor:
        total = torch.zeros_like(theta)
        for rows in self.rows(theta, source, cohort):
            total += rows.sum(0) if clip_norm is None else clip_factors(rows, clip_norm) @ rows
        return total


def kinds(
    updates: Updates, source: StackedClients, dimension: int, noisy: bool
) -> tuple[dict[str, Callable[[Tensor], Tensor]], dict[str, Account]]:
    """Each kind of round: from a model to the sum of the clients' vectors."""
    cohort = np.arange(CLIENTS)
    if not noisy:
        return {"round": lambda theta: float_round(updates, theta, source, cohort)}, {}
    encoding = IntegerEncoding(choose_step(CLIP, dimension), dimension, 32)
    each, central = NormalNoise(DEVIATION), NormalNoise(DEVIATION * CLIENTS**0.5, draws="sum")
    discrete = DiscreteNoise(DEVIATION / encoding.step)
    once = DiscreteNoise(DEVIATION * CLIENTS**0.5 / encoding.step, draws="sum")
    cohorts = FixedSize(CLIENTS, CLIENTS)
    accounts = {
        "simulated": account_of(cohorts, each, clip_norm=CLIP, floor=CLIENTS, colluders=0),
        "discrete": account_of(cohorts, discrete, clip_norm=CLIP, encoding=encoding, floor=CLIENTS, colluders=0),
    }
    books = {name: DominatingEventFilter(account.release, 10**6) for name, account in accounts.items()}

    def charge(name: str) -> None:
        books[name].charge(round=books[name].last_round + 1, event=accounts[name].release)

    def decoded(steps: np.ndarray) -> Tensor:
        return torch.from_numpy(encoding.decode(steps)).float()

    def in_ring(theta: Tensor) -> Tensor:
        steps = simulated_ring_round(updates, theta, source, cohort, clip_norm=CLIP, encoding=encoding, noise=each)
        charge("simulated")
        return decoded(steps)

    def private(noise: DiscreteNoise) -> Callable[[Tensor], Tensor]:
        def run(theta: Tensor) -> Tensor:
            steps = ring_round(
                updates,
                theta,
                source,
                cohort,
                clip_norm=CLIP,
                encoding=encoding,
                noise=noise,
                keys=lambda _: os.urandom(16),
            )
            charge("discrete")
            return decoded(steps)

        return run

    return {
        "round": lambda theta: float_round(updates, theta, source, cohort, clip_norm=CLIP, noise=each),
        "central draw": lambda theta: float_round(updates, theta, source, cohort, clip_norm=CLIP, noise=central),
        "ring": in_ring,
        "keystream": private(discrete),
        "keystream, one draw": private(once),
    }, accounts


def accuracy(
    run: Callable[[Tensor], Tensor], start: Tensor, net: Architecture, held: tuple[Tensor, Tensor], seed: int
) -> float:
    theta = start
    torch.manual_seed(seed)
    for _ in range(ROUNDS):
        theta = theta - run(theta) / CLIENTS
    with torch.no_grad():
        found = net.outputs(theta, held[0]).argmax(1)
    return float((found == held[1]).float().mean())


def peer(model: str, noise: int, shards: Shards, held: tuple[Tensor, Tensor], theta: Tensor) -> dict[str, Any]:
    """30 rounds of pfl in its own environment."""
    here = Path(__file__).resolve().parent
    python = here.parent / ".peers" / "pfl" / "bin" / "python"
    if not python.exists():
        raise SystemExit("pfl is not built (python benchmarks/peers/build.py pfl): nothing was compared")
    with tempfile.TemporaryDirectory() as folder:
        data, start = Path(folder) / "data.npz", Path(folder) / "start.npy"
        np.savez(
            data,
            rows=shards.rows.numpy(),
            labels=shards.labels.numpy(),
            held_rows=held[0].numpy(),
            held_labels=held[1].numpy(),
        )
        np.save(start, theta.numpy())
        command = [python, here / "peers" / "pfl_round.py", model, str(noise), data, start]
        done = subprocess.run(
            [str(part) for part in command],
            capture_output=True,
            text=True,
            check=False,
            env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": ""},
        )
    if done.returncode:
        raise SystemExit(f"pfl failed: {done.stderr[-2000:]}")
    answer: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return answer


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", choices=MODELS, default="mlp")
    parser.add_argument("--noise", type=int, choices=(0, 1), default=0)
    parser.add_argument("--engine", choices=("auto", "hand", "stacked"), default="auto")
    parser.add_argument("--repeat", type=int, default=30)
    parser.add_argument("--seeds", type=int, default=10, help="runs of 30 rounds with noise, of the fast kinds")
    parser.add_argument("--peer", action="store_true")
    parser.add_argument("--no-accuracy", action="store_true", help="leave out the 30 rounds of each kind")
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


def main() -> None:
    options = parsed()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    shards, *held = digits()
    factory, chunk = MODELS[options.model]
    net = bind(factory())
    source = StackedClients(shards)
    updates: Any = Trained(LocalSgd(net, loss="cross-entropy", lr=RATE, batch_size=BATCH, chunk=chunk))
    if options.engine == "stacked":
        updates = ByEngine(net.of_type(torch.float32), chunk)
    theta = net.start_tensor().float()
    runs, accounts = kinds(updates, source, net.dimension, bool(options.noise))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    first: dict[str, float] = {}
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in runs}
    for name, run in runs.items():
        first[name], _ = _timed(run, theta)
        if name == "round":
            extra = 1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
    other: list[float] = []
    right: list[float] = []
    for half in range(2):
        for _ in range(options.repeat // 2 + 1):
            for name, run in runs.items():
                times[name].append(_timed(run, theta))
        for _ in range(2 if options.peer and half == 0 else 0):
            answer = peer(options.model, options.noise, shards, (held[0], held[1]), theta)
            other += answer["ms"]
            right.append(answer["accuracy"])
    rows: dict[str, dict[str, float]] = {}
    for name, run in runs.items():
        clock = [one for one, _ in times[name]]
        rows[name] = {
            "min_ms": round(min(clock), 3),
            "median_ms": round(statistics.median(clock), 3),
            "processor_min_ms": round(min(busy for _, busy in times[name]), 3),
            "clients_per_second": int(1e3 * CLIENTS / min(clock)),
        }
        if not options.no_accuracy:
            net32, seeds = net.of_type(torch.float32), options.seeds if options.noise and "key" not in name else 1
            found = [accuracy(run, theta, net32, (held[0], held[1]), seed + 1) for seed in range(seeds)]
            rows[name]["accuracy"] = round(statistics.mean(found), 4)
            if seeds > 1:
                rows[name]["accuracy_deviation"] = round(statistics.stdev(found), 4)
        print(f"{name:20s} {rows[name]}")
    report = {**rows["round"], "first_call_ms": round(first["round"], 3), "peak_extra_bytes": extra}
    report |= {"model": options.model, "noise": options.noise, "engine": options.engine, "parameters": net.dimension}
    if options.noise:
        report["ring_over_round"] = round(rows["ring"]["min_ms"] / rows["round"]["min_ms"], 3)
        report["other_kinds"] = {name: row for name, row in rows.items() if name != "round"}
        for name, account in accounts.items():
            spent = account.epsilon(View.RELEASE, rounds=ROUNDS, delta=1e-3)
            print(f"epsilon of {ROUNDS} rounds, {name}: {spent:.3f} at delta 1e-3 (unit client, view release)")
    if other:
        report["pfl"] = {
            "min_ms": round(min(other), 2),
            "median_ms": round(statistics.median(other), 2),
            "accuracy": round(statistics.mean(right), 4),
        }
        print(f"{'pfl 0.6.0':20s} {report['pfl']}")
    print(f"load {os.getloadavg()[0]:.2f} on {os.cpu_count()} cores", file=sys.stderr)
    if options.json:
        print(json.dumps(report))


def _timed(run: Callable[[Tensor], Tensor], theta: Tensor) -> tuple[float, float]:
    """Milliseconds on the clock and of this thread's processor time."""
    start, busy = time.perf_counter(), time.thread_time()
    run(theta)
    return 1e3 * (time.perf_counter() - start), 1e3 * (time.thread_time() - busy)


if __name__ == "__main__":
    main()
