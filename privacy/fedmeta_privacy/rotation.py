# SPDX-License-Identifier: Apache-2.0
"""Randomised Hadamard rotation: spreads a vector's mass evenly, so that few bits per coordinate suffice.

x -> H D x / sqrt(p), with x padded by zeros to the next power of two p, D random signs from a *public* seed and H the
Walsh-Hadamard matrix. Orthogonal, so norms, clipping bounds and sensitivities carry over; after it no coordinate
exceeds (||x||/sqrt(p)) sqrt(2 ln(2p/beta)) with probability 1 - beta over the seed, *for a vector chosen before the
seed* (Ailon and Chazelle 2006; used for private sums by Kairouz et al. 2021, arXiv 2102.06387, section 4.1).
The seed hides nothing and buys no privacy.

Arithmetic, u = 2^-53. Each of the log2(p) levels computes sums and differences of pairs, each off by a relative u,
so in norm a level adds at most u times its exact norm, and the levels are sqrt(2) times an orthogonal map; the final
factor 1/sqrt(p) is off by u, its product by u more. The result is therefore within

    e ||x||,   e = (1 + u)^(log2(p) + 3) - 1 <= (log2(p) + 4) u

of the exact rotation, plus 2^-1000 for underflow. Two neighbouring sums are two such computations: a sensitivity of
Delta becomes Delta + 2 e N, N a bound on the norm of what is rotated (`l2_sensitivity`).
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from .errors import PlanError

LARGEST_DIMENSION = 2**28
_SEED_BYTES = 32


@dataclass(frozen=True, slots=True)
class HadamardRotation:
    """A public rotation of (d,) to (p,), p the next power of two, and its inverse.

    Attributes:
        dimension: d, 1 to 2^28.
        seed: 32 public bytes; a fresh one each round, fixed after the data are.

    Example:
        >>> rotation = HadamardRotation(5, bytes(32))
        >>> rotated = rotation.rotate(np.arange(5.0))
        >>> rotated.shape, bool(np.allclose(rotation.invert(rotated), np.arange(5.0), atol=1e-14))
        ((8,), True)
    """

    dimension: int
    seed: bytes
    _signs: NDArray[np.int8] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not 1 <= self.dimension <= LARGEST_DIMENSION:
            raise PlanError(f"dimension={self.dimension} cannot be rotated", "use 1 to 2^28 coordinates")
        if len(self.seed) != _SEED_BYTES:
            raise PlanError(f"a rotation seed of {len(self.seed)} bytes", f"use {_SEED_BYTES} public bytes")
        stream = hashlib.shake_256(b"fedmeta/rotation/1" + self.seed).digest(-(-self.dimension // 8))
        bits = np.unpackbits(np.frombuffer(stream, np.uint8), count=self.dimension)
        object.__setattr__(self, "_signs", (1 - 2 * bits.view(np.int8)).astype(np.int8))

    @property
    def padded(self) -> int:
        """p, the smallest power of two that is at least d."""
        return 1 << (self.dimension - 1).bit_length()

    @property
    def relative_error(self) -> float:
        """The module's e: distance of the computed rotation from the exact one, over the norm."""
        return (math.log2(self.padded) + 4) * 2.0**-53

    def l2_sensitivity(self, bound: float, *, largest_norm: float) -> float:
        """Sensitivity after the rotation from `bound` before it; `largest_norm` bounds the rotated vector's norm."""
        if not 0 < bound <= 2 * largest_norm or not math.isfinite(largest_norm):
            raise PlanError(f"bound={bound}, largest_norm={largest_norm}", "a difference is at most twice the norm")
        return (bound + 2 * (self.relative_error * largest_norm + 2.0**-1000)) * (1 + 2.0**-50)

    def rotate(self, vector: NDArray[np.float64]) -> NDArray[np.float64]:
        """(d,) float64 to (p,), norm kept."""
        if vector.shape != (self.dimension,) or vector.dtype != np.float64:
            raise PlanError(f"a {vector.dtype} vector of shape {vector.shape}", f"pass float64 ({self.dimension},)")
        padded = np.zeros(self.padded)
        padded[: self.dimension] = vector * self._signs
        return _hadamard(padded)

    def invert(self, rotated: NDArray[np.float64]) -> NDArray[np.float64]:
        """(p,) float64 to (d,); post-processing."""
        if rotated.shape != (self.padded,) or rotated.dtype != np.float64:
            raise PlanError(f"a {rotated.dtype} vector of shape {rotated.shape}", f"pass float64 ({self.padded},)")
        undone: NDArray[np.float64] = _hadamard(rotated.copy())[: self.dimension] * self._signs
        return undone


def _hadamard(vector: NDArray[np.float64]) -> NDArray[np.float64]:
    """Orthonormal Walsh-Hadamard transform in place, its own inverse."""
    size, width = vector.size, 1
    while width < size:
        pairs = vector.reshape(-1, 2, width)
        difference = pairs[:, 0] - pairs[:, 1]
        pairs[:, 0] += pairs[:, 1]
        pairs[:, 1] = difference
        width *= 2
    vector *= 1 / math.sqrt(size)
    return vector
