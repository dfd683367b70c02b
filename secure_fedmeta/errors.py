# SPDX-License-Identifier: Apache-2.0
"""Errors of the product: numbered, with cause, place and remedy.

    UserError(what, where, remedy)
    ├── SettingError   SFM-101  a setting's value or name
    ├── UsageError     SFM-102  a command line that cannot be read
    ├── FileError      SFM-103  a file that is not there, not readable, or in the way
    ├── DataError      SFM-13x  a site's own records (datasets); 139 a file of a LEAF set (datasets.leaf)
    ├── RunError       SFM-110  a run that cannot go on
    ├── RemoteRefusal  SFM-111  a site in another process refused or is gone
    ├── IdentityRefused SFM-112 a key file or an allow-list that cannot be used
    ├── ModelRefused   SFM-114  a network that cannot be run with a guarantee
    ├── PromptRefused  SFM-115  a prompt, or a frozen network, that does not fit
    ├── WeightsRefused SFM-116  a file of frozen weights that cannot be used
    ├── AlgorithmRefused SFM-117 a setting of a meta-learning algorithm, or one that it cannot use
    ├── EngineRefused  SFM-118  an engine that cannot compute this here
    ├── EngineUnsafe   SFM-119  an engine whose rows may depend on each other, in a run with a guarantee
    ├── StatementRefused SFM-120 a line of the ledger that a site does not countersign
    ├── HeadsDamaged   SFM-121  a site's file of countersigned heads that cannot be read
    ├── AuditRefused   SFM-122  a run that cannot be audited at all
    ├── a population    SFM-140 to 143  clients, cohorts, checkpoints and rounds that cannot be had (population)
    ├── a source        SFM-125 to 127  that `check` cannot read, is too large or broken (check.sources)
    ├── TrainingRefused SFM-146 training or evaluation that has no finite result, or cannot begin
    ├── BaselineRefused SFM-147 a setting of a baseline
    ├── AggregationRefused SFM-148 a way to add uploads that no run keeps, or that does not fit the plan
    ├── going on        SFM-149, 144, 145  with a killed run: not here, behind its sites, its server's state (resuming)
    └── an attack       SFM-128, 129    that a run or a plan does not lend itself to (attacks.target, attacks.planned)


Numbers 2xx are the crypto room's, 3xx the privacy room's.
"""

from __future__ import annotations


class UserError(Exception):
    """What is wrong, where, and what to do.

    Example:
        >>> str(SettingError("delta is 2", "plan.toml, delta", "choose delta below 1/N"))
        'SFM-101: delta is 2 (plan.toml, delta). Remedy: choose delta below 1/N.'
    """

    code = "SFM-100"

    def __init__(self, what: str, where: str, remedy: str) -> None:
        super().__init__(what, where, remedy)
        self.what = what
        self.where = where
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.code}: {self.what} ({self.where}). Remedy: {self.remedy}."


class SettingError(UserError):
    """A setting's value or name."""

    code = "SFM-101"


class UsageError(UserError):
    """A command line that cannot be read."""

    code = "SFM-102"


class FileError(UserError):
    """A file or folder that is missing, unreadable or in the way."""

    code = "SFM-103"


class RunError(UserError):
    """A run that cannot go on."""

    code = "SFM-110"


class RemoteRefusal(UserError):
    """A site in another process refused a message, or its process is gone."""

    code = "SFM-111"


class IdentityRefused(UserError):
    """A key file or an allow-list that cannot be used."""

    code = "SFM-112"


class ModelRefused(UserError):
    """A network that cannot be run with a guarantee, or not in the way that was asked for."""

    code = "SFM-114"


class AlgorithmRefused(UserError):
    """A setting of a meta-learning algorithm that is out of range, or that the algorithm has no use for."""

    code = "SFM-117"


class PromptRefused(UserError):
    """A prompt, or the frozen network that it is for, that does not fit."""

    code = "SFM-115"


class WeightsRefused(UserError):
    """A file of frozen weights that is missing, damaged or of another network."""

    code = "SFM-116"


class EngineRefused(UserError):
    """An engine that cannot compute what was asked for, or not on this machine."""

    code = "SFM-118"


class EngineUnsafe(UserError):
    """An engine for which nothing shows that one unit's row is independent of the others, in a private run."""

    code = "SFM-119"


class StatementRefused(UserError):
    """A line of the ledger differs from what a site knows: it does not countersign."""

    code = "SFM-120"


class HeadsDamaged(UserError):
    """A site's own file of the heads that it countersigned cannot be read."""

    code = "SFM-121"


class AuditRefused(UserError):
    """What was given cannot be audited: no verdict, not even a partial one."""

    code = "SFM-122"


class TrainingRefused(UserError):
    """Central training or evaluation that cannot begin, or that has no finite result."""

    code = "SFM-146"


class BaselineRefused(UserError):
    """A setting of a baseline that is out of range."""

    code = "SFM-147"


class AggregationRefused(UserError):
    """A way to add uploads that this release runs nowhere, or whose preset does not fit sites, bits and length."""

    code = "SFM-148"


class DataRefused(UserError):
    """Records of a simulated population that no round can be made of."""

    code = "SFM-140"


class CohortRefused(UserError):
    """A way to draw cohorts that cannot be had, or nothing is proved for."""

    code = "SFM-141"


class CheckpointDamaged(UserError):
    """A checkpoint that cannot be read, was edited, or belongs to another run."""

    code = "SFM-142"


class RoundRefused(UserError):
    """A simulated round that cannot be had."""

    code = "SFM-143"


class LedgerBehind(UserError):
    """A ledger that lacks, or contradicts, what the parties of its run keep themselves: an older or another copy."""

    code = "SFM-144"


class StateDamaged(UserError):
    """The server's state after a round: missing, damaged, edited or of another run."""

    code = "SFM-145"


class ResumeRefused(UserError):
    """A folder without a run that could go on with these settings."""

    code = "SFM-149"
