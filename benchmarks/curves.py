# SPDX-License-Identifier: Apache-2.0
"""Accuracy against epsilon: MAML and Reptile beside FedAvg with fine-tuning, and Ditto and FedRep without privacy.

python benchmarks/curves.py --data synthetic --unit task --json      # or --data digits, --unit record

Data: LEAF's synthetic set (200 clients, 60 features, 5 classes) or scikit-learn's digits in label shards (100 clients
of two labels' shards). A fifth of the clients is held out. Model: softmax regression. Score: accuracy on a held-out
client's remaining rows after adapting to `--shots` of them, by the same steps for every method, mean over clients; mean
and standard deviation over seeds. "before" is the common model without adaptation.

Unit record: the product's rounds (`federate`, mode bounded-glm, masked sums, discrete noise, filters); 20 sites that
each hold several training clients' records; epsilon of the weakest view. Unit task: client-level rounds
(`training.train_privately`, view release, secret Poisson coins, discrete noise), epsilon of that view.
"""

import argparse
import json
import os
import statistics
import time

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch

from fedmeta_privacy.clipping import FlatClip
from secure_fedmeta.algorithms.anil import head_of
from secure_fedmeta.algorithms.core import tape_grad
from secure_fedmeta.algorithms.fedavg import FedAvg
from secure_fedmeta.algorithms.inner import GradientSteps
from secure_fedmeta.algorithms.maml import Maml
from secure_fedmeta.algorithms.reptile import Reptile
from secure_fedmeta.baselines.networks import Clients, Ditto, FedRep
from secure_fedmeta.datasets.codebook import Codebook
from secure_fedmeta.datasets.labelled import bundled, by_label_shards
from secure_fedmeta.datasets.records import SiteRecords
from secure_fedmeta.datasets.synthetic import leaf_synthetic
from secure_fedmeta.engines.batch import TaskBatch
from secure_fedmeta.engines.stacked import StackedEngine, batched_outputs
from secure_fedmeta.parameters import Architecture, bind
from secure_fedmeta.plan import Plan
from secure_fedmeta.run import federate
from secure_fedmeta.tasks import Task
from secure_fedmeta.training import ClientLevel, Outer, meta_train, train_privately
from secure_fedmeta.training.scores import accuracy

Held = tuple[np.ndarray, np.ndarray]
Pair = tuple[float, float]  # before and after adaptation
Table = dict[str, dict[str, list[Pair]]]
MOST_ROWS = 40  # of one client, public: LEAF's sizes are heavy-tailed
ADAPT = GradientSteps(lr=2.0, count=10)
LOCAL = {"fedavg + fine-tuning": 5, "reptile": 10}
DELTA = {"record": 1e-5, "task": 1e-3}


def clients_of(data: str, seed: int) -> tuple[Codebook, int, list[Held], list[Held]]:
    """Encoded clients: rows of norm at most 1 by public ranges, constant feature last; training and held-out ones."""
    if data == "digits":
        raw, ranges, classes = by_label_shards(bundled("digits"), clients=100, seed=seed), [(0.0, 16.0)] * 64, 10
    else:
        raw, ranges, classes = leaf_synthetic(tasks=200, seed=931231 + seed), [(-8.0, 8.0)] * 60, 5
    book = Codebook.from_ranges(ranges)
    low, high = np.array(ranges).T
    raw = [one.take(np.arange(min(len(one), MOST_ROWS))) for one in raw if len(one) >= 8]
    features = [np.clip(np.asarray(one.x, dtype=np.float64), low, high) for one in raw]
    made = [(x, np.asarray(one.y, dtype=np.float64)) for x, one in zip(features, raw, strict=True)]
    order = np.random.default_rng([seed, 9]).permutation(len(made))
    cut = len(made) // 5
    return book, classes, [made[k] for k in order[cut:]], [made[k] for k in order[:cut]]


def network(book: Codebook, classes: int) -> Architecture:
    """Softmax regression on encoded rows; the constant feature is its bias. Starts at zero."""
    layer = torch.nn.Linear(book.width, classes, bias=False)
    torch.nn.init.zeros_(layer.weight)
    return bind(torch.nn.Sequential(layer))


