# SPDX-License-Identifier: Apache-2.0
"""LEAF's preparation steps as functions on counts: sample.py, remove_users.py, split_data.py (data/utils/ in LEAF).

They decide which samples of which users are kept; the samples themselves stay on disk until a user is read
(`ClientData.take`). Users come in the order of the mapping, and every draw from a generator of this call's seed: LEAF
shuffles with Python's and NumPy's global generators, partly unseeded, so its own draws cannot be made again. LEAF
applies fractions file by file, these functions to the whole split.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from secure_fedmeta.datasets.clients import Index, TaskError

Counts = Mapping[str, int]
Taken = dict[str, Index]
SHAKESPEARE_GAP = 79
"""Windows of 80 letters that start fewer than 80 letters apart share letters: LEAF leaves them out in between."""


def remove_users(counts: Counts, *, more_than: int = 10) -> dict[str, int]:
    """Users with *more* samples than this: LEAF's `-k`, which drops a user with exactly k, against its help text.

    Example:
        >>> remove_users({"a": 10, "b": 11})
        {'b': 11}
    """
    return {name: count for name, count in counts.items() if count > more_than}


def sample_niid(counts: Counts, *, fraction: float, seed: int) -> Taken:
    """Whole users in random order until int(fraction * total) samples are taken; the last one gives what is missing.

    LEAF takes the last user's first samples; here any of them may be drawn.

    Raises:
        TaskError: SFM-137 for a fraction not in (0, 1], a negative seed, counts below one; SFM-138 if nothing is left.

    Example:
        >>> taken = sample_niid({"a": 5, "b": 5, "c": 5}, fraction=0.5, seed=0)
        >>> sorted(map(len, taken.values()))
        [2, 5]
    """
    rng, wanted = _start(counts, fraction, seed)
    names = list(counts)
    taken: Taken = {}
    for at in rng.permutation(len(names)).tolist():
        if wanted == 0:
            break
        held = counts[names[at]]
        part = np.arange(held) if held <= wanted else np.sort(rng.choice(held, wanted, replace=False))
        taken[names[at]] = part
        wanted -= len(part)
    return taken


def sample_iid(counts: Counts, *, fraction: float, users: float, seed: int) -> dict[str, list[tuple[str, int]]]:
    """int(fraction * total) samples of the pool without replacement, dealt to round(users * number) new users.

    The new users are "0", "1", ... and hold (user, position) pairs; the first ones get the smaller groups, as LEAF's
    iid_divide deals. At least one new user.

    Raises:
        TaskError: as `sample_niid`, and SFM-138 for more new users than samples.

    Example:
        >>> dealt = sample_iid({"a": 6, "b": 4}, fraction=0.7, users=1.0, seed=0)
        >>> [len(pairs) for pairs in dealt.values()]
        [3, 4]
    """
    rng, wanted = _start(counts, fraction, seed)
    groups = max(1, round(users * len(counts)))
    if groups > wanted:
        raise TaskError("SFM-138", f"{groups} new users for {wanted} samples", "sample_iid", "ask for fewer users")
    names = list(counts)
    ends = np.cumsum(list(counts.values()))
    drawn = rng.choice(int(ends[-1]), wanted, replace=False)
    owners = np.searchsorted(ends, drawn, side="right")
    starts = np.concatenate([[0], ends[:-1]])
    pairs = [(names[o], int(d - starts[o])) for o, d in zip(owners.tolist(), drawn.tolist(), strict=True)]
    small, larger = wanted // groups, wanted % groups
    sizes = [small] * (groups - larger) + [small + 1] * larger
    cuts = np.cumsum([0, *sizes]).tolist()
    return {str(group): pairs[cuts[group] : cuts[group + 1]] for group in range(groups)}


def split_samples(counts: Counts, *, train: float = 0.9, seed: int, gap: int = 0) -> tuple[Taken, Taken]:
    """Each user's samples into a training and a test part: max(1, int(train * n)) for training, one of two samples.

    A gap of 0 draws the training part. A gap above 0 takes the first samples in order and leaves `gap` out before the
    test part, as LEAF does for Shakespeare (`SHAKESPEARE_GAP`). Users for whom a part would be empty are in neither, as
    in LEAF: those are `counts.keys() - train.keys()`.

    Raises:
        TaskError: SFM-137 for a fraction outside (0, 1) or a negative seed or gap.

    Example:
        >>> train, test = split_samples({"a": 10, "b": 1, "c": 2}, train=0.8, seed=0)
        >>> [(name, len(train[name]), len(test[name])) for name in train]
        [('a', 8, 2), ('c', 1, 1)]
    """
    if not 0.0 < train < 1.0 or seed < 0 or gap < 0:
        what = f"training fraction {train}, seed {seed}, gap {gap}"
        raise TaskError("SFM-137", what, "split_samples", "use a fraction between 0 and 1, and values >= 0")
    rng = np.random.default_rng(seed)
    first: Taken = {}
    second: Taken = {}
    for name, count in counts.items():
        cut = 1 if count == 2 else max(1, int(train * count))
        order = np.arange(count) if gap else rng.permutation(count)
        one, two = np.sort(order[:cut]), np.sort(order[cut + gap :])
        if len(one) and len(two):
            first[name], second[name] = one, two
    return first, second


def split_users(names: Iterable[str], *, train: float = 0.9, seed: int) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """int(train * number) users drawn for training, the others for testing, both in their order.

    Raises:
        TaskError: SFM-137 for a fraction outside (0, 1) or a negative seed; SFM-138 if a part would be empty.

    Example:
        >>> one, two = split_users("abcdefghij", train=0.8, seed=0)
        >>> len(one), sorted(one + two) == list("abcdefghij")
        (8, True)
    """
    users = tuple(names)
    cut = int(train * len(users))
    if not 0.0 < train < 1.0 or seed < 0:
        raise TaskError("SFM-137", f"training fraction {train}, seed {seed}", "split_users", "use (0, 1) and seed >= 0")
    if not 0 < cut < len(users):
        raise TaskError("SFM-138", f"{cut} of {len(users)} users for training", "split_users", "use another fraction")
    chosen = set(np.random.default_rng(seed).permutation(len(users))[:cut].tolist())
    sides = ([name for at, name in enumerate(users) if (at in chosen) is side] for side in (True, False))
    one, two = (tuple(side) for side in sides)
    return one, two


def _start(counts: Counts, fraction: float, seed: int) -> tuple[np.random.Generator, int]:
    if not 0.0 < fraction <= 1.0 or seed < 0 or any(count < 1 for count in counts.values()):
        what = f"fraction {fraction}, seed {seed}, or a count below one"
        raise TaskError("SFM-137", what, "LEAF sampling", "use a fraction in (0, 1], a seed >= 0, users with samples")
    wanted = int(fraction * sum(counts.values()))
    if wanted < 1:
        raise TaskError("SFM-138", "no sample would be taken", "LEAF sampling", "use a larger fraction")
    return np.random.default_rng(seed), wanted
