# SPDX-License-Identifier: Apache-2.0
"""Checks of notebook 11: audit a run."""

from __future__ import annotations

from typing import Any

from .verdicts import Verdict, judge


def check_1(status: Any) -> Verdict:
    """One digit of the ledger was changed. Which exit status does the audit end with?"""
    return judge(
        status,
        right=lambda s: int(s) == 3,
        says="3, tampered: the line's hash no longer is what the next line, and the signatures, are about.",
        hints=[
            (lambda s: int(s) == 4, "4 is for a claim that is too small in a ledger that is whole."),
            (lambda s: int(s) == 5, "5 is for what could not be checked, such as keys from the run itself."),
            (lambda s: int(s) == 0, "0 would mean that nothing was found."),
        ],
        otherwise="0 ok, 3 tampered, 4 claim too small, 5 incomplete.",
    )


def check_2(why: Any) -> Verdict:
    """Why are the keys in the run's own folder not enough: "old", "forged" or "secret"?"""
    return judge(
        str(why).strip().lower(),
        right=lambda a: "forg" in a,
        says="Whoever wrote the ledger may have made ten keys as well. The roster must come from the sites.",
        hints=[
            (lambda a: "old" in a, "They are as old as the run. Who put them there?"),
            (lambda a: "secret" in a, "They are public keys; anybody may have them. Who put them there?"),
            (lambda a: "lost" in a, "They are there. Who put them there?"),
        ],
        otherwise='Answer "old", "forged" or "secret".',
    )


def check_3(what: Any) -> Verdict:
    """The operator drops the last round *and* makes the chain anew. What gives it away: "hash", "heads" or "nothing"?"""
    return judge(
        str(what).strip().lower(),
        right=lambda a: "head" in a,
        says="Each site kept the head that it countersigned: theirs has a round more.",
        hints=[
            (lambda a: "hash" in a, "The new chain is whole: every hash fits. Who remembers another one?"),
            (lambda a: "nothing" in a, "The operator holds the ledger. Who else holds a line about it?"),
            (lambda a: "epsilon" in a, "The epsilon of the shorter ledger is right, for the shorter ledger."),
        ],
        otherwise='Answer "hash", "heads" or "nothing".',
    )
