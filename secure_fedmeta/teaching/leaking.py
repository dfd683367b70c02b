# SPDX-License-Identifier: Apache-2.0
"""Checks of notebook 01: gradients leak."""

from __future__ import annotations

from typing import Any

import numpy as np

from .verdicts import Verdict, judge, judge_function


def check_1(invert: Any) -> Verdict:
    """`invert(weight_gradient, bias_gradient)` gives the row behind one example's gradient."""
    rng = np.random.default_rng(0)
    cases = [(0.3 * (row := rng.normal(size=4)), 0.3), (-0.7 * row, -0.7)]
    return judge_function(
        invert,
        cases,
        right=lambda w, b: w / b,
        says="The residual p - y stands in both gradients, so it cancels: the row comes out exactly.",
        hints=[
            (lambda w, b: w * b, "You multiplied. The weight gradient is residual times row: undo that product."),
            (lambda w, b: b / w, "Upside down: you want the row, which stands in the weight gradient."),
            (lambda w, b: w - b, "The residual multiplies the row, it is not added to it."),
            (lambda w, b: w, "That is the gradient itself: the row times the residual. What is the residual?"),
        ],
        otherwise="Write both gradients down: weights (p - y) x, bias (p - y). Which operation leaves x?",
    )


def check_2(rows: Any) -> Verdict:
    """How many different pairs of rows have the same summed gradient?"""
    return judge(
        str(rows).strip().lower(),
        right=lambda a: a in {"many", "infinitely many", "infinite", "inf"},
        says="A sum of two has one equation for two unknown rows. But knowing one row gives the other.",
        hints=[
            (
                lambda a: a in {"1", "one"},
                "With one row it was one. Now move a little from the first row to the second.",
            ),
            (lambda a: a in {"2", "two"}, "The two rows may be swapped, but that is not all: split the sum otherwise."),
            (lambda a: a in {"0", "none"}, "There is at least the true pair."),
        ],
        otherwise='Answer "one", "two" or "many".',
    )


def check_3(what: Any) -> Verdict:
    """What stops this attack by the server for certain: "averaging", "masking" or "a larger model"?"""
    return judge(
        str(what).strip().lower(),
        right=lambda a: "mask" in a,
        says="The server then sees random words for each site, and the sum. What the sum still tells, noise must hide.",
        hints=[
            (
                lambda a: "averag" in a,
                "A batch helps a little, but one record with a large residual still shines through.",
            ),
            (lambda a: "larger" in a or "model" in a, "A larger model leaks more: more gradients, more equations."),
            (
                lambda a: "encrypt" in a and "tls" in a,
                "TLS protects the way to the server. The server itself reads it.",
            ),
        ],
        otherwise="Think of what the server holds in its hands.",
    )
