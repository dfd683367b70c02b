# SPDX-License-Identifier: Apache-2.0
"""Errors of the empirical audits.

PrivacyError
└── AuditError              SFM-330  an audit that cannot be carried out
    ├── CountsRefused       SFM-331  counts of trials or guesses that contradict each other
    ├── ErrorRateRefused    SFM-332  a confidence error or a delta outside its range
    ├── ScoresRefused       SFM-333  scores or residuals that are not finite or too few
    └── ContextRefused      SFM-334  a setting without which the figure means nothing
"""

from __future__ import annotations

from ..errors import PrivacyError


class AuditError(PrivacyError):
    """An audit that cannot be carried out; there is no partial result.

    Cause: The base of the empirical audits' errors; a message mostly carries one of the next four numbers.
    Remedy: Follow the remedy in the message.

    Example:
        >>> str(CountsRefused("5 of 3 guesses are correct", "count them again"))
        'SFM-331: 5 of 3 guesses are correct. Remedy: count them again.'
    """

    code = "SFM-330"


class CountsRefused(AuditError):
    """Counts of trials or guesses that contradict each other.

    Cause: More correct guesses than guesses, negative counts, or no trial.
    Remedy: Count again, and pass whole numbers.
    """

    code = "SFM-331"


class ErrorRateRefused(AuditError):
    """A confidence error or a delta outside its range.

    Cause: A p or delta of 0 or 1, or a percentage where a share is meant.
    Remedy: Give a number between 0 and 1, such as 0.001.
    """

    code = "SFM-332"


class ScoresRefused(AuditError):
    """Scores or residuals that are not finite, not of one length, or too few.

    Cause: A diverged model, canaries without a score, or lists of different lengths.
    Remedy: Repeat the audit with finite scores, one for each canary.
    """

    code = "SFM-333"


class ContextRefused(AuditError):
    """A setting without which the audited figure means nothing.

    Cause: A figure without view, unit or adjacency says nothing about a claim.
    Remedy: State the setting that the message names.
    """

    code = "SFM-334"
