# SPDX-License-Identifier: Apache-2.0
"""Which simulated sites fall silent, and when. Fixed by the seed, never by data."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

# A silent site stops answering at one of these messages and returns in the next round.
PHASES = ("advertise", "share", "mask", "unmask")


def dropout_pattern(round_number: int, cohort: tuple[int, ...], *, rate: float, seed: int) -> Mapping[int, str]:
    """Sites that fall silent in a round, with the phase: each one independently with probability `rate`.

    Example:
        >>> dropout_pattern(1, (1, 2, 3), rate=0.0, seed=0)
        {}
    """
    pattern = {}
    for site in cohort:
        digest = hashlib.sha256(
            b"sfm-dropout/1" + b"".join(x.to_bytes(8, "little") for x in (seed, round_number, site))
        )
        draw = digest.digest()
        if int.from_bytes(draw[:8], "little") < rate * 2.0**64:
            pattern[site] = PHASES[draw[8] % len(PHASES)]
    return pattern
