# SPDX-License-Identifier: Apache-2.0
"""Checks of notebook 13: the case of a hospital."""

from __future__ import annotations

from typing import Any

from .verdicts import Verdict, judge

# What a paragraph for a data protection officer cannot leave out, and words that name it.
_NAMED = {
    "the unit of privacy": ("patient", "person", "record"),
    "epsilon": ("epsilon",),
    "delta": ("delta",),
    "who looks": ("server", "outsider", "member"),
    "what is not covered": ("not cover", "not protect", "does not", "except"),
}


def check_1(who: Any) -> Verdict:
    """Who sees each upload unmasked, if all goes as planned?"""
    return judge(
        str(who).strip().lower(),
        right=lambda a: "nobody" in a or "no one" in a,
        says="Nobody. The local epsilon is stated for the case that masks fail, not because somebody looks.",
        hints=[
            (lambda a: "server" in a, "The server sees masked uploads: words that look random to it."),
            (lambda a: "hospital" in a or "member" in a, "Hospitals see models, not each other's uploads."),
            (lambda a: "audit" in a, "An auditor sees the ledger: counts, digests and signatures."),
        ],
        otherwise="Look at the table of views in the report.",
    )


def check_2(epsilon: Any) -> Verdict:
    """Two runs at epsilon 3 on the same patients: what may be promised for both together by simply adding?"""
    return judge(
        epsilon,
        right=lambda e: abs(float(e) - 6.0) < 1e-9,
        says="They add up (deltas too). An accountant may find a little less; nobody may promise 3.",
        hints=[
            (lambda e: abs(float(e) - 3.0) < 1e-9, "Each run spent 3. A patient who is in both pays twice."),
            (lambda e: abs(float(e) - 9.0) < 1e-9, "They add, they do not multiply."),
            (
                lambda e: abs(float(e) - 4.243) < 1e-2,
                "The root is about right for many small runs; for two, simply add.",
            ),
        ],
        otherwise="Composition: epsilons add.",
    )


def check_3(paragraph: Any) -> Verdict:
    """A paragraph for the data protection officer: every item that must be named is."""
    text = str(paragraph).lower() if isinstance(paragraph, str) else ""
    missing = [what for what, words in _NAMED.items() if not any(word in text for word in words)]

    def lacks(what: str) -> Any:
        return lambda _: what in missing

    return judge(
        paragraph,
        right=lambda p: isinstance(p, str) and not missing,
        says="All of it is named. `disclosure.json` has the same in full, gaps by name.",
        hints=[(lacks(what), f"It does not name {what}.") for what in _NAMED],
        otherwise="Hand in a text.",
    )
