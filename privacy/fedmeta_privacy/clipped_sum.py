# SPDX-License-Identifier: Apache-2.0
"""Sensitivity of a sum of clipped vectors: modes `task-is-person`, `client-vector` and `noisy-inner`.

Each unit (a record's gradient, a person's meta-gradient, a site's vector) is clipped to C and the site sums the units
in its registered slots. Whatever happens inside a unit, inner loop and Hessian included, emptying its slot removes one
vector of norm at most C, and filling a slot otherwise replaces one by another: C (slot, zero-out) or 2 C (replace-one).

Condition: a unit's vector is a function of that unit and the model alone, bit for bit. An engine that evaluates unit by
unit has this property; one that batches units may round a unit differently beside others and must charge for it.

Arithmetic: the clip divides by the norm plus 1e-6, off by a relative 2^-20 at most, and adding m vectors of norm at
most C in any order is off by at most m^2 2^-53 C in each of the two worlds.
"""

from __future__ import annotations

import math

from .claims import Claim
from .errors import PlanError
from .sensitivity import LARGEST_COUNT, SMALLEST_CLIP


def clipped_sum_sensitivity(row: Claim, *, clip_norm: float, slots: int) -> float:
    """How far one unit moves the sum of at most `slots` vectors clipped to `clip_norm`, before encoding.

    Raises:
        PlanError: clip or slots out of range.

    Example:
        >>> from fedmeta_privacy.claims import Adjacency, Mode, Unit, View, claim
        >>> row = claim(Unit.TASK, View.SERVER, Adjacency.REPLACE_ONE, Mode.TASK_IS_PERSON)
        >>> round(clipped_sum_sensitivity(row, clip_norm=0.5, slots=40), 6)
        1.0
    """
    if not (math.isfinite(clip_norm) and clip_norm >= SMALLEST_CLIP):
        raise PlanError(f"a clip of {clip_norm!r} is too small or no number", f"choose it >= {SMALLEST_CLIP:g}")
    if not 1 <= slots <= LARGEST_COUNT:
        raise PlanError(f"slots must be from 1 to {LARGEST_COUNT}, not {slots!r}", "correct the number of slots")
    return row.factor * clip_norm + slots**2 * 2.0**-52 * clip_norm
