# SPDX-License-Identifier: Apache-2.0
"""Noise in removable parts, at both ends: a site adds them, the server takes those away that turned out surplus.

To the crypto room the seeds are secrets of the application, and to the privacy room a part is a law. Here the two meet:
part k of a site is what the sampler of part k draws from the keystream of the site's surplus secret k.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from fedmeta_crypto import Keystream
from fedmeta_privacy.surplus import SurplusNoise, samplers

Integers = NDArray[np.int64]


def part(noise: SurplusNoise, number: int, seed: bytes, *, session: bytes, dimension: int) -> Integers:
    """Part `number` (from 1) of one site's noise, shape (dimension,), in steps: the same for all who know the seed.

    Guarantee: independent of every other part and round, if the seed is uniform and used once; the key is bound to
        the session and to the number.

    Example:
        >>> noise = SurplusNoise(clients=4, corrupt=1, dropped=1, honest_scale=100.0)
        >>> first = part(noise, 1, bytes(32), session=bytes(32), dimension=3)
        >>> bool((first == part(noise, 1, bytes(32), session=bytes(32), dimension=3)).all()), first.shape
        (True, (3,))
    """
    key = hashlib.sha256(b"sfm-surplus/1" + session + bytes([number]) + seed).digest()[:16]
    return samplers(noise.scales)[number].sample(dimension, Keystream(key).words)


def own_parts(noise: SurplusNoise, seeds: Sequence[bytes], *, session: bytes, dimension: int) -> Integers:
    """All parts of one site, added up."""
    return _added(((number, seed) for number, seed in enumerate(seeds, start=1)), noise, session, dimension)


def surplus_parts(
    noise: SurplusNoise, seeds: Sequence[Sequence[bytes]], *, dropped: int, session: bytes, dimension: int
) -> Integers:
    """What the survivors added beyond the noise of a round that `dropped` sites left: parts dropped + 1 .. D of each.

    `seeds` are, of each survivor, those of its parts dropped + 1 .. D, in order.
    """
    numbered = ((number, seed) for row in seeds for number, seed in enumerate(row, start=dropped + 1))
    return _added(numbered, noise, session, dimension)


def _added(numbered: Iterable[tuple[int, bytes]], noise: SurplusNoise, session: bytes, dimension: int) -> Integers:
    total = np.zeros(dimension, np.int64)
    for number, seed in numbered:
        total += part(noise, number, seed, session=session, dimension=dimension)
    return total
