# SPDX-License-Identifier: Apache-2.0
"""Checks of notebook 11: audit a run."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

from .verdicts import Verdict, judge, judge_function

Chain = Sequence[tuple[bytes, str]]


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


def chained(*contents: bytes) -> list[tuple[bytes, str]]:
    """Lines as (content, hash of the content before it in hex); the first names nobody.

    Example:
        >>> [prev[:8] for _, prev in chained(b"one", b"two")]
        ['', '7692c3ad']
    """
    return [
        (content, hashlib.sha256(contents[at - 1]).hexdigest() if at else "") for at, content in enumerate(contents)
    ]


def check_4(first_broken: Any) -> Verdict:
    """`first_broken(lines)`: the index of the first line that does not name the hash of the one before; -1 if none."""
    whole = chained(b"run", b"round 1", b"round 2", b"end")
    changed = [whole[0], (b"round 1!", whole[1][1]), *whole[2:]]
    thinned = [whole[0], *whole[2:]]
    twice = [whole[0], (b"x", "00"), (b"y", "00"), whole[3]]

    def broken(lines: Chain) -> list[int]:
        return [
            at
            for at in range(1, len(lines))
            if lines[at][1] != hashlib.sha256(lines[at - 1][0]).hexdigest()
        ]  # fmt: skip

    def first(lines: Chain) -> int:
        return (broken(lines) or [-1])[0]

    return judge_function(
        first_broken,
        [(whole,), (changed,), (thinned,), (twice,)],
        right=first,
        says="The line after the changed one gives it away: it still names the old content.",
        hints=[
            (
                lambda lines: first(lines) - 1 if first(lines) > 0 else -1,
                "You name the line before it. Which of the two is false, nobody can know: name the one that does not fit.",
            ),
            (
                lambda lines: (broken(lines) or [-1])[-1],
                "That is the last line that does not fit. Everything after the first one is in doubt.",
            ),
            (lambda lines: bool(broken(lines)), "That says whether; the question is where."),
            (
                lambda lines: next(
                    (at for at, (content, prev) in enumerate(lines) if prev != hashlib.sha256(content).hexdigest()), -1
                ),
                "You compare a line with its own hash: `prev` is of the line *before*.",
            ),
        ],
        otherwise="Walk over the lines from the second one on; compare each `prev` with sha256 of the content before.",
    )
