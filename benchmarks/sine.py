# SPDX-License-Identifier: Apache-2.0
"""Few-shot regression on sine curves (Finn, Abbeel and Levine 2017, arXiv 1703.03400v3, section 5.1).

python benchmarks/sine.py --algorithm maml --shots 10 --json
python benchmarks/sine.py --algorithm maml --shots 10 --epsilon 3 --json        # client-level, N = 10 000, delta 1e-5

Amplitude U[0.1, 5], phase U[0, pi], inputs U[-5, 5], network 1-40-40-1 with ReLU; squared error on a grid of 200
points, 600 test tasks that depend on no training seed. Per-tensor rates of Meta-SGD: --algorithm meta-sgd-per-tensor.
With --epsilon each of 10 000 clients holds one curve and 2 K points of it for the whole run; `--noise normal` draws
the noise from an ordinary generator, which is for simulation, `discrete` draws the exact one. Last on stdout, with
--json: one object.
"""

import argparse
import json
import math
import os
import statistics
import time

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch

from fedmeta_privacy.clipping import AdaptiveClip, FlatClip
from secure_fedmeta.algorithms.anil import Anil, head_of
from secure_fedmeta.algorithms.core import Algorithm
from secure_fedmeta.algorithms.fedavg import FedAvg
from secure_fedmeta.algorithms.imaml import Imaml
from secure_fedmeta.algorithms.inner import GradientSteps
from secure_fedmeta.algorithms.maml import Maml
from secure_fedmeta.algorithms.meta_sgd import MetaSgd
from secure_fedmeta.algorithms.per_fedavg import PerFedAvg
from secure_fedmeta.algorithms.reptile import Reptile
from secure_fedmeta.datasets.few_shot import sine_tasks
from secure_fedmeta.engines.batch import Part, TaskBatch
from secure_fedmeta.engines.compiled import CompiledEngine
from secure_fedmeta.engines.stacked import StackedEngine
from secure_fedmeta.parameters import Architecture, bind
from secure_fedmeta.training import Blend, ClientLevel, Outer, Score, evaluate, meta_train, train_privately
from secure_fedmeta.training.loop import Source

Float = np.ndarray
CLIENTS, DELTA, Q = 10_000, 1e-5, 0.02
STEPS = (0, 1, 5, 10)
ENGINES = {"stacked": StackedEngine, "compiled": CompiledEngine}


def network(seed: int) -> Architecture:
    torch.manual_seed(seed)
    layers = torch.nn.Linear(1, 40), torch.nn.ReLU(), torch.nn.Linear(40, 40), torch.nn.ReLU(), torch.nn.Linear(40, 1)
    net = torch.nn.Sequential(*layers)
    with torch.no_grad():
        for layer in net:
            if isinstance(layer, torch.nn.Linear):
                layer.bias.zero_()
    return bind(net)


def algorithm_of(name: str, net: Architecture, options: argparse.Namespace) -> Algorithm:
    steps = GradientSteps(options.inner_lr, options.inner_steps, max_norm=options.max_norm)
    first = GradientSteps(options.inner_lr, 1, max_norm=options.max_norm)
    rates = {"lr": options.inner_lr, "lengths": net.lengths, "max_norm": options.max_norm}
    per_tensor = name == "meta-sgd-per-tensor"
    made = {
        "maml": lambda: Maml(steps),
        "fomaml": lambda: Maml(steps, first_order=True),
        "anil": lambda: Anil(steps, head_of(net), net.dimension),
        "meta-sgd": lambda: MetaSgd(count=options.inner_steps, **rates),
        "meta-sgd-per-tensor": lambda: MetaSgd(count=options.inner_steps, per_tensor=True, **rates),
        "reptile": lambda: Reptile(steps),
        "per-fedavg": lambda: PerFedAvg(options.inner_lr, max_norm=options.max_norm, difference=1e-2),
        "imaml": lambda: Imaml(steps, regularization=options.regularization, cg_steps=5),
        "fedavg": lambda: FedAvg(steps),
    }[name]()
    if options.first_step_weight and options.inner_steps > 1:
        after_one = MetaSgd(count=1, per_tensor=per_tensor, **rates) if name.startswith("meta-sgd") else Maml(first)
        weight = options.first_step_weight
        return Blend((made, after_one), (1 - weight, weight))
    return made


