# SPDX-License-Identifier: Apache-2.0
"""Prompt tuning under client-level privacy: no prompt, a soft prompt, and FOMAML on all weights, on held-out users.

python benchmarks/prompt_tuning.py --json                          # pre-trains the transformer first, then about 4 min
python benchmarks/prompt_tuning.py --weights chars.safetensors     # keeps what was pre-trained, or takes it from there
python benchmarks/prompt_tuning.py --weights chars.safetensors --pretrain-only

Text is generated (`secure_fedmeta.prompts.text`); figures compare methods and say nothing about real text.

Privacy: unit client, adjacency zero-out, view `release` (who sees the models; the server is trusted with the sum). Each
of N clients is in a round's cohort with probability q, by its own coin, really drawn; its contribution is clipped to C;
one normal of deviation sigma C is added to the sum, and the sum is divided by q N: all public constants, none of which
depends on the cohort. sigma follows from (q, rounds, epsilon, delta) by the accountant of sampled Gaussians. The noise
here is ordinary float noise of a simulation; a federation adds integer noise under masks.

Both methods have the same rounds, cohorts, users' text and accountant; clip, rates and prompt were chosen for each of
them on other users and another seed (`--population 1`). Exit status 1: the soft prompt did not beat both at epsilon.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch.func import grad, vmap
from torch.nn import functional

from fedmeta_privacy import PoissonGaussian, epsilon
from fedmeta_privacy.inverse import noise_for
from secure_fedmeta.algorithms.core import Tensor, tape_grad
from secure_fedmeta.algorithms.inner import GradientSteps
from secure_fedmeta.algorithms.maml import Maml
from secure_fedmeta.parameters import bind
from secure_fedmeta.prompts.losses import PromptLosses, WeightLosses
from secure_fedmeta.prompts.pretrain import Training, load_weights, pretrain, save_weights, weights_digest
from secure_fedmeta.prompts.soft_prompt import SoftPrompt
from secure_fedmeta.prompts.text import WINDOW, encode, user_text, windows
from secure_fedmeta.prompts.transformer import CharTransformer, Size

FRAME = WINDOW + 1
START = "abcd"  # marks that headings are made of: public, where the transformer listens, and no hint at the region
HELD_OUT = 10**6  # users from this number on are in no cohort
SAMPLES = 20  # windows of a held-out user that are judged


@dataclass(frozen=True)
class Arm:
    """A method: what is learned, and its public settings."""

    name: str
    inner_lr: float
    clip: float
    outer_lr: float
    chunk: int


ARMS = {
    "prompt": Arm("prompt", inner_lr=10.0, clip=0.02, outer_lr=0.1, chunk=128),
    "weights": Arm("weights", inner_lr=0.01, clip=0.3, outer_lr=6e-4, chunk=8),
}


class Learner:
    """Contributions and adapted predictions of one arm; theta is flat float32."""

    def __init__(self, arm: Arm, transformer: CharTransformer) -> None:
        self.arm = arm
        self.rule = Maml(GradientSteps(arm.inner_lr, 1), first_order=True)
        self.frozen = transformer
        if arm.name == "prompt":
            self.start = SoftPrompt.from_text(transformer, START).prompt.detach().flatten()
        else:
            free = CharTransformer(transformer.size)
            free.load_state_dict(transformer.state_dict())
            bound = bind(free)
            self.start, self.network = bound.start_tensor().float(), bound.of_type(torch.float32)

    def contributions(self, theta: Tensor, frames: Tensor) -> Tensor:
        """Of users with frames (T, 2, 81), the first to adapt on: (T, D)."""
        parts = torch.split(frames, self.arm.chunk)
        return torch.cat([self._of(theta, part, self.rule.contribution) for part in parts])

    def adapted(self, theta: Tensor, frames: Tensor) -> Tensor:
        """After one step on the first frame, (T, D)."""
        return torch.cat([self._of(theta, part, self.rule.adapt) for part in torch.split(frames, self.arm.chunk)])

    def _of(self, theta: Tensor, frames: Tensor, what: Callable[..., Tensor]) -> Tensor:
        if self.arm.name == "prompt":
            losses = PromptLosses(self.frozen, frames[:, :1], frames[:, 1:])
            return what(theta.expand(len(frames), -1), losses, tape_grad).detach()

        def one(user: Tensor) -> Tensor:
            return what(theta, WeightLosses(self.network, user[:1], user[1:]), grad)

        return vmap(one)(frames).detach()

    def logits(self, theta: Tensor, ids: Tensor) -> Tensor:
        """Of the next character, for one user's windows (n, 80)."""
        with torch.no_grad():
            if self.arm.name == "prompt":
                return self.frozen(ids, theta.view(-1, self.frozen.size.width))[:, -1]
            return self.network.outputs(theta, ids)[:, -1]