def split(book: Codebook, held: list[Held], shots: int, seed: int) -> TaskBatch:
    """Tasks of clients: `shots` rows to adapt on, at most half of what there is."""
    tasks = []
    for k, (x, y) in enumerate(held):
        rows, count = book.encode(x), min(shots, len(y) // 2)
        order = np.random.default_rng([seed, 5, k]).permutation(len(y))
        tasks.append(Task(rows[order[:count]], y[order[:count]], rows[order[count:]], y[order[count:]]))
    return TaskBatch.of(tasks)


def halves(book: Codebook, held: list[Held], seed: int) -> list[Task]:
    return [task_of(book, x, y, np.random.default_rng([seed, 6, k])) for k, (x, y) in enumerate(held)]


def task_of(book: Codebook, x: np.ndarray, y: np.ndarray, rng: np.random.Generator) -> Task:
    rows, order, cut = book.encode(x), rng.permutation(len(y)), len(y) // 2
    return Task(rows[order[:cut]], y[order[:cut]], rows[order[cut:]], y[order[cut:]])


class Population:
    def __init__(self, tasks: list[Task]) -> None:
        self.tasks = tasks

    def __len__(self) -> int:
        return len(self.tasks)

    def batch(self, drawn: np.ndarray, _: int) -> TaskBatch:
        return TaskBatch.of([self.tasks[k] for k in drawn])


def scored(net: Architecture, theta: torch.Tensor, test: TaskBatch) -> Pair:
    """Accuracy before and after adaptation of each held-out client, means."""
    at = theta.expand(len(test), -1) if theta.dim() == 1 else theta
    losses = Clients(net, test, "cross-entropy").losses
    after = ADAPT(at, losses.support, tape_grad).detach()
    outputs = batched_outputs(net)
    return tuple(float(accuracy(outputs(one, test.query.rows), test).mean()) for one in (at, after))


def task_level(
    book: Codebook, net: Architecture, train: list[Held], epsilon: float | None, name: str, seed: int, rounds: int
) -> tuple[torch.Tensor, float | None]:
    algorithm = {
        "fedavg + fine-tuning": FedAvg(GradientSteps(2.0, LOCAL["fedavg + fine-tuning"])),
        "maml": Maml(GradientSteps(2.0, 1)),
        "reptile": Reptile(GradientSteps(2.0, LOCAL["reptile"])),
    }[name]
    engine = StackedEngine(net, algorithm, loss="cross-entropy")
    people = Population(halves(book, train, seed))
    start = net.start_tensor()
    if epsilon is None:
        everybody = people.batch(np.arange(len(people)), 0)
        outer = Outer(rounds=150, lr=0.3)
        return meta_train(engine, start, lambda _: everybody, outer), None
    level = ClientLevel(epsilon, DELTA["task"], 0.25, FlatClip(0.5), noise="discrete")
    outer = Outer(rounds=rounds, lr=0.3, betas=(0.9, 0.99), tail_average=0.2)
    private = train_privately(engine, start, people, outer, level, seed=seed)
    return private.theta, private.release.upper


def record_level(
    book: Codebook, classes: int, train: list[Held], epsilon: float | None, name: str, seed: int, rounds: int
) -> tuple[torch.Tensor, float | None]:
    """The product's own run; theta comes back as (classes, width), flat."""
    sites, count = [], min(20, len(train))
    for site in range(count):
        mine = train[site::count]
        x, y = np.concatenate([one[0] for one in mine]), np.concatenate([one[1] for one in mine])
        ids = tuple(f"r{site}-{k}" for k in range(len(y)))
        sites.append(SiteRecords(f"site-{site}", x, y, ids, classes=classes))
    most = max(len(site) for site in sites)
    settings = {
        "epsilon": "none" if epsilon is None else epsilon,
        "delta": DELTA["record"],
        "rounds": rounds,
        "loss": "cross-entropy",
        "classes": classes,
        "algorithm": "fedavg" if name.startswith("fedavg") else name,
        "inner_lr": 1.0,
        "inner_steps": LOCAL.get(name, 1),
        "support_slots": most,
        "query_slots": most,
        "clip_norm": 1.0,
        "outer": "adam",
        "outer_lr": 0.3,
        "tail_average": 0.2,
        "strength": "semi-honest",
        "aggregation": "none" if epsilon is None else "mask",
        "dropout_fraction": 0.0,
        "seed": seed,
    }
    run = federate(Plan.make(settings), sites, book)
    return torch.from_numpy(run.theta.copy()), None if epsilon is None else max(run.spent.server, run.spent.release)


def personal(book: Codebook, net: Architecture, train: list[Held], test: TaskBatch, seed: int) -> dict[str, Pair]:
    """Ditto and FedRep without privacy, on held-out clients: their own rules of adapting, with the same steps."""
    clients = Clients(net, TaskBatch.of(halves(book, train, seed)), "cross-entropy")
    unseen, outputs = Clients(net, test, "cross-entropy"), batched_outputs(net)
    steps = GradientSteps(2.0, 5)
    ditto = Ditto(steps, lr=2.0, count=5, regularization=0.1)
    common, _ = ditto.train(clients, net.start_tensor(), rounds=60)
    after = ditto.adapt(unseen, common, count=ADAPT.count)
    found = {"ditto": (scored(net, common, test)[0], float(accuracy(outputs(after, test.query.rows), test).mean()))}
    body = deeper(book, net)
    rep = FedRep(head_of(body), GradientSteps(1.0, 5), GradientSteps(1.0, 5))
    trained = Clients(body, clients.batch, "cross-entropy")
    shared, _ = rep.train(trained, body.start_tensor(), rounds=60)
    outputs = batched_outputs(body)
    at = rep.adapt(Clients(body, test, "cross-entropy"), shared, count=3 * ADAPT.count)
    before = float(accuracy(outputs(shared.expand(len(test), -1), test.query.rows), test).mean())
    found["fedrep (one hidden layer of 32)"] = before, float(accuracy(outputs(at, test.query.rows), test).mean())
    return found


def deeper(book: Codebook, net: Architecture) -> Architecture:
    """FedRep needs a body: one hidden layer."""
    classes = net.dimension // book.width
    torch.manual_seed(0)
    return bind(
        torch.nn.Sequential(torch.nn.Linear(book.width, 32), torch.nn.Tanh(), torch.nn.Linear(32, classes, bias=False))
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", choices=("synthetic", "digits"), default="synthetic")
    parser.add_argument("--unit", choices=("record", "task"), default="task")
    parser.add_argument("--shots", type=int, default=10)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=40, help="of private runs, and of all record-level ones")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    start, table, costs = time.perf_counter(), {}, {}
    for seed in range(1, options.seeds + 1):
        book, classes, train, held = clients_of(options.data, seed)
        net, test = network(book, classes), split(book, held, options.shots, seed)
        zero = scored(net, net.start_tensor(), test)
        table.setdefault("no common model", {}).setdefault("none", []).append(zero)
        for name, pair in personal(book, net, train, test, seed).items():
            table.setdefault(name, {}).setdefault("none", []).append(pair)
        for name in ("fedavg + fine-tuning", "maml", "reptile"):
            for epsilon in (None, 8.0, 3.0, 1.0):
                if options.unit == "task":
                    theta, cost = task_level(book, net, train, epsilon, name, seed, options.rounds)
                else:
                    theta, cost = record_level(book, classes, train, epsilon, name, seed, options.rounds)
                pair, key = scored(net, theta, test), "none" if epsilon is None else f"{epsilon:g}"
                table.setdefault(name, {}).setdefault(key, []).append(pair)
                if cost is not None:
                    costs.setdefault(key, []).append(cost)
                print(f"seed {seed} {name:22} epsilon {key:>4}: before {pair[0]:.3f} after {pair[1]:.3f}", flush=True)
    report(options, table, costs, time.perf_counter() - start)


def report(options: argparse.Namespace, table: Table, costs: dict[str, list[float]], seconds: float) -> None:
    print(f"\n{options.data}, unit {options.unit}, {options.shots} shots, {options.seeds} seeds, {seconds:.0f} s")
    print(f"{'':34}" + "".join(f"{'epsilon ' + key:>18}" for key in ("none", "8", "3", "1")))
    means = {}
    for name, row in table.items():
        for place, when in enumerate(("before", "after")):
            cells = {key: [pair[place] for pair in pairs] for key, pairs in row.items()}
            means.setdefault(name, {})[when] = {
                key: {"mean": statistics.fmean(v), "sd": statistics.stdev(v) if len(v) > 1 else None}
                for key, v in cells.items()
            }
            shown = [
                f"{statistics.fmean(cells[key]):.3f} ± {statistics.stdev(cells[key]) if len(cells[key]) > 1 else 0:.3f}"
                if key in cells
                else "-"
                for key in ("none", "8", "3", "1")
            ]
            print(f"{name[:26]:26} {when:7}" + "".join(f"{cell:>18}" for cell in shown))
    for key in ("none", "8", "3", "1"):
        best = max(("fedavg + fine-tuning", "maml", "reptile"), key=lambda name: means[name]["after"][key]["mean"])
        pairs = zip(table["maml"][key], table["fedavg + fine-tuning"][key], strict=True)
        gaps = [m[1] - f[1] for m, f in pairs]
        error = statistics.stdev(gaps) / len(gaps) ** 0.5 if len(gaps) > 1 else float("nan")
        gap = statistics.fmean(gaps)
        said = "MAML beats" if gap > 2 * error else "MAML does not beat"
        said = said if len(gaps) > 1 else "one seed shows nothing about MAML against"
        print(f"epsilon {key}: best {best}; {said} FedAvg + fine-tuning ({gap:+.3f} ± {error:.3f})")
    spent = {key: max(values) for key, values in costs.items()}
    print(f"largest epsilon spent at delta {DELTA[options.unit]:g}: {spent}")
    if options.json:
        found = {"data": options.data, "unit": options.unit, "seeds": options.seeds, "delta": DELTA[options.unit]}
        print(json.dumps(found | {"epsilon_spent": spent, "accuracy": means}))


if __name__ == "__main__":
    main()
