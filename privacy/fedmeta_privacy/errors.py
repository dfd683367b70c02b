# SPDX-License-Identifier: Apache-2.0
"""Errors of the privacy room.

PrivacyError(code, what, remedy)
├── PlanError              SFM-301  a setting that no guarantee can be given for
├── UnsupportedClaim       SFM-302  unit, view, adjacency and mode that the claim table does not hold
├── UnsupportedEvent       SFM-303  an event that the accountant has no proof for
├── BudgetExceeded         SFM-304  the filter refuses the charge
├── EncodingOverflow       SFM-305  the sum of the encodings could leave the ring
├── UnsafeModel            SFM-306  a model that must not touch data
├── TooManyRecords         SFM-307  more records than registered slots
├── JournalDamaged         SFM-308  a budget journal that does not replay
├── LedgerDamaged          SFM-309  a ledger line that does not verify
├── JournalRolledBack      SFM-310  a budget journal older than its witness
├── NotAFilter             SFM-311  an odometer that was asked to decide
├── MixedAdjacency         SFM-312  one epsilon for events of two adjacencies
├── NotDominated           SFM-313  a round beyond the event declared before the run
├── SurplusRefused         SFM-320  noise in removable parts that nothing is proved for
├── UnprovedAdaptation     SFM-322  an adaptation that no record-level bound is proved for
├── LedgerVersion          SFM-325  a ledger of another version
├── LedgerTooLarge         SFM-326  a ledger, or a line of one, beyond every bound
├── DisclosureRefused      SFM-329  documents that cannot be made of a ledger or of an operator's statements
└── AuditError             SFM-330 to 334  counts, scores or contexts that no audit takes (audit.errors)
"""

from __future__ import annotations

from typing import ClassVar


class PrivacyError(ValueError):
    """What went wrong, in words, and what to do about it.

    Attributes:
        code: the error's number, stable across versions.
        what: the cause, with the place.
        remedy: the way out.

    Example:
        >>> str(PlanError("delta is 2", "choose delta below 1/N"))
        'SFM-301: delta is 2. Remedy: choose delta below 1/N.'
    """

    code: ClassVar[str] = "SFM-300"

    def __init__(self, what: str, remedy: str) -> None:
        super().__init__(what, remedy)
        self.what = what
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.code}: {self.what}. Remedy: {self.remedy}."


class PlanError(PrivacyError):
    """A setting for which no guarantee can be given."""

    code = "SFM-301"


class UnsupportedClaim(PrivacyError):
    """A combination of unit, view, adjacency and mode that is not proved."""

    code = "SFM-302"


class UnsupportedEvent(PrivacyError):
    """An event that the accountant has no proof for."""

    code = "SFM-303"


class BudgetExceeded(PrivacyError):
    """The filter refuses a charge; nothing was charged.

    Attributes:
        spent: what is charged so far, in units of the filter's measure.
        asked: what the refused round would have added.
        limit: the budget, in the same units.
    """

    code = "SFM-304"

    def __init__(self, *, spent: float, asked: float, limit: float, measure: str = "squared Gaussian shift") -> None:
        super().__init__(
            f"the privacy budget has no room for this round: {spent:.6g} of {limit:.6g} is charged "
            f"and the round would add {asked:.6g} (in units of {measure})",
            "end the run here, or plan fewer rounds, more noise or a larger epsilon before the next run",
        )
        self.spent = spent
        self.asked = asked
        self.limit = limit


class EncodingOverflow(PrivacyError):
    """The sum of the encodings and their noise could leave the ring."""

    code = "SFM-305"


class UnsafeModel(PrivacyError):
    """A model with non-finite or huge entries; it was refused before data were touched."""

    code = "SFM-306"


class TooManyRecords(PrivacyError):
    """More records in a role than registered slots: the sensitivity would not hold."""

    code = "SFM-307"


class JournalDamaged(PrivacyError):
    """A budget journal that does not replay."""

    code = "SFM-308"


class LedgerDamaged(PrivacyError):
    """A ledger line that does not verify."""

    code = "SFM-309"


class JournalRolledBack(PrivacyError):
    """A budget journal that lacks what its witness has seen: an older copy was put back."""

    code = "SFM-310"


class NotAFilter(PrivacyError):
    """An odometer was asked to decide.

    It composes what was realised. Which rounds were realised may depend on earlier outputs, and then the sum of what
    each path was promised is not what all paths together keep.
    """

    code = "SFM-311"

    def __init__(self, name: str) -> None:
        super().__init__(
            f"{name} reports what realised rounds cost and cannot decide whether another may start",
            "decide with a GdpFilter, an RdpFilter or a DominatingEventFilter",
        )


class MixedAdjacency(PrivacyError):
    """Events that are proved for different adjacencies have no common epsilon."""

    code = "SFM-312"

    def __init__(self, found: list[str]) -> None:
        super().__init__(
            f"the events are proved for different adjacencies: {', '.join(found)}",
            "account for them separately, or convert with events.as_replace_one what can be converted",
        )


class NotDominated(PrivacyError):
    """A round that costs more than the event declared before the run, or one round too many; nothing was charged."""

    code = "SFM-313"


class SurplusRefused(PrivacyError):
    """Noise in removable parts for which nothing is proved: parts too small, or nobody honest left."""

    code = "SFM-320"


class UnprovedAdaptation(PrivacyError):
    """An adaptation rule outside the record-level proofs."""

    code = "SFM-322"


class DisclosureRefused(PrivacyError):
    """Disclosure documents cannot be made: the ledger lacks a line, or a statement is unknown or too long."""

    code = "SFM-329"


class LedgerVersion(PrivacyError):
    """A ledger of another version: nothing in it is judged."""

    code = "SFM-325"


class LedgerTooLarge(PrivacyError):
    """A ledger, or a line of it, that is larger than any run writes."""

    code = "SFM-326"
