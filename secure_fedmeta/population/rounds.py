# SPDX-License-Identifier: Apache-2.0
"""One round: contributions of a cohort, clipped, noised and added up, as floats or as integers of a ring.

Two kinds of noise that must not be mixed up:

* `NormalNoise` is ordinary pseudo-random float noise, for studying how a mechanism *learns*. It is fast, its state is
  a seed, and it protects nobody: the generator is not cryptographic, and float noise leaks through its rounding.
* `DiscreteNoise` is the project's own: the integer discrete Gaussian of `fedmeta_privacy.noise` from an AES keystream,
  added in the ring to contributions that were clipped in float64 and rounded to steps. With it a round is the
  `DiscreteGaussianSum` that `accounting` states.

Either is drawn once a client, as a masked sum needs it, or once for the sum, as a trusted server would. One normal draw
with the variance of n of them has their sum's law exactly; for discrete draws this holds up to the total variation that
`DiscreteGaussianSum` charges.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from fedmeta_crypto import Keystream
from fedmeta_privacy.clipping import FlatClip, clip
from fedmeta_privacy.encoding import IntegerEncoding
from fedmeta_privacy.noise import DiscreteGaussian

from ..errors import RoundRefused
from .clients import ClientSource, Indices
from .updates import Updates, chunks, clip_factors

Tensor = torch.Tensor
Integers = NDArray[np.int64]
Draws = Literal["client", "sum"]
# From a client's index (-1 for the one draw of a sum) to a fresh 16-byte key, used once.
NoiseKeys = Callable[[int], bytes]
_BLOCK = 1 << 18  # normals at once: 1 MiB in float32, which a second-level cache holds


@dataclass(frozen=True, slots=True)
class NormalNoise:
    """Float noise for simulation alone; `deviation` of each draw, in the vector's units."""

    deviation: float
    draws: Draws = "client"

    def __post_init__(self) -> None:
        _check(self.deviation, self.draws)


@dataclass(frozen=True, slots=True)
class DiscreteNoise:
    """Integer noise from a keystream; `scale` of each draw, in steps."""

    scale: float
    draws: Draws = "client"

    def __post_init__(self) -> None:
        _check(self.scale, self.draws)


def _check(size: float, draws: str) -> None:
    if not (0 < size < float("inf")) or draws not in {"client", "sum"}:
        raise RoundRefused(f"noise of size {size!r} by {draws!r}", "noise", "use a positive size, by client or sum")


def float_round(
    updates: Updates,
    theta: Tensor,
    source: ClientSource,
    cohort: Indices,
    *,
    clip_norm: float | None = None,
    noise: NormalNoise | None = None,
    generator: torch.Generator | None = None,
) -> Tensor:
    """The sum of a cohort's contributions in floats, (D,): the fast way. No guarantee of any kind.

    Raises:
        RoundRefused: noise without a clip norm, which would hide nothing in the mechanism that is simulated.
    """
    if noise is not None and clip_norm is None:
        raise RoundRefused("noise without a clip norm hides nothing", "round", "state clip_norm")
    total = updates.total(theta, source, cohort, clip_norm)
    if noise is None:
        return total
    if noise.draws == "sum":
        return total.add_(torch.randn(len(theta), generator=generator, dtype=theta.dtype), alpha=noise.deviation)
    return total.add_(summed_normals(len(cohort), len(theta), generator, theta.dtype), alpha=noise.deviation)