class Users:
    """Text of the clients, made when it is asked for."""

    def __init__(self, population: int) -> None:
        self.population, self.known = population, {}

    def frames(self, numbers: np.ndarray) -> Tensor:
        """Two frames each, (T, 2, 81): one to adapt on, one to be judged on."""
        for user in numbers.tolist():
            if user not in self.known:
                self.known[user] = encode(user_text(self.population, user, 2 * FRAME)).reshape(2, FRAME)
        return torch.from_numpy(np.stack([self.known[user] for user in numbers.tolist()]))


@dataclass(frozen=True)
class HeldOut:
    """Users in no cohort: a frame to adapt on (U, 81), LEAF windows (U, n, 80) and next characters (U, n)."""

    frames: Tensor
    rows: Tensor
    labels: Tensor

    @classmethod
    def of(cls, population: int, users: int) -> HeldOut:
        texts = [user_text(population, HELD_OUT + user, FRAME + WINDOW + 7 * SAMPLES) for user in range(users)]
        cut = [windows(text[FRAME:], stride=7) for text in texts]
        frames = np.stack([encode(text[:FRAME]) for text in texts])
        rows, labels = (np.stack([one[part] for one in cut]) for part in (0, 1))
        return cls(*(torch.from_numpy(array) for array in (frames, rows, labels)))

    def judge(self, logits: list[Tensor]) -> tuple[float, float]:
        """Mean cross-entropy in nats and accuracy over all windows."""
        given, right = torch.cat(logits), self.labels.flatten()
        loss = functional.cross_entropy(given, right)
        return float(loss), float((given.argmax(-1) == right).float().mean())

    def scores(self, learner: Learner, theta: Tensor) -> dict[str, float]:
        """Before and after one step on each user's own first frame."""
        before = self.judge([learner.logits(theta, self.rows.flatten(0, 1))])
        own = learner.adapted(theta, self.frames[:, None].expand(-1, 2, -1))
        after = self.judge([learner.logits(one, rows) for one, rows in zip(own, self.rows, strict=True)])
        return {"loss": before[0], "accuracy": before[1], "adapted_loss": after[0], "adapted_accuracy": after[1]}


def federate(learner: Learner, users: Users, args: argparse.Namespace, sigma: float, seed: int) -> Tensor:
    """Rounds of clipped, noised sums over really drawn Poisson cohorts; Adam on the released mean."""
    rng = np.random.default_rng([seed, args.population, 5])
    theta = learner.start.clone()
    optimizer = torch.optim.Adam([theta], lr=learner.arm.outer_lr, betas=(0.9, 0.99))
    for _ in range(args.rounds):
        cohort = np.flatnonzero(rng.random(args.clients) < args.q)
        total = torch.zeros(len(theta), dtype=torch.float64)
        if len(cohort):
            rows = learner.contributions(theta, users.frames(cohort)).double()
            rows[~torch.isfinite(rows).all(dim=1)] = 0.0
            norms = rows.norm(dim=1, keepdim=True)
            total = (rows * (learner.arm.clip / norms.clamp_min(learner.arm.clip))).sum(0)
        noise = torch.from_numpy(rng.normal(size=len(theta))) * (sigma * learner.arm.clip)
        theta.grad = ((total + noise) / (args.q * args.clients)).float()
        optimizer.step()
    return theta


def frozen(args: argparse.Namespace) -> tuple[CharTransformer, float]:
    """The pre-trained transformer, and the seconds that it took; 0 if it was read."""
    start = time.perf_counter()
    if args.weights and args.weights.exists():
        return load_weights(args.weights, Size()).requires_grad_(requires_grad=False), 0.0
    model = pretrain(Size(), Training(steps=args.steps))
    if args.weights:
        save_weights(args.weights, model)
    return model.requires_grad_(requires_grad=False), time.perf_counter() - start


def arms(args: argparse.Namespace) -> dict[str, Arm]:
    changed = json.loads(args.settings)
    return {name: Arm(**(vars(arm) | changed.get(name, {}))) for name, arm in ARMS.items() if name in args.arms}


def spread(rows: list[dict[str, float]]) -> dict[str, dict[str, float]]:
    """Mean, and the largest distance from it, over seeds."""
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    return {
        name: {"mean": statistics.fmean(c), "spread": max(abs(x - statistics.fmean(c)) for x in c)}
        for name, c in columns.items()
    }


