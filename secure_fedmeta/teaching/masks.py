# SPDX-License-Identifier: Apache-2.0
"""Checks of notebook 02: masks that cancel."""

from __future__ import annotations

from typing import Any

import numpy as np

from .verdicts import Verdict, judge, judge_function

R = 2**32


def check_1(mask: Any) -> Verdict:
    """`mask(vector, me, peers, pads)`: add the pad of each later client, subtract that of each earlier one, mod 2^32."""

    def signed(v: Any, me: int, peers: Any, pads: Any, sign: int = 1, modulus: int = R) -> Any:
        total = v.astype(object)
        for peer in peers:
            total = total + (sign if peer > me else -sign) * pads[peer].astype(object)
        return (total % modulus) if modulus else total

    rng = np.random.default_rng(0)
    pads = {i: rng.integers(0, R, 3, dtype=np.uint64).astype(np.int64) for i in (1, 3, 4)}
    cases = [(np.array([5, 6, 7]), 2, [1, 3, 4], pads), (np.array([0, 1, R - 1]), 4, [1, 3], pads)]
    return judge_function(
        mask,
        cases,
        right=lambda v, me, peers, pads: signed(v, me, peers, pads).astype(np.int64),
        says="Each pad is added once and subtracted once: in the sum over all clients nothing of it is left.",
        hints=[
            (
                lambda v, me, peers, pads: (v + sum(pads[p] for p in peers)) % R,
                "You added every pad. Both ends of a pair add it then, and the sum keeps twice the pad.",
            ),
            (
                lambda v, me, peers, pads: signed(v, me, peers, pads, modulus=0).astype(np.int64),
                "The signs are right, but nothing wraps: without mod 2^32 a large value shows through the pad.",
            ),
            (
                lambda v, me, peers, pads: signed(v, me, peers, pads, sign=-1).astype(np.int64),
                "It cancels too, but with the other sign: here the earlier client of a pair adds.",
            ),
            (lambda v, me, peers, pads: v, "That is the vector itself, without any mask."),
        ],
        otherwise="For each peer: + pad if the peer's number is larger than mine, - pad if smaller; then % 2**32.",
    )


def check_2(aggregate: Any) -> Verdict:
    """`aggregate(uploads)`: the sum of all uploads, mod 2^32, as numbers from -2^31 to 2^31."""
    cases = [([np.array([R - 1, 5]), np.array([3, R - 9])],), ([np.array([R - 4]), np.array([1]), np.array([1])],)]

    def right(uploads: Any) -> Any:
        total = sum(u.astype(object) for u in uploads) % R
        return np.where(total >= R // 2, total - R, total).astype(np.int64)

    return judge_function(
        aggregate,
        cases,
        right=right,
        says="Residues from 2^31 upwards stand for negative numbers, as in every two's complement.",
        hints=[
            (lambda uploads: sum(uploads) % R, "The residues are right. Which of them stand for negative numbers?"),
            (lambda uploads: sum(uploads), "Sums of residues run over: take them mod 2^32 first."),
            (lambda uploads: right(uploads) / len(uploads), "That is the mean. The protocol opens the sum."),
        ],
        otherwise="Add, take mod 2**32, then subtract 2**32 from what is 2**31 or more.",
    )


def check_3(why: Any) -> Verdict:
    """Why not floats: "rounding", "speed" or "size"?"""
    return judge(
        str(why).strip().lower(),
        right=lambda a: "round" in a,
        says="Float addition rounds, so pads do not cancel exactly; and no float pad hides a value of any size.",
        hints=[
            (lambda a: "speed" in a, "Floats are as fast. Add 1e20, then 1, then take 1e20 away: what is left?"),
            (lambda a: "size" in a, "Both take four bytes. Add 1e20, then 1, then take 1e20 away: what is left?"),
            (lambda a: "neg" in a, "Negative numbers are no trouble in either."),
        ],
        otherwise='Answer "rounding", "speed" or "size".',
    )
