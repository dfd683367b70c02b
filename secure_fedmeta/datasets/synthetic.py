# SPDX-License-Identifier: Apache-2.0
"""Two published generators of federated data, draw for draw, and LEAF's JSON form.

Given the seed of NumPy's legacy generator, both draw the same numbers in the same order as the published programs, so
published data sets can be made again. Read in TalwalkarLab/leaf at 09ec454 (data/synthetic/main.py, data_generator.py)
and litian96/FedProx (data/synthetic_1_1/generate_synthetic.py, data/synthetic_iid/generate_iid.py).
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from secure_fedmeta.datasets.clients import ClientData, Float, TaskError
from secure_fedmeta.datasets.few_shot import LARGEST

LEAF_SEED = 931231
"""The default of LEAF's program."""


def leaf_synthetic(
    *,
    tasks: int = 1000,
    classes: int = 5,
    dimension: int = 60,
    seed: int = LEAF_SEED,
    clusters: Sequence[float] = (1.0,),
) -> tuple[ClientData, ...]:
    """LEAF's synthetic set: what `main.py -num-tasks T -num-classes C -num-dim d -seed s` writes.

    Sizes min(int(lognormal(3, 2)) + 5, 1000); then, from the same seed again, Q ~ N(0, 1) of shape (d + 1, C, k) and
    cluster means mu_j ~ N(loc_j, 1), loc_j ~ N(0, 1), k the number of clusters. Each task draws its cluster, B ~ N(0,
    1), v ~ N(B, 1), x ~ N(v, diag((i + 1)^-1.2)), u ~ N(mu, 0.1), w = Q u, y = argmax([1, x] w + N(0, 0.1)). Users are
    "0", "1", ...; many hold few classes, and some a single one. (LEAF's softmax before the argmax changes no argmax.)

    Raises:
        TaskError: SFM-137 for settings out of bounds.

    Example:
        >>> held = leaf_synthetic(tasks=4, classes=5, dimension=60)
        >>> [len(client) for client in held], held[0].y[:5].tolist()
        ([86, 33, 52, 6], [4, 4, 4, 4, 4])
    """
    share = np.asarray(clusters, dtype=np.float64)
    bounds = min(tasks, dimension, len(share)) >= 1 and classes >= 2 and 0 <= seed < 2**32
    if not bounds or share.min() < 0.0 or abs(share.sum() - 1.0) > 1e-8 or tasks * 1000 * dimension > LARGEST:
        what = f"{tasks} tasks, {classes} classes, {dimension} dimensions, seed {seed}, clusters {tuple(clusters)}"
        raise TaskError("SFM-137", what, "LEAF's synthetic set", "use positive counts, and shares that add up to 1")
    sizes = np.minimum(np.random.RandomState(seed).lognormal(3, 2, tasks).astype(np.int64) + 5, 1000)
    rng = np.random.RandomState(seed)
    Q = rng.normal(0.0, 1.0, (dimension + 1, classes, len(share)))
    means = [rng.normal(rng.normal(0.0, 1.0), 1.0, len(share)) for _ in share]
    covariance = _decaying(dimension)
    made = []
    for task, size in enumerate(sizes.tolist()):
        mu = means[rng.choice(len(share), p=share)]
        center = rng.normal(rng.normal(0.0, 1.0), 1.0, dimension)
        x = rng.multivariate_normal(center, covariance, size)
        w = Q @ rng.normal(mu, 0.1, mu.shape)
        scores = np.hstack([np.ones((size, 1)), x]) @ w + rng.normal(0.0, 0.1, (size, classes))
        made.append(ClientData(str(task), x, scores.argmax(axis=1)))
    return tuple(made)


