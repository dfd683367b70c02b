# SPDX-License-Identifier: Apache-2.0
"""Checks of notebook 00: five minutes."""

from __future__ import annotations

from typing import Any

from .verdicts import Verdict, judge


def check_1(smaller: Any) -> Verdict:
    """The budget is halved. Does a site's noise become "smaller", "larger" or "the same"?"""
    return judge(
        str(smaller).strip().lower(),
        right=lambda a: "larg" in a or "more" in a,
        says="Less may be told, so more noise: roughly twice as much for half of epsilon.",
        hints=[
            (lambda a: "small" in a or "less" in a, "The other way round: epsilon counts what may be told."),
            (lambda a: "same" in a, "Compare `schedule.scale` of two plans."),
            (lambda a: "zero" in a or "none" in a, "Then nothing would be promised at all."),
        ],
        otherwise='Answer "smaller", "larger" or "the same".',
    )


def check_2(view: Any) -> Verdict:
    """Which epsilon is for someone who reads the published models alone?"""
    return judge(
        str(view).strip().lower(),
        right=lambda a: a == "release",
        says="An outsider sees models, neither sums nor uploads.",
        hints=[
            (lambda a: a == "server", "The server sees every round's sum beside the models."),
            (lambda a: a == "local", "That is for someone who saw each upload unmasked."),
            (lambda a: a == "member", "A member also knows its own noise."),
        ],
        otherwise='Answer "server", "member", "release" or "local".',
    )


def check_3(hits: Any) -> Verdict:
    """A spy may be wrong in 1 of 100 cases; at epsilon 3 here he finds at most how many of 100 (rounded up)?"""
    return judge(
        hits,
        right=lambda h: 8 <= int(h) <= 10,
        says="About nine, for this Gaussian noise. The bare definition alone would allow 20 (e^3 per cent).",
        hints=[
            (
                lambda h: 19 <= int(h) <= 22,
                "That is what the definition alone allows; the report's bound for Gaussian noise is tighter.",
            ),
            (lambda h: int(h) == 1, "One he would find without any data, by guessing."),
            (lambda h: int(h) == 3, "Epsilon is no number of persons: read the label in plain words."),
        ],
        otherwise="Read the plain label, or the last column of the table of views in the report.",
    )
