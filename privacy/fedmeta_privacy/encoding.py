# SPDX-License-Identifier: Apache-2.0
"""From floats to integers mod 2^b and back.

Rounding changes sensitivity, so it lives in this room: two neighbours are two *rounded* vectors, each
coordinate off by at most half a step, hence ||Q(x) - Q(x')|| <= ||x - x'||/step + sqrt(d). Steps are powers
of two, so dividing by one is exact. For a whole client that is zeroed out, conditional rounding has a smaller bound
(`rounding`).

Arithmetic: the division by the step is exact (or underflows to zero, which is a rounding like any other), `rint` is
exact, and so are sums in the ring: what floats add to the sensitivity was added before (`sensitivity`, `clipping`,
`rotation`). Formulas here are evaluated with a few roundings, each 2^-53; `l2_sensitivity` charges 2^-48.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .claims import Adjacency, Unit
from .errors import EncodingOverflow, PlanError
from .events import SMALLEST_SCALE
from .noise import LARGEST_SCALE, REACH_IN_SCALES
from .rounding import LARGEST_STEPS, rounded_norm_bound

ROUNDING_COST = 1e-3
NARROW_COST = 0.1  # below 32 bits
_MOST_DOUBLINGS = 200


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
        return (bound / self.step + math.sqrt(self.dimension)) * (1 + 2.0**-48)

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


@dataclass(frozen=True, slots=True)
class EncodingPlan:
    """An encoding that fits its ring, with what it costs; made by `choose_encoding`.

    Attributes:
        encoding: step, dimension and ring.
        conditional: whether `l2_sensitivity` is that of `rounding.ConditionalRounding`, which then must be used.
        l2_sensitivity: in steps, rounding included: what the event states.
        noise_scale: of each party, in steps; None without noise.
        cost: by which fraction rounding raised the sensitivity; noise for one epsilon grows by as much.
        largest_sum: no coordinate of the sum can exceed it in size, in steps; below half the ring.
    """

    encoding: IntegerEncoding
    conditional: bool
    l2_sensitivity: float
    noise_scale: float | None
    cost: float
    largest_sum: int


def choose_encoding(
    *,
    sensitivity: float,
    dimension: int,
    parties: int,
    largest_coordinate: float,
    noise_scale: Callable[[float], float] | None,
    modulus_bits: int = 32,
    unit: Unit = Unit.RECORD,
    adjacency: Adjacency = Adjacency.SLOT,
    cost_limit: float | None = None,
) -> EncodingPlan:
    """The encoding with the least cost that cannot wrap around, or a refusal with the numbers.

    Starts from the largest step whose rounding costs 0.1 %, and doubles it until the sum of all parties' encodings
    and of the largest noise they can draw fits the ring. Rounding is to the nearest step and costs sqrt(d) steps,
    except for unit = client with zero-out: there it is conditional and costs its own, smaller bound.

    Args:
        sensitivity: L2, before rounding, arithmetic included, in the vector's units; the clip norm for clients.
        dimension: coordinates that are encoded (after padding by a rotation).
        parties: members of the cohort.
        largest_coordinate: bound on one coordinate of one party's vector, before encoding.
        noise_scale: from the sensitivity in steps to one party's noise in steps (`calibration.noise_scale`).
        modulus_bits: b of the ring.
        unit: whose data the claim protects.
        adjacency: which change the claim hides.
        cost_limit: largest `cost` accepted; 0.1 % at 32 bits and 10 % below unless stated.

    Raises:
        EncodingOverflow: no step within the limit fits.  PlanError: a number out of range.

    Example:
        >>> plan = choose_encoding(sensitivity=1.0, dimension=1000, parties=10, largest_coordinate=40.0,
        ...                        noise_scale=lambda steps: 2 * steps)
        >>> plan.encoding.step, plan.cost <= 0.001, plan.largest_sum < 2**31
        (3.0517578125e-05, True, True)
    """
    for name, value in (("sensitivity", sensitivity), ("largest_coordinate", largest_coordinate)):
        if not 2.0**-100 <= value <= 2.0**100:
            raise PlanError(f"{name} must be a number from 2^-100 to 2^100, not {value!r}", f"correct {name}")
    if parties < 1 or dimension < 1:
        raise PlanError(f"parties={parties}, dimension={dimension}", "both count from 1")
    limit = cost_limit if cost_limit is not None else ROUNDING_COST if modulus_bits >= 32 else NARROW_COST
    conditional = unit is Unit.CLIENT and adjacency is Adjacency.ZERO_OUT

    def at(step: float) -> EncodingPlan:
        encoding = IntegerEncoding(step, dimension, modulus_bits)
        steps = (
            rounded_norm_bound(sensitivity / step, dimension) if conditional else encoding.l2_sensitivity(sensitivity)
        )
        scale = None if noise_scale is None else float(noise_scale(steps))
        each = math.floor(largest_coordinate / step) + 1 + math.ceil(REACH_IN_SCALES * (scale or 0.0))
        return EncodingPlan(encoding, conditional, steps, scale, steps * step / sensitivity - 1, parties * each)

    plan = at(choose_step(sensitivity, dimension, cost=min(ROUNDING_COST, limit)))
    while conditional and at(2 * plan.encoding.step).cost <= min(ROUNDING_COST, limit):
        plan = at(2 * plan.encoding.step)  # the smaller bound allows a larger step
    for _ in range(_MOST_DOUBLINGS):  # little noise: finer steps, until the proof of the discrete Gaussian applies
        if plan.noise_scale is None or plan.noise_scale >= SMALLEST_SCALE:
            break
        plan = at(plan.encoding.step / 2)
    half = 1 << (modulus_bits - 1)
    while not _fits(plan, half):
        coarser = at(2 * plan.encoding.step)
        too_little = coarser.noise_scale is not None and coarser.noise_scale < SMALLEST_SCALE
        if coarser.cost > limit or too_little:
            raise EncodingOverflow(
                f"{parties} parties with d={dimension} and noise of {plan.noise_scale or 0.0:.6g} steps each need sums "
                f"up to {plan.largest_sum} steps of {plan.encoding.step:g}, and the ring 2^{modulus_bits} holds less "
                f"than {half} (noise at most {LARGEST_SCALE:g}); a step twice as large costs {coarser.cost:.2%} of "
                f"sensitivity, the limit is {limit:.2%}, and leaves noise of {coarser.noise_scale or 0.0:.3g} steps",
                "use more bits, fewer coordinates or parties, or accept a larger cost",
            )
        plan = coarser
    return plan


def _fits(plan: EncodingPlan, half: int) -> bool:
    within = plan.noise_scale is None or SMALLEST_SCALE <= plan.noise_scale <= LARGEST_SCALE
    return plan.largest_sum < half and within and not (plan.conditional and plan.l2_sensitivity > LARGEST_STEPS)