def fedprox_synthetic(
    *, alpha: float = 1.0, beta: float = 1.0, iid: bool = False, seed: int = 0
) -> tuple[tuple[ClientData, ...], tuple[ClientData, ...]]:
    """FedProx's synthetic(alpha, beta) (Li et al. 2020, arXiv 1812.06127v5, section 5.1): train and test users.

    30 users, 60 dimensions, 10 classes, sizes int(lognormal(4, 2)) + 50. m_k ~ N(0, alpha) is the mean of both W_k ~
    N(m_k, 1) and b_k ~ N(m_k, 1); B_k ~ N(0, beta), v_k ~ N(B_k, 1), x ~ N(v_k, diag((j + 1)^-1.2)), y =
    argmax(softmax(W x + b)). `iid` shares one W and b ~ N(0, 1) and has v = 0. Samples are shuffled by Python's
    generator; 90 % (rounded down) are for training. Users are "f_00000" to "f_00029".

    alpha and beta are *standard deviations*, as the published program uses them, though the paper writes N(0, alpha) as
    a variance; at 0 and 1 that makes no difference. The program sets no seed; this is what it writes after
    `numpy.random.seed(seed); random.seed(seed)`. Its softmax overflows for scores above 709, and its argmax then takes
    the first class that is not a number: kept, since it decides labels.

    Raises:
        TaskError: SFM-137 for a negative or infinite alpha or beta, or a seed out of bounds.

    Example:
        >>> train, test = fedprox_synthetic(alpha=0.5, beta=0.5)
        >>> len(train), train[0].name, len(train[0]), len(test[0])
        (30, 'f_00000', 1718, 191)
    """
    if not (0.0 <= alpha < np.inf and 0.0 <= beta < np.inf and 0 <= seed < 2**32):
        what = f"alpha {alpha}, beta {beta}, seed {seed}"
        raise TaskError("SFM-137", what, "FedProx's synthetic set", "use finite values >= 0 and a seed below 2^32")
    users, dimension, classes = 30, 60, 10
    rng = np.random.RandomState(seed)
    sizes = (rng.lognormal(4, 2, users).astype(np.int64) + 50).tolist()
    if sum(sizes) * dimension > LARGEST:
        raise TaskError("SFM-137", f"{sum(sizes)} samples drawn", f"seed {seed}", "use another seed")
    covariance = _decaying(dimension)
    centers = np.zeros((users, dimension))
    mean, W, b = np.zeros(users), np.zeros(0), np.zeros(0)
    if iid:
        W, b = rng.normal(0, 1, (dimension, classes)), rng.normal(0, 1, classes)
    else:
        mean, spread = rng.normal(0, alpha, users), rng.normal(0, beta, users)
        centers = np.stack([rng.normal(spread[k], 1, dimension) for k in range(users)])
    shuffler = random.Random(seed)  # noqa: S311 (the published program's generator; nothing secret)
    orders, drawn = [], []
    for k, size in enumerate(sizes):
        if not iid:
            W, b = rng.normal(mean[k], 1, (dimension, classes)), rng.normal(mean[k], 1, classes)
        x = rng.multivariate_normal(centers[k], covariance, size)
        drawn.append((x, _overflowing_argmax(x @ W + b)))
    for size in sizes:
        order = list(range(size))
        shuffler.shuffle(order)
        orders.append(order)
    train, test = [], []
    for k, ((x, y), order) in enumerate(zip(drawn, orders, strict=True)):
        cut, name = int(0.9 * len(order)), f"f_{k:05d}"
        train.append(ClientData(name, x[order[:cut]], y[order[:cut]]))
        test.append(ClientData(name, x[order[cut:]], y[order[cut:]]))
    return tuple(train), tuple(test)


def write_leaf(directory: str | Path, clients: Iterable[ClientData], *, name: str = "data.json") -> None:
    """Write clients as one file of a split in LEAF's layout, one client in memory at a time.

    Raises:
        TaskError: SFM-137 for a client twice, or none.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_leaf(folder, [ClientData("u", np.ones((1, 2)), np.array([3]))])
        ...     (Path(folder) / "data.json").read_text()
        '{"user_data": {"u": {"x": [[1.0, 1.0]], "y": [3]}}, "users": ["u"], "num_samples": [1]}'
    """
    folder = Path(directory)
    folder.mkdir(parents=True, exist_ok=True)
    counts: dict[str, int] = {}
    with (folder / name).open("w", encoding="utf-8") as file:
        file.write('{"user_data": {')
        for client in clients:
            if client.name in counts:
                raise TaskError("SFM-137", "a client twice", f"client {client.name!r}", "give each its own name")
            file.write(", " * bool(counts) + json.dumps(client.name) + ": ")
            file.write(json.dumps({"x": client.x.tolist(), "y": client.y.tolist()}))
            counts[client.name] = len(client)
        file.write(f'}}, "users": {json.dumps(list(counts))}, "num_samples": {json.dumps(list(counts.values()))}}}')
    if not counts:
        (folder / name).unlink()
        raise TaskError("SFM-137", "no clients", f"{folder / name}", "give at least one client")


def _decaying(dimension: int) -> Float:
    """diag((i + 1)^-1.2)."""
    return np.diag(np.arange(1.0, dimension + 1.0) ** -1.2)


def _overflowing_argmax(scores: Float) -> Float:
    """The argmax of exp(s) / sum(exp(s)) without care for overflow, row by row, as floats."""
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        powers = np.exp(scores)
        return np.asarray((powers / powers.sum(axis=1, keepdims=True)).argmax(axis=1), dtype=np.float64)