def summed_normals(count: int, dimension: int, generator: torch.Generator | None, dtype: torch.dtype) -> Tensor:
    """`count` independent standard normal vectors, each of them drawn, and added up: (dimension,)."""
    total = torch.zeros(dimension, dtype=dtype)
    block = torch.empty(min(count, max(1, _BLOCK // dimension)), dimension, dtype=dtype)
    for start in range(0, count, max(1, len(block))):
        part = block[: count - start]
        total += part.normal_(generator=generator).sum(0)
    return total


def ring_round(
    updates: Updates,
    theta: Tensor,
    source: ClientSource,
    cohort: Indices,
    *,
    clip_norm: float,
    encoding: IntegerEncoding,
    noise: DiscreteNoise | None,
    keys: NoiseKeys | None = None,
) -> Integers:
    """The sum of a cohort's clipped, rounded and noised contributions as a server decodes it, (D,) int64, in steps.

    Guarantee: with `noise` and keys of which each is secret, uniform and used once, this sum is what `accounting`
        states of a cohort that is not below the floor, for every theta and whatever numbers the clients hold: a row is
        clipped in float64, and one that is not finite counts as zero. With noise each client is
        computed by itself, whatever the chunk: in a batch its last bits, and with them a step, may depend on its place
        and on how long the others' rows are, and then a client that is drawn moves more than its own vector. What
        *raises* on a client's data, such as a label that names no class, ends the round, and tells: check data where
        they are held.
    The caller has checked the ring's room (`encoding.check_room`): nothing wraps around unless a plan allows it.

    Raises:
        RoundRefused: noise without keys.
    """
    if noise is not None and keys is None:
        raise RoundRefused("noise without keys", "round", "pass fresh keys")
    sampler = None if noise is None else DiscreteGaussian(noise.scale)
    rule, mask = FlatClip(clip_norm), np.uint64((1 << encoding.modulus_bits) - 1)
    total = np.zeros(encoding.dimension, np.uint64)  # sums mod 2^64 are sums mod 2^b
    place = 0
    size = len(cohort) if noise is None else 1
    for rows in (rows for part in chunks(cohort, max(1, size)) for rows in updates.rows(theta, source, part)):
        steps = encode_rows(clip(rows.double().numpy(), rule).values, encoding)
        if sampler is not None and keys is not None and noise is not None and noise.draws == "client":
            for at, client in enumerate(cohort[place : place + len(steps)]):
                steps[at] += sampler.sample(encoding.dimension, Keystream(keys(int(client))).words)
        total += steps.view(np.uint64).sum(0, dtype=np.uint64)
        place += len(steps)
    if sampler is not None and keys is not None and noise is not None and noise.draws == "sum":
        total += sampler.sample(encoding.dimension, Keystream(keys(-1)).words).view(np.uint64)
    return encoding.from_ring((total & mask).astype(np.uint32))


def encode_rows(rows: NDArray[np.float64], encoding: IntegerEncoding) -> Integers:
    """`encoding.encode` of each row, (n, d): the same integers, all rows at once."""
    flat = IntegerEncoding(encoding.step, rows.size, encoding.modulus_bits) if rows.size else encoding
    return flat.encode(rows.reshape(-1)).reshape(rows.shape) if rows.size else np.zeros(rows.shape, np.int64)


def simulated_ring_round(
    updates: Updates,
    theta: Tensor,
    source: ClientSource,
    cohort: Indices,
    *,
    clip_norm: float,
    encoding: IntegerEncoding,
    noise: NormalNoise,
    generator: torch.Generator | None = None,
) -> Integers:
    """As `ring_round` with rounded normal noise a client in place of the discrete: fast, and without any guarantee.

    For rings of 32 bits, whose sums are those of 32-bit words, and rows of any type.
    """
    if encoding.modulus_bits != 32 or noise.draws != "client":
        raise RoundRefused("rounded normal noise in another ring or for a sum", "round", "use 32 bits, or ring_round")
    total = torch.zeros(encoding.dimension, dtype=torch.int32)
    height = max(1, _BLOCK // encoding.dimension)
    block = torch.empty(height, encoding.dimension, dtype=theta.dtype)
    for rows in updates.rows(theta, source, cohort):
        factors = clip_factors(rows, clip_norm).div_(encoding.step).unsqueeze(1)
        for start in range(0, len(rows), height):
            part = rows[start : start + height]
            noisy = block[: len(part)].normal_(0.0, noise.deviation / encoding.step, generator=generator)
            noisy.addcmul_(part, factors[start : start + height]).round_()
            total += noisy.to(torch.int32).sum(0, dtype=torch.int32)
    return encoding.from_ring(total.numpy().view(np.uint32))
