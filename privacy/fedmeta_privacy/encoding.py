# SPDX-License-Identifier: Apache-2.0
"""From floats to integers mod 2^b and back.

Rounding changes sensitivity, so it lives in this room: two neighbours are two *rounded* vectors, each
coordinate off by at most half a step, hence ||Q(x) - Q(x')|| <= ||x - x'||/step + sqrt(d). Steps are powers
of two, so dividing by one is exact.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .errors import EncodingOverflow, PlanError

ROUNDING_COST = 1e-3


@dataclass(frozen=True, slots=True)
class IntegerEncoding:
    """Fixed-point encoding of a vector into integers, and of integers into the ring.

    Attributes:
        step: one unit, a power of two, in the vector's own units.
        dimension: coordinates.
        modulus_bits: b of the ring 2^b, 8 to 32.

    Example:
        >>> encoding = IntegerEncoding(step=0.25, dimension=2, modulus_bits=32)
        >>> total = encoding.to_ring(encoding.encode(np.array([1.0, -0.5])))
        >>> encoding.decode(encoding.from_ring(total))
        array([ 1. , -0.5])
    """

    step: float
    dimension: int
    modulus_bits: int

    def __post_init__(self) -> None:
        if not (self.step > 0 and math.isfinite(self.step) and math.frexp(self.step)[0] == 0.5):
            raise PlanError(f"the encoding step {self.step!r} is not a power of two", "use `choose_step`")
        if self.dimension < 1 or not 8 <= self.modulus_bits <= 32:
            raise PlanError(
                f"dimension={self.dimension}, modulus_bits={self.modulus_bits}", "use d >= 1 and 8 to 32 bits"
            )

    def l2_sensitivity(self, bound: float) -> float:
        """Sensitivity in steps of the rounded vector, from the sensitivity `bound` before rounding."""
        return bound / self.step + math.sqrt(self.dimension)

    def encode(self, vector: NDArray[np.float64]) -> NDArray[np.int64]:
        """Round to the nearest step (ties to even). Shape (d,) to (d,)."""
        if vector.shape != (self.dimension,) or not np.isfinite(vector).all():
            raise EncodingOverflow("the vector to encode is not finite or has the wrong length", "report this")
        scaled = np.rint(vector / self.step)
        if scaled.size and float(np.abs(scaled).max()) >= 2.0**52:
            raise EncodingOverflow("the vector does not fit 52 bits", "use a larger step")
        encoded: NDArray[np.int64] = scaled.astype(np.int64)
        return encoded

    def decode(self, integers: NDArray[np.int64]) -> NDArray[np.float64]:
        """Inverse of `encode` up to rounding."""
        decoded: NDArray[np.float64] = integers.astype(np.float64) * self.step
        return decoded

    def to_ring(self, integers: NDArray[np.int64]) -> NDArray[np.uint32]:
        """Reduce mod 2^b; noise is never saturated, since saturation after noise would be a new mechanism."""
        reduced: NDArray[np.uint32] = (integers & ((1 << self.modulus_bits) - 1)).astype(np.uint32)
        return reduced

    def from_ring(self, residues: NDArray[np.uint32]) -> NDArray[np.int64]:
        """The representative of each residue in [-2^(b-1), 2^(b-1))."""
        wide = residues.astype(np.int64)
        half = 1 << (self.modulus_bits - 1)
        centred: NDArray[np.int64] = (wide & (2 * half - 1)) - ((wide & half) << 1)
        return centred

    def check_room(self, *, parties: int, largest_coordinate: float, noise_reach: int) -> None:
        """Refuse a plan in which the sum of all parties' encodings and noise could wrap around.

        Args:
            parties: members of the cohort.
            largest_coordinate: bound on one coordinate of one party's vector, before encoding.
            noise_reach: largest noise in steps that the sampler can return.

        Raises:
            EncodingOverflow: the sum could leave [-2^(b-1), 2^(b-1)).
        """
        each = math.floor(largest_coordinate / self.step) + 1 + noise_reach
        if parties * each >= 1 << (self.modulus_bits - 1):
            raise EncodingOverflow(
                f"{parties} parties of up to {each} steps each do not fit the ring 2^{self.modulus_bits}",
                "use more bits, a larger step or fewer parties",
            )


def choose_step(sensitivity: float, dimension: int, *, cost: float = ROUNDING_COST) -> float:
    """Largest power of two whose rounding raises the sensitivity by at most the fraction `cost`.

    Example:
        >>> step = choose_step(0.3, 31)
        >>> IntegerEncoding(step, 31, 32).l2_sensitivity(0.3) * step <= 0.3 * 1.001
        True
    """
    return 2.0 ** math.floor(math.log2(cost * sensitivity / math.sqrt(dimension)))
