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

    Example:
        >>> str(CountsRefused("5 of 3 guesses are correct", "count them again"))
        'SFM-331: 5 of 3 guesses are correct. Remedy: count them again.'
    """

    code = "SFM-330"


class CountsRefused(AuditError):
    """Counts of trials or guesses that contradict each other."""

    code = "SFM-331"


class ErrorRateRefused(AuditError):
    """A confidence error or a delta outside its range."""

    code = "SFM-332"


class ScoresRefused(AuditError):
    """Scores or residuals that are not finite, not of one length, or too few."""

    code = "SFM-333"


class ContextRefused(AuditError):
    """A setting without which the audited figure means nothing."""

    code = "SFM-334"