def batch_of(x: Float, y: Float, z: Float, w: Float) -> TaskBatch:
    def part(inputs: Float, values: Float) -> Part:
        rows, labels = (torch.tensor(one, dtype=torch.float32) for one in (inputs, values[..., 0]))
        return Part(rows, labels, torch.full_like(labels, 1 / labels.shape[1]), full=True)

    support, query = part(x, y), part(z, w)
    return TaskBatch(support, query, torch.tensor([[x.shape[1], z.shape[1]]]).expand(len(x), 2))


def fresh_tasks(count: int, shots: int, seed: int) -> Source:
    """New curves every round."""
    rng = np.random.default_rng([seed, 0])

    def source(_: int) -> TaskBatch:
        curves = sine_tasks(count, rng=rng)
        x, y = curves.sample(2 * shots, rng=rng)
        return batch_of(x[:, :shots], y[:, :shots], x[:, shots:], y[:, shots:])

    return source


class Clients:
    """10 000 curves with 2 K points each; a round splits every drawn client's points anew, all in the same way."""

    def __init__(self, count: int, shots: int, seed: int) -> None:
        rng = np.random.default_rng([seed, 3])
        self.x, self.y = sine_tasks(count, rng=rng).sample(2 * shots, rng=rng)
        self.seed, self.shots = seed, shots

    def __len__(self) -> int:
        return len(self.x)

    def batch(self, drawn: np.ndarray, number: int) -> TaskBatch:
        order = np.random.default_rng([self.seed, 4, number]).permutation(2 * self.shots)
        first, second = order[: self.shots], order[self.shots :]
        x, y = self.x[drawn], self.y[drawn]
        return batch_of(x[:, first], y[:, first], x[:, second], y[:, second])


def test_tasks(shots: int) -> TaskBatch:
    rng = np.random.default_rng(600)
    curves = sine_tasks(600, rng=rng)
    return batch_of(*curves.sample(shots, rng=rng), *curves.grid(200))


