# SPDX-License-Identifier: Apache-2.0
"""Gradient inversion by optimisation, against a small network where no closed form is used.

The attacker looks for the row whose gradient points where the observed one does: it minimises one minus the cosine of
both, summed over layers (Geiping et al. 2020, "Inverting Gradients", arXiv 2003.14053v2, section 4; the idea is Zhu et
al. 2019, "Deep Leakage from Gradients", arXiv 1906.08935). The label need not be guessed: of one record the last bias
has gradient sigma - y, whose sign is the label.

The network is 30-16-1 with tanh and without training: the state in which an update says most. Rows are the pilot's
records without their constant feature; the sum is over one record of every site.
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from fedmeta_crypto import Entropy, Keystream
from fedmeta_privacy.noise import DiscreteGaussian

from .figures import MASKED, NOISED, AttackReport, Figure
from .target import Target

Float = NDArray[np.float64]
Gradient = list[torch.Tensor]

HIDDEN = 16
STEPS = 200
RESTARTS = 2
SITES = 3  # attacked, each at full cost
SUCCESS = 0.25
LONE = "one site's bare update, a single record in it"
ATTACKER = "the model"
_MEASURE = "distance to the record (1: no closer than a mean row)"
_STEPS_PER_DEVIATION = 4096.0


def network(inputs: int, seed: int) -> torch.nn.Module:
    """The attacked network, from a seed."""
    torch_state = torch.get_rng_state()
    torch.manual_seed(seed)
    model = torch.nn.Sequential(
        torch.nn.Linear(inputs, HIDDEN), torch.nn.Tanh(), torch.nn.Linear(HIDDEN, 1), torch.nn.Flatten(0)
    ).double()
    torch.set_rng_state(torch_state)
    return model


def gradient_of(model: torch.nn.Module, row: torch.Tensor, label: torch.Tensor, *, graph: bool = False) -> Gradient:
    """Gradient of the logistic loss of one record (1, p), as one tensor per parameter."""
    loss = torch.nn.functional.binary_cross_entropy_with_logits(model(row), label)
    return list(torch.autograd.grad(loss, list(model.parameters()), create_graph=graph))


def find_row(model: torch.nn.Module, observed: Gradient, *, inputs: int, seed: int) -> tuple[Float, float]:
    """The row (p,) whose gradient looks most like the observed one, and the remaining loss.

    Args:
        model: as announced.
        observed: one tensor per parameter.
        inputs: p.
        seed: of the starting points.
    """
    label = (observed[-1].reshape(1) < 0).double()
    start = np.random.default_rng(seed)
    best: tuple[Float, float] = (np.zeros(inputs), math.inf)
    for _ in range(RESTARTS):
        guess = torch.tensor(0.3 * start.standard_normal((1, inputs)), requires_grad=True)
        search = torch.optim.LBFGS([guess], max_iter=STEPS, line_search_fn="strong_wolfe")

        def distance(guess: torch.Tensor = guess, search: torch.optim.LBFGS = search) -> torch.Tensor:
            search.zero_grad()
            loss = _unlike(gradient_of(model, guess, label, graph=True), observed)
            loss.backward()  # type: ignore[no-untyped-call]
            return loss

        search.step(distance)  # type: ignore[no-untyped-call]
        left = float(_unlike(gradient_of(model, guess, label), observed).detach())
        if math.isfinite(left) and left < best[1]:
            best = (guess.detach().numpy()[0].copy(), left)
    return best


def _unlike(first: Gradient, second: Gradient) -> torch.Tensor:
    """One minus the cosine, summed over the parameters."""
    total = torch.zeros((), dtype=torch.float64)
    for a, b in zip(first, second, strict=True):
        total = total + 1 - (a * b).sum() / (a.norm() * b.norm()).clamp_min(1e-300)
    return total


def invert_network(target: Target, *, entropy: Entropy = os.urandom, seed: int = 0) -> AttackReport:
    """Read one record out of a lone gradient, out of the sum over sites, and out of that sum with noise.

    Noise is what the plan's share for one round is relative to its clip norm; each gradient is clipped to that norm.
    """
    rows = [task.query_rows[0, :-1] for task in target.tasks.values()]
    labels = [task.query_labels[0] for task in target.tasks.values()]
    mean = target.outsiders[0][:, :-1].mean(axis=0)
    inputs = len(mean)
    model = network(inputs, seed)
    clipped = [_clip(_one(model, row, label), target.plan.clip_norm) for row, label in zip(rows, labels, strict=True)]
    total = [torch.stack(parts).sum(dim=0) for parts in zip(*clipped, strict=True)]
    attacked = range(min(SITES, len(rows)))
    lone = [_read(model, clipped[i], rows[i : i + 1], mean, seed) for i in attacked]
    figures = [
        Figure(LONE, ATTACKER, {_MEASURE: float(np.median(lone))}, {}, float(np.median(lone)) <= SUCCESS, len(lone)),
        _of_sum(MASKED, _read(model, total, rows, mean, seed)),
    ]
    if target.schedule.scale is not None:
        noisy = _noised(total, target, entropy)
        figures.append(_of_sum(NOISED, _read(model, noisy, rows, mean, seed)))
    return AttackReport(
        "inversion of a network",
        f"{target.name}; a {inputs}-{HIDDEN}-1 network",
        f"an attack succeeds if it comes {1 / SUCCESS:.0f} times closer to a record than a mean row does",
        tuple(figures),
        "Optimisation finds what is there to be found, not all that could be: a failure is no guarantee. The sum is "
        "over one record of each site. The noise has the size that the plan gives its own model; no epsilon is claimed "
        "for this network.",
    )


def _one(model: torch.nn.Module, row: Float, label: float) -> Gradient:
    return gradient_of(model, torch.tensor(row[None, :]), torch.tensor([label], dtype=torch.float64))


def _clip(gradient: Gradient, bound: float) -> Gradient:
    norm = math.sqrt(sum(float((part**2).sum()) for part in gradient))
    return [part * min(1.0, bound / max(norm, 1e-300)) for part in gradient]


def _noised(total: Gradient, target: Target, entropy: Entropy) -> Gradient:
    """The sum with discrete Gaussian noise of the plan's deviation, on a grid fine enough to look continuous."""
    step = target.noise_deviation(target.schedule.planned_survivors) / _STEPS_PER_DEVIATION
    sampler = DiscreteGaussian(_STEPS_PER_DEVIATION)
    noisy = []
    for part in total:
        drawn = sampler.sample(part.numel(), Keystream(entropy(16)).words) * step
        noisy.append(part + torch.from_numpy(drawn).reshape(part.shape))
    return noisy


def _read(model: torch.nn.Module, observed: Gradient, rows: Sequence[Float], mean: Float, seed: int) -> float:
    found, _ = find_row(model, observed, inputs=len(mean), seed=seed)
    distances = [float(np.linalg.norm(row - found)) for row in rows]
    nearest = int(np.argmin(distances))
    return min(1.0, distances[nearest] / max(float(np.linalg.norm(rows[nearest] - mean)), 1e-12))


def _of_sum(observed: str, distance: float) -> Figure:
    return Figure(observed, ATTACKER, {_MEASURE: distance}, {}, distance <= SUCCESS, 1)
