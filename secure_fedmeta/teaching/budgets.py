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


class Engine:
    """An accountant of one object, as a student meets it: `train` is a round, `epsilon` what it has seen since it was made.

    Example:
        >>> engine = Engine()
        >>> engine.train(), engine.train(), round(engine.epsilon(), 2)
        (None, None, 0.88)
    """

    def __init__(self) -> None:
        self._rounds = 0

    def train(self) -> None:
        """One round."""
        self._rounds += 1

    def epsilon(self) -> float:
        """Of all rounds of this engine."""
        return 0.62 * math.sqrt(self._rounds)


def check_4(reports: Any) -> Verdict:
    """`reports(new_engine, rounds)`: what the mended client says after each round; `new_engine()` makes an engine."""

    def played(new_engine: Any, rounds: int, *, early: bool = False) -> list[float]:
        engine, told = new_engine(), []
        for _ in range(rounds):
            if early:
                told.append(engine.epsilon())
            engine.train()
            if not early:
                told.append(engine.epsilon())
        return told

    def anew(new_engine: Any, rounds: int) -> list[float]:
        return [played(new_engine, 1)[0] for _ in range(rounds)]

    return judge_function(
        reports,
        [(Engine, 3), (Engine, 10)],
        right=played,
        says="One engine for the whole run: it remembers every round, and its report grows.",
        hints=[
            (anew, "Every report is the same: each round has an engine of its own, which is the bug."),
            (
                lambda new_engine, rounds: list(np.cumsum(anew(new_engine, rounds))),
                "You added the rounds' own reports. That is safe and far too much: let one engine compose them.",
            ),
            (
                lambda new_engine, rounds: played(new_engine, rounds, early=True),
                "Your reports lag behind: the round just trained is not in them.",
            ),
            (
                lambda new_engine, rounds: played(new_engine, rounds)[-1],
                "That is the last report alone; the client reports after every round.",
            ),
        ],
        otherwise="Make one engine before the loop; in each round train, then append what the engine says.",
    )