def compare(args: argparse.Namespace) -> dict[str, object]:
    """Every row, printed as soon as it is known."""
    model, seconds = frozen(args)
    event = PoissonGaussian(1.0, args.q, args.rounds)
    sigma = noise_for(event, target=args.epsilon, delta=args.delta)
    spent = epsilon([PoissonGaussian(sigma, args.q, args.rounds)], args.delta).upper
    head = {name: getattr(args, name) for name in ("clients", "q", "rounds", "delta", "seeds", "held_out")}
    head |= {"sigma": sigma, "view": "release", "unit": "client", "adjacency": "zero-out"}
    head |= {"weights": weights_digest(model), "pretrain_seconds": seconds}
    show_head(head)
    held, users = HeldOut.of(args.population, args.held_out), Users(args.population)
    loss, accuracy = held.judge([model(held.rows.flatten(0, 1))[:, -1]])
    plain = spread([{"loss": loss, "accuracy": accuracy}])
    rows = [show_row({"method": "no prompt", "epsilon": 0.0, "numbers": 0} | plain)]
    for arm in arms(args).values():
        learner = Learner(arm, model)
        row = {"method": arm.name, "numbers": len(learner.start)}
        alone = spread([held.scores(learner, learner.start)])
        rows.append(show_row(row | {"epsilon": 0.0, "note": "no federation"} | alone))
        for private in (True, False):
            begun = time.perf_counter()
            noise, seeds = (sigma, range(args.seeds)) if private else (0.0, range(1))
            found = [held.scores(learner, federate(learner, users, args, noise, seed)) for seed in seeds]
            each = (time.perf_counter() - begun) / len(found)
            claim = {"epsilon": spent if private else None, "seconds": each}
            rows.append(show_row(row | claim | spread(found)))
    return head | {"rows": rows}


def reached(rows: list[dict[str, object]]) -> bool:
    """Whether the private prompt beats no prompt and the private weights, worst seed against best, adapted or not."""

    def of(method: str) -> dict[str, dict[str, float]]:
        return next(row for row in rows if row["method"] == method and row.get("epsilon") != 0.0)

    plain = rows[0]["loss"]["mean"]
    worst = of("prompt")["loss"]["mean"] + of("prompt")["loss"]["spread"]
    columns = ("loss", "adapted_loss")
    ends = [(of("prompt")[name], of("weights")[name]) for name in columns]
    wins = all(one["mean"] + one["spread"] < other["mean"] - other["spread"] for one, other in ends)
    return worst < plain and wins


def show_head(head: dict[str, object]) -> None:
    print(f"transformer {head['weights'][:16]}, pre-trained in {head['pretrain_seconds']:.0f} s (0: read)")
    print(
        f"N = {head['clients']}, q = {head['q']:g}, {head['rounds']} rounds, sigma {head['sigma']:.4f}, "
        f"delta {head['delta']:g}, unit client, zero-out, view release; {head['held_out']} held-out users"
    )
    print(f"{'method':<10}{'numbers':>8}{'epsilon':>9}{'loss, nats':>18}{'accuracy':>18}{'after one own step':>20}")


def show_row(row: dict[str, object]) -> dict[str, object]:
    name = "none" if row["epsilon"] is None else f"{row['epsilon']:.3f}"
    cells = [f"{c['mean']:.4f} ± {c['spread']:.4f}" for c in (row["loss"], row["accuracy"])]
    after = (
        f"{row['adapted_loss']['mean']:.4f}, {row['adapted_accuracy']['mean']:.4f}" if "adapted_loss" in row else "-"
    )
    line = f"{row['method']:<10}{row['numbers']:>8}{name:>9}{cells[0]:>18}{cells[1]:>18}{after:>20}"
    print(f"{line}  {row.get('note', '')}".rstrip(), flush=True)
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", type=int, default=50)
    parser.add_argument("--q", type=float, default=0.2)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--epsilon", type=float, default=3.0)
    parser.add_argument("--delta", type=float, default=1e-5)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--held-out", type=int, default=100)
    parser.add_argument("--population", type=int, default=0, help="another number: other users, for choosing settings")
    parser.add_argument("--arms", nargs="+", choices=list(ARMS), default=list(ARMS))
    parser.add_argument("--settings", default="{}", help='JSON, {"prompt": {"clip": 0.1}}')
    parser.add_argument("--weights", type=Path, help="file to keep the pre-trained transformer in, or to read it from")
    parser.add_argument("--steps", type=int, default=Training().steps, help="of pre-training")
    parser.add_argument("--pretrain-only", action="store_true")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    torch.set_num_threads(1)
    if args.pretrain_only:
        model, seconds = frozen(args)
        print(json.dumps({"weights": weights_digest(model), "pretrain_seconds": seconds}))
        return
    result = compare(args)
    if len(args.arms) == len(ARMS):
        result["reached"] = reached(result["rows"])
    if args.json:
        print(json.dumps(result))
    sys.exit(0 if result.get("reached", True) else 1)


if __name__ == "__main__":
    main()
