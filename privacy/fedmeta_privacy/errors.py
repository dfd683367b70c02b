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

    Cause: The base of all errors of the privacy room; a message carries one of the numbers below.
    Remedy: Explain the number that was printed.

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
    """A setting for which no guarantee can be given.

    Cause: Delta not below one over the units, too few honest sites for the noise, or a bound that does not hold.
    Remedy: Follow the remedy in the message; docs/which_epsilon.md explains the terms.
    """

    code = "SFM-301"


class UnsupportedClaim(PrivacyError):
    """A combination of unit, view, adjacency and mode that is not proved.

    Cause: Names that are right by themselves and have no proof together.
    Remedy: Choose a combination of the claim table (fedmeta_privacy.claims), such as record, slot and bounded-glm.
    """

    code = "SFM-302"


class UnsupportedEvent(PrivacyError):
    """An event that the accountant has no proof for.

    Cause: A misspelt type, a parameter out of range, or a mechanism for which no bound is known here.
    Remedy: Use one of the types that `secure-fedmeta epsilon --help` lists.
    """

    code = "SFM-303"


class BudgetExceeded(PrivacyError):
    """The filter refuses a charge; nothing was charged.

    Cause: The rounds so far have spent what was planned, or dropouts made rounds dearer than planned.
    Remedy: End the run; what was released is within the budget. Plan the next one with more noise or fewer rounds.

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
    """The sum of the encodings and their noise could leave the ring.

    Cause: Too few modulus_bits for this many sites, this clip and this noise.
    Remedy: Use more modulus_bits, a smaller clip_norm or fewer sites.
    """

    code = "SFM-305"


class UnsafeModel(PrivacyError):
    """A model with non-finite or huge entries; it was refused before data were touched.

    Cause: A diverging run, a wrong number of parameters, or a server that crafts models.
    Remedy: Lower outer_lr; if the model was fine when sent, mistrust the server.
    """

    code = "SFM-306"


class TooManyRecords(PrivacyError):
    """More records in a role than registered slots: the sensitivity would not hold.

    Cause: More patients than support_slots, query_slots or task_slots announce.
    Remedy: Raise the slots in the plan before the run, or register fewer; slots are public, so never take them from
    the data.
    """

    code = "SFM-307"


class JournalDamaged(PrivacyError):
    """A budget journal that does not replay.

    Cause: The file was edited, or two processes wrote it.
    Remedy: Restore nothing by hand: the budget is then not known, and the site must count it as spent.
    """

    code = "SFM-308"


class LedgerDamaged(PrivacyError):
    """A ledger line that does not verify.

    Cause: A line that was edited, cut or is not canonical, or a signature that does not verify.
    Remedy: Audit the run to see which line, and get the file again from another holder.
    """

    code = "SFM-309"


class JournalRolledBack(PrivacyError):
    """A budget journal that lacks what its witness has seen: an older copy was put back.

    Cause: A backup or snapshot of the site's folder was put back.
    Remedy: Restore a copy that has all rounds; without one, treat the budget as spent.
    """

    code = "SFM-310"


class NotAFilter(PrivacyError):
    """An odometer was asked to decide.

    Cause: `RunningEpsilon` passed where a filter is needed.
    Remedy: Decide with a GdpFilter, an RdpFilter or a DominatingEventFilter; report with the odometer.

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
    """Events that are proved for different adjacencies have no common epsilon.

    Cause: Add/remove and replace-one events in one list.
    Remedy: Account for them separately, or convert with events.as_replace_one what can be converted.
    """

    code = "SFM-312"

    def __init__(self, found: list[str]) -> None:
        super().__init__(
            f"the events are proved for different adjacencies: {', '.join(found)}",
            "account for them separately, or convert with events.as_replace_one what can be converted",
        )


class NotDominated(PrivacyError):
    """A round that costs more than the event declared before the run, or one round too many; nothing was charged.

    Cause: A round that costs more than the event that was declared (fewer survivors, less noise), or one round too
    many.
    Remedy: End the run here; declare a costlier event or more rounds before the next.
    """

    code = "SFM-313"


class SurplusRefused(PrivacyError):
    """Noise in removable parts for which nothing is proved: parts too small, or nobody honest left.

    Cause: Uploads that nothing hides, a graph that is not complete, too many parts of noise, or nobody honest left.
    Remedy: Use dropout_noise = "over-provision", fewer sites, or assume fewer dropouts and corrupt sites.
    """

    code = "SFM-320"


class UnprovedAdaptation(PrivacyError):
    """An adaptation rule outside the record-level proofs.

    Cause: At unit record: a loss without a gradient bound, learned rates, or another rule than plain gradient
    steps.
    Remedy: Follow the remedy in the message, or use unit = "task" or "client", where the clip covers any
    adaptation.
    """

    code = "SFM-322"


class DisclosureRefused(PrivacyError):
    """Disclosure documents cannot be made: the ledger lacks a line, or a statement is unknown or too long.

    Cause: A run without an end line, or an operator's file with an unknown or overlong field.
    Remedy: Finish or resume the run; docs/disclosure.md lists the fields.
    """

    code = "SFM-329"


class LedgerVersion(PrivacyError):
    """A ledger of another version: nothing in it is judged.

    Cause: A run of an older or newer release.
    Remedy: Audit it with the release that it names.
    """

    code = "SFM-325"


class LedgerTooLarge(PrivacyError):
    """A ledger, or a line of it, that is larger than any run writes.

    Cause: A file that is no ledger, or one that was padded.
    Remedy: Look where the file comes from; nothing of it was judged.
    """

    code = "SFM-326"
