# SPDX-License-Identifier: Apache-2.0
"""What the server says of a round that is over."""

from __future__ import annotations

from dataclasses import dataclass

from .accounts import Spent


@dataclass(frozen=True, slots=True)
class RoundClosed:
    """A round is over.

    Attributes:
        round: its number.
        invited: size of the cohort.
        survivors: whose uploads are in the sum; empty when the round was aborted.
        spent: epsilon so far, per view.
        aborted: why no sum was opened; None if one was.
        norm: length of the decoded mean, for the log.
        findings: who broke the protocol, in sentences.
        countersigned: the sites that signed the round's line of the ledger.
    """

    round: int
    invited: int
    survivors: tuple[int, ...]
    spent: Spent
    aborted: str | None
    norm: float
    findings: tuple[str, ...] = ()
    countersigned: tuple[int, ...] = ()
