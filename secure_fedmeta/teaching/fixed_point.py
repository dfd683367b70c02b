# SPDX-License-Identifier: Apache-2.0
"""Checks of notebook 03: fixed point."""

from __future__ import annotations

from typing import Any

import numpy as np

from .verdicts import Verdict, judge, judge_function


def check_1(quantise: Any) -> Verdict:
    """`quantise(x, step)`: the nearest whole numbers of steps."""
    cases = [(np.array([0.26, -0.26, 0.9, -0.13]), 0.25), (np.array([1.0, 2.49]), 0.5)]
    return judge_function(
        quantise,
        cases,
        right=lambda x, step: np.rint(x / step).astype(int),
        says="No coordinate is off by more than half a step, and d of them by no more than step/2 times the root of d.",
        hints=[
            (
                lambda x, step: np.floor(x / step).astype(int),
                "You rounded down: off by up to a whole step, and biased.",
            ),
            (lambda x, step: (x / step).astype(int), "That cuts towards zero: off by up to a step. Use the nearest."),
            (lambda x, step: np.rint(x * step).astype(int), "Divide by the step: how many steps fit into x?"),
            (
                lambda x, step: np.rint(x / step) * step,
                "That is the rounded value; the wire carries the number of steps.",
            ),
        ],
        otherwise="x / step, then numpy's rint.",
    )


def check_2(bits: Any) -> Verdict:
    """Fewest bits b of the ring, so that 10 clients with |value| <= 1000 steps each cannot wrap: sums in [-2^(b-1), 2^(b-1))."""
    return judge(
        bits,
        right=lambda b: int(b) == 15,
        says="10 x 1000 = 10000 is below 2^14 = 16384, and the sign takes one bit more.",
        hints=[
            (
                lambda b: int(b) == 14,
                "2^14 = 16384 is more than 10000, but half of the residues stand for negative sums.",
            ),
            (lambda b: int(b) == 11, "That is room for one client, sign included. The sum has ten."),
            (lambda b: int(b) == 32, "That is room enough, and three times what is needed: find the fewest."),
            (lambda b: int(b) == 10, "1000 < 2^10 is room for one client's magnitude; now ten of them, and the sign."),
        ],
        otherwise="You need 2^(b-1) > 10 * 1000.",
    )


def check_3(what: Any) -> Verdict:
    """Noise is added after rounding. What must have room in the ring: "values", "noise" or "both"?"""
    return judge(
        str(what).strip().lower(),
        right=lambda a: "both" in a,
        says="`IntegerEncoding.check_room` asks for the largest values of all and the farthest noise of all, together.",
        hints=[
            (lambda a: "value" in a, "A wrapped noise is as wrong as a wrapped value: the sum jumps by 2^b."),
            (lambda a: "noise" in a, "The noise rides on the values; the sum of both must not wrap."),
            (lambda a: "neither" in a, "What leaves the ring comes back on the other side."),
        ],
        otherwise='Answer "values", "noise" or "both".',
    )
