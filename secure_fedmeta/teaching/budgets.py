# SPDX-License-Identifier: Apache-2.0
"""Checks of notebook 08: noise and budget."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .verdicts import Verdict, judge, judge_function


def check_1(clip: Any) -> Verdict:
    """`clip(rows, bound)`: each row no longer than the bound."""
    cases = [(np.array([[3.0, 4.0], [0.3, 0.4]]), 1.0), (np.array([[0.0, 0.0], [6.0, 8.0]]), 2.0)]

    def right(rows: Any, bound: float) -> Any:
        norms = np.linalg.norm(rows, axis=1, keepdims=True)
        return rows * np.minimum(1.0, bound / np.maximum(norms, 1e-300))

    return judge_function(
        clip,
        cases,
        right=right,
        says="Short rows stay as they are; long ones keep their direction. No row moves the sum by more than the bound.",
        hints=[
            (
                lambda rows, bound: np.clip(rows, -bound, bound),
                "That clips coordinates: a row of d of them is root d longer.",
            ),
            (
                lambda rows, bound: rows * bound / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-300),
                "That stretches short rows too. Only those longer than the bound are to change.",
            ),
            (
                lambda rows, bound: rows * min(1.0, bound / np.linalg.norm(rows)),
                "That clips the whole matrix at once: then one person's row depends on all the others.",
            ),
        ],
        otherwise="Each row times min(1, bound / its own length).",
    )


def check_2(epsilon: Any) -> Verdict:
    """The engine made anew each round says 0.62. What does the truth after 50 rounds say, to one digit (delta 1e-5)?"""
    return judge(
        epsilon,
        right=lambda e: 3.6 <= float(e) <= 3.8,
        says="About 3.7: six times what every round reported. Losses compose; an accountant that forgets does not.",
        hints=[
            (lambda e: abs(float(e) - 0.62) < 0.02, "That is what each round reports about itself."),
            (
                lambda e: abs(float(e) - 31) < 1.0,
                "50 times 0.62 holds at 50 times the delta, and is far from tight: losses grow like the root.",
            ),
            (
                lambda e: abs(float(e) - 0.62 * math.sqrt(50)) < 0.2,
                "The root is near, but not how Gaussian losses compose.",
            ),
        ],
        otherwise="Compose all steps of all rounds in one call of the accountant.",
    )


def check_3(line: Any) -> Verdict:
    """Which line of the script is the bug? Its number."""
    return judge(
        line,
        right=lambda n: int(n) == 4,
        says="`PrivacyEngine()` stands inside fit, which is called once a round: SFM-501 of `secure-fedmeta check`.",
        hints=[
            (
                lambda n: int(n) == 5,
                "make_private itself is well used. On which engine is it called, and how old is that?",
            ),
            (lambda n: int(n) == 8, "get_epsilon reports faithfully what *this* engine has seen."),
            (lambda n: int(n) in (1, 2), "Importing and defining do no harm."),
        ],
        otherwise="Which object should live as long as the run, and does not?",
    )
