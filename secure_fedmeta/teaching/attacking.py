# SPDX-License-Identifier: Apache-2.0
"""Checks of notebook 12: attack your model."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .verdicts import Verdict, judge, judge_function


def check_1(bound: Any) -> Verdict:
    """`bound(epsilon, delta, alarms)`: most hits of any membership attack at so many false alarms."""
    cases = [(1.0, 1e-5, 0.01), (3.0, 1e-3, 0.01), (8.0, 1e-5, 0.05)]
    return judge_function(
        bound,
        cases,
        right=lambda e, d, a: min(1.0, math.exp(e) * a + d, 1 - math.exp(-e) * (1 - d - a)),
        says="The first line is the definition; the second is the definition for the complement.",
        hints=[
            (
                lambda e, d, a: min(1.0, math.exp(e) * a + d),
                "True, and not all: the definition also holds for the complement, 1 - hits >= e^-eps (1 - delta - alarms).",
            ),
            (lambda e, d, a: math.exp(e) * a + d, "A rate is never above 1."),
            (lambda e, d, a: min(1.0, e * a + d), "e to the power epsilon, not epsilon itself."),
        ],
        otherwise="min(1, e^eps alarms + delta, 1 - e^-eps (1 - delta - alarms)).",
    )


def check_2(meaning: Any) -> Verdict:
    """A lower bound of 0.4 was found where 3 is claimed. What follows: "claim wrong", "claim right" or "not refuted"?"""
    return judge(
        str(meaning).strip().lower(),
        right=lambda a: a.startswith("not ref"),
        says="An attack can only refute. A weak attack finds little whatever the truth is.",
        hints=[
            (lambda a: "wrong" in a, "0.4 is below 3: the two agree."),
            (lambda a: "right" in a, "A weak attack finds little whatever the truth is: it confirms nothing."),
            (lambda a: "private" in a, "Low scores of one attack prove no privacy."),
        ],
        otherwise='Answer "claim wrong", "claim right" or "not refuted".',
    )


def check_3(canary: Any) -> Verdict:
    """The best canary for a clipped sum: "typical", "long and alone" or "random"?"""
    return judge(
        str(canary).strip().lower(),
        right=lambda a: "long" in a or "alone" in a,
        says="As long as the clip allows, in a direction that nobody else uses: there the noise alone stands against it.",
        hints=[
            (
                lambda a: "typical" in a,
                "A typical row hides among others like it. The worst case is what a guarantee is about.",
            ),
            (
                lambda a: "random" in a,
                "Better than typical. But random directions of short rows are weaker than clipped ones.",
            ),
            (lambda a: "short" in a, "The noise is made for rows as long as the clip: a short one drowns in it."),
        ],
        otherwise="Which row moves the sum most, and where does nobody else's row point?",
    )


def check_4(hits: Any) -> Verdict:
    """`hits(members, others, alarms)`: of the members, the share with a score above the threshold that at most the share
    `alarms` of the others exceeds.
    """
    rng = np.random.default_rng(0)
    members, others = rng.normal(1, 1, 170), rng.normal(0, 1, 330)

    def threshold(scores: Any, share: float) -> float:
        return float(np.sort(scores)[::-1][int(share * len(scores))])

    def right(members: Any, others: Any, alarms: float) -> float:
        return float(np.mean(members > threshold(others, alarms)))

    return judge_function(
        hits,
        [(members, others, 0.01), (members, others, 0.1), (others, members, 0.05)],
        right=right,
        says="One point of the curve: the threshold comes from the others alone, then the members are counted.",
        hints=[
            (
                lambda m, o, a: float(np.mean(m > threshold(m, a))),
                "Your threshold is one of the members' own scores: false alarms are about the others.",
            ),
            (
                lambda m, o, a: float(np.mean(m > np.sort(o)[int(a * len(o))])),
                "You sorted upwards: this threshold accuses nearly all of the others.",
            ),
            (
                lambda m, o, a: (np.mean(m > threshold(o, a)) + np.mean(o <= threshold(o, a))) / 2,
                "That is an accuracy, which hides how few are found. Count hits alone.",
            ),
            (
                lambda m, o, a: float(np.mean(o > threshold(o, a))),
                "Those are the false alarms themselves. How many members lie above the same threshold?",
            ),
        ],
        otherwise="Sort the others' scores downwards, take the one at alarms * their number, count members above it.",
    )