def one_seed(options: argparse.Namespace, seed: int) -> dict[str, object]:
    net = network(seed)
    algorithm = algorithm_of(options.algorithm, net, options)
    plain = algorithm.members[0] if isinstance(algorithm, Blend) else algorithm
    most = 256 if options.epsilon is not None else None  # cohorts vary: one compiled shape for all of them
    if options.epsilon is not None and options.noise == "discrete":
        most = 1  # clients are computed one by one
    engine = ENGINES[options.engine](net, algorithm, loss="squared", dtype=torch.float32, chunk=most)
    theta = algorithm.start(net).float()
    outer = Outer(
        rounds=options.rounds,
        lr=options.outer_lr,
        rule=options.outer,
        tail_average=options.tail,
        betas=(0.9, options.beta2),
        warmup=options.warmup,
    )
    test = test_tasks(options.shots)

    def watch(done: int, model: torch.Tensor) -> None:
        if done % max(1, options.rounds // 5) == 0:
            after = evaluate(net, plain, model, test, loss="squared")
            print(f"  round {done:6} {time.perf_counter() - start:6.1f} s  {shown(after)}", flush=True)

    start, busy = time.perf_counter(), time.process_time()
    result = {}
    if options.epsilon is None:
        source = fresh_tasks(options.tasks, options.shots, seed)
        theta = meta_train(engine, theta, source, outer, watch=watch)
    else:
        clip = FlatClip(options.clip)
        if options.adaptive:
            clip = AdaptiveClip(options.clip, count_weight=0.5, target_quantile=options.quantile)
        level = ClientLevel(options.epsilon, DELTA, options.q, clip, noise=options.noise)
        clients = Clients(CLIENTS, options.shots, seed)
        private = train_privately(engine, theta, clients, outer, level, seed=seed, watch=watch)
        theta = private.theta
        result = {
            "epsilon": private.release.upper,
            "server_epsilon": private.server.upper,
            "server_epsilon_most_drawn": private.server_drawn.upper,
            "multiplier": private.multiplier,
        }
    seconds, busy = time.perf_counter() - start, time.process_time() - busy
    scores = evaluate(net, plain, theta, test, loss="squared", steps=STEPS)
    print(f"seed {seed}: {shown(scores)}; {seconds:.0f} s, {busy:.0f} s of processor", flush=True)
    return {"scores": scores, "seconds": seconds, "busy": busy, **result}


def shown(scores: dict[int, Score]) -> str:
    return "  ".join(f"{count}: {one.mean:.3f} ({one.median:.3f})" for count, one in scores.items())


def summary(options: argparse.Namespace, runs: list[dict]) -> dict[str, object]:
    mse, spread = {}, {}
    for count in STEPS:
        means = [run["scores"][count].mean for run in runs]
        if not all(map(math.isfinite, means)):  # said, not averaged away
            mse[str(count)], spread[str(count)] = {"mean": None, "median": None}, None
            continue
        mse[str(count)] = {
            "mean": statistics.fmean(means),
            "median": statistics.fmean(run["scores"][count].median for run in runs),
        }
        spread[str(count)] = statistics.stdev(means) if len(means) > 1 else None
    found = {
        "mse": mse,
        "train_seconds": max(run["seconds"] for run in runs),
        "epsilon": None,
        "view": None,
        "cpu_seconds": max(run["busy"] for run in runs),
        "seeds": len(runs),
        "standard_deviation_over_seeds": spread,
        "diverged": sum(one.diverged for run in runs for one in run["scores"].values()),
        "settings": {k: v for k, v in vars(options).items() if k not in ("json", "seeds", "first")},
    }
    if options.epsilon is not None:
        found |= {"epsilon": max(run["epsilon"] for run in runs), "view": "release", "delta": DELTA}
        found |= {key: max(run[key] for run in runs) for key in ("server_epsilon", "server_epsilon_most_drawn")}
        found |= {"multiplier": runs[0]["multiplier"], "clients": CLIENTS, "adjacency": "zero-out"}
    return found


def defaults(name: str, epsilon: float | None) -> dict[str, object]:
    """Settings for each row; tried on training seed 0, the reported seeds begin at 1."""
    base = {"rounds": 32_000, "tasks": 32, "outer_lr": 3e-3, "inner_lr": 0.01, "inner_steps": 1, "max_norm": 40.0}
    base |= {"first_step_weight": 0.0, "regularization": 2.0, "tail": 0.0, "beta2": 0.999, "engine": "compiled"}
    base |= {"outer": "adam", "clip": 1.0, "quantile": 0.5, "q": Q, "warmup": 0.02}
    if name in ("reptile", "fedavg", "imaml"):
        base |= {"inner_steps": 10, "inner_lr": 0.02}
    if name.startswith("meta-sgd"):
        base |= {"rounds": 14_000, "outer_lr": 1e-2}
    elif name != "maml":
        base |= {"rounds": 10_000}
    if name == "per-fedavg":  # its difference quotients and the clip's derivative do not go together here
        base |= {"max_norm": 1000.0}
    if name == "imaml":
        base |= {"rounds": 3000}
    if epsilon is not None:
        base |= {"rounds": 2000, "tail": 0.2, "beta2": 0.99, "outer_lr": 8e-3, "engine": "compiled"}
    return base


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = ["maml", "fomaml", "anil", "meta-sgd", "meta-sgd-per-tensor", "reptile", "per-fedavg", "imaml", "fedavg"]
    parser.add_argument("--algorithm", choices=names, default="maml")
    parser.add_argument("--shots", type=int, default=10)
    parser.add_argument("--epsilon", type=float)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--first", type=int, default=1, help="the first training seed")
    parser.add_argument("--noise", choices=("normal", "discrete"), default="normal")
    parser.add_argument("--adaptive", action="store_true", help="clip to a quantile of the norms")
    parser.add_argument("--engine", choices=tuple(ENGINES))
    parser.add_argument("--outer", choices=("adam", "sgd"))
    for name in ("rounds", "tasks", "inner-steps"):
        parser.add_argument(f"--{name}", type=int)
    for name in [
        "outer-lr",
        "inner-lr",
        "max-norm",
        "first-step-weight",
        "regularization",
        "tail",
        "beta2",
        "clip",
        "quantile",
        "q",
        "warmup",
    ]:
        parser.add_argument(f"--{name}", type=float)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    for name, value in defaults(options.algorithm, options.epsilon).items():
        if getattr(options, name) is None:
            setattr(options, name, value)
    torch.set_num_threads(1)
    runs = [one_seed(options, seed) for seed in range(options.first, options.first + options.seeds)]
    found = summary(options, runs)
    if options.epsilon is not None:
        print(
            f"view release: epsilon {found['epsilon']:.3f} at delta {DELTA:g}, zero-out of one client, q = "
            f"{options.q:g}, noise {found['multiplier']:.4f} times the sensitivity ({options.noise}"
            + (", simulation only)" if options.noise == "normal" else ")")
        )
        print(
            f"view server (knows the cohorts, q = 1): epsilon {found['server_epsilon']:.1f} for a client drawn in all "
            f"rounds, {found['server_epsilon_most_drawn']:.1f} for the one that was drawn most often"
        )
    if found["diverged"]:
        print(f"{found['diverged']} tasks diverged")
    if options.json:
        print(json.dumps(found, allow_nan=False))


if __name__ == "__main__":
    main()
