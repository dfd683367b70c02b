# SPDX-License-Identifier: Apache-2.0
"""Checks of notebook 09: differential privacy meets secure aggregation."""

from __future__ import annotations

import math
from typing import Any

from .verdicts import Verdict, judge, judge_function


def check_1(share: Any) -> Verdict:
    """`share(total, n, corrupt, dropped)`: the deviation of each site's noise, so that what honest survivors add has
    deviation `total` in the sum.
    """
    cases = [(10.0, 10, 1, 1), (6.0, 20, 2, 3), (1.0, 4, 0, 0)]
    return judge_function(
        share,
        cases,
        right=lambda total, n, corrupt, dropped: total / math.sqrt(n - corrupt - dropped),
        says="Variances add: m honest noises of deviation s have deviation s root m. Nobody else's noise may be counted.",
        hints=[
            (
                lambda total, n, corrupt, dropped: total / math.sqrt(n),
                "You counted everybody: the corrupt ones know their noise, and the silent ones send none.",
            ),
            (
                lambda total, n, corrupt, dropped: total / (n - corrupt - dropped),
                "Deviations do not add, variances do: you divided where a root belongs, and the sum has too little noise.",
            ),
            (
                lambda total, n, corrupt, dropped: total / math.sqrt(n - dropped),
                "Those who drop out are taken off. Who else's noise hides nothing from the server?",
            ),
            (lambda total, n, corrupt, dropped: total, "Safe, but each site alone then adds what all together should."),
        ],
        otherwise="total divided by the root of the number of noises that hide something.",
    )


def check_2(view: Any) -> Verdict:
    """The server also stores every upload, unmasked by an accident. Which epsilon holds now: "server" or "local"?"""
    return judge(
        str(view).strip().lower(),
        right=lambda a: a.startswith("local"),
        says="Each upload has one site's noise only. The local epsilon is stated beside the other for just this case.",
        hints=[
            (lambda a: "server" in a, "That one counts all sites' noise, which only the sum has."),
            (lambda a: "release" in a, "That is for outsiders, who see models alone."),
            (lambda a: "none" in a, "There is still each site's own noise on its upload."),
        ],
        otherwise='Answer "server" or "local".',
    )


def check_3(factor: Any) -> Verdict:
    """Without masks at the same epsilon: by which factor grows the noise in the sum of 9 honest sites?"""
    return judge(
        factor,
        right=lambda f: abs(float(f) - 3.0) < 0.05,
        says="Each upload needs the whole noise by itself, so the sum has root 9 = 3 times as much.",
        hints=[
            (lambda f: abs(float(f) - 9.0) < 0.1, "The variance is nine times as large. The deviation?"),
            (lambda f: abs(float(f) - 1.0) < 0.05, "Then masks would be worth nothing: compare the two sums above."),
            (lambda f: abs(float(f) - 1 / 3) < 0.02, "It grows, not shrinks."),
        ],
        otherwise="Each site's noise grows by root 9, and so does the deviation of the sum.",
    )
