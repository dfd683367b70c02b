# SPDX-License-Identifier: Apache-2.0
"""Errors of the product: numbered, with cause, place and remedy.

    UserError(what, where, remedy)
    ├── SettingError   SFM-101  a setting's value or name
    ├── UsageError     SFM-102  a command line that cannot be read
    ├── FileError      SFM-103  a file that is not there, not readable, or in the way
    ├── DataError      SFM-13x  a site's own records (datasets); 139 a file of a LEAF set (datasets.leaf)
    │                         150 somebody's own table (datasets.table)
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

    Cause: The base of all errors of the product; a message carries one of the numbers below.
    Remedy: Explain the number that was printed.

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
    """A setting's value or name.

    Cause: A misspelt name, a value out of its range or of another type, or settings that exclude each other.
    Remedy: Correct the setting that the message names; `secure-fedmeta run hospital --help` lists ranges and
    defaults.
    """

    code = "SFM-101"


class UsageError(UserError):
    """A command line that cannot be read.

    Cause: An unknown verb, option or pilot, or an argument that is missing or of the wrong form.
    Remedy: Read `secure-fedmeta VERB --help`.
    """

    code = "SFM-102"


class FileError(UserError):
    """A file or folder that is missing, unreadable or in the way.

    Cause: A wrong path, missing rights, a full disk, or a folder that already holds a run.
    Remedy: Check the path and the free space, or choose another folder with --out.
    """

    code = "SFM-103"


class RunError(UserError):
    """A run that cannot go on.

    Cause: Folders of another run, or of one that has used its budget; parties that do not fit the plan, such as a
    missing decryptor.
    Remedy: Follow the remedy in the message; what was charged stays charged, so two runs on the same records count
    twice.
    """

    code = "SFM-110"


class RemoteRefusal(UserError):
    """A site in another process refused a message, or its process is gone.

    Cause: A site's own checks said no, or its process crashed, was killed or ran out of memory.
    Remedy: Read the site's own message, which carries its own number; then resume.
    """

    code = "SFM-111"


class IdentityRefused(UserError):
    """A key file or an allow-list that cannot be used.

    Cause: An identity.key that others may read, a file that is damaged, or keys that differ from the run's.
    Remedy: Make a new key that only its owner can read, and enrol it, or restore the file; get the allow-list again
    by a way that the server cannot bend.
    """

    code = "SFM-112"


class ModelRefused(UserError):
    """A network that cannot be run with a guarantee, or not in the way that was asked for.

    Cause: Layers that mix rows (batch normalisation), hidden state, or a shape that does not fit the codebook.
    Remedy: Use layers that look at one row alone, such as GroupNorm; docs/engines.md lists what is known.
    """

    code = "SFM-114"


class AlgorithmRefused(UserError):
    """A setting of a meta-learning algorithm that is out of range, or that the algorithm has no use for.

    Cause: A rate or number of steps out of range, or a setting that belongs to another algorithm.
    Remedy: Leave the setting out, or name the algorithm that has it; docs/meta_learning.md lists both.
    """

    code = "SFM-117"


class PromptRefused(UserError):
    """A prompt, or the frozen network that it is for, that does not fit.

    Cause: A size out of range, a prompt or rows of another shape, or values that are not finite.
    Remedy: Give what the message asks for; docs/prompt_tuning.md shows how.
    """

    code = "SFM-115"


class WeightsRefused(UserError):
    """A file of frozen weights that is missing, damaged or of another network.

    Cause: A download cut off, another format than safetensors, or tensors with other names or shapes.
    Remedy: Get the file again and compare its digest with the one that was agreed on.
    """

    code = "SFM-116"


class EngineRefused(UserError):
    """An engine that cannot compute what was asked for, or not on this machine.

    Cause: A layer that the engine cannot vectorise, or hardware and libraries that are not here.
    Remedy: Use `Performance(engine="loop")` or "auto"; docs/engines.md says what each engine takes.
    """

    code = "SFM-118"


class EngineUnsafe(UserError):
    """An engine for which nothing shows that one unit's row is independent of the others, in a private run.

    Cause: An engine that computes several units of a site at once, and nothing shows that it keeps them apart bit
    for bit.
    Remedy: Use engine "stacked", "loop" or "auto", or make the client the unit.
    """

    code = "SFM-119"


class StatementRefused(UserError):
    """A line of the ledger differs from what a site knows: it does not countersign.

    Cause: The server's line names other survivors, noise, models or charges than the site worked out.
    Remedy: Stop the site, keep its folder, and compare its heads with the server's ledger.
    """

    code = "SFM-120"


class HeadsDamaged(UserError):
    """A site's own file of the heads that it countersigned cannot be read.

    Cause: The file was edited, or the machine stopped in the middle of a write.
    Remedy: Restore the file from a copy; without one the site cannot show any more what it signed.
    """

    code = "SFM-121"


class AuditRefused(UserError):
    """What was given cannot be audited: no verdict, not even a partial one.

    Cause: The folder is no run, or a file named on the command line is missing or is not what it should be.
    Remedy: Give the whole folder of the run; docs/auditing.md says what to ask for.
    """

    code = "SFM-122"


class VisitRefused(UserError):
    """A message to a site in a process of its own that cannot be taken with what the site remembers.

    Cause: A message twice, out of order or of an older state; a note of another site; a process that was killed
    between two messages; or an aggregation that a later process cannot take up.
    Remedy: None is needed: the site is missing from this round and takes part in the next. If it happens in every
    round, look for a second process with the same folder.
    """

    code = "SFM-123"


class SitesMissing(UserError):
    """A run over machines of their own that cannot begin: its sites are not all there, or not as they should be.

    Cause: A site's node is not connected or configured, two nodes have one site's folder or key, or a site's budget was
    used by an earlier run.
    Remedy: Look at the reasons in brackets; start the missing nodes; give each site its own folder and key.
    """

    code = "SFM-151"

    def __init__(self, what: str) -> None:
        super().__init__(what, "server", "start each site's node with its own folder; see docs/flower.md")


class PolicyRefused(UserError):
    """A run that goes beyond what a site's administrator allows.

    Cause: A limit in the site's own policy.toml: sites, epsilon, rounds, algorithm, strength or model.
    Remedy: Change the plan, or have the site's administrator change the policy.
    """

    code = "SFM-124"

    def __init__(self, limit: str, what: str) -> None:
        super().__init__(f"{limit}: {what}", "policy.toml", "change the plan, or ask the site's administrator")


class TrainingRefused(UserError):
    """Central training or evaluation that cannot begin, or that has no finite result.

    Cause: A learning rate at which training diverges, tasks without samples, or settings out of range.
    Remedy: Lower the rate, or correct the setting that is named.
    """

    code = "SFM-146"


class BaselineRefused(UserError):
    """A setting of a baseline that is out of range.

    Cause: A number of steps or a rate out of range, or a head that does not fit the network.
    Remedy: Give a value in the range that the message states.
    """

    code = "SFM-147"


class AggregationRefused(UserError):
    """A way to add uploads that this release runs nowhere, or whose preset does not fit sites, bits and length.

    Cause: Too many sites, bits or coordinates for the preset, or an encryption without signatures.
    Remedy: Use fewer bits or sites, rlwe64, or mask; docs/homomorphic.md lists what each preset holds.
    """

    code = "SFM-148"


class DataRefused(UserError):
    """Records of a simulated population that no round can be made of.

    Cause: Rows, labels or counts whose shapes do not fit each other or the network, or values that are not finite.
    Remedy: Leave such clients out, or correct them; the message says which.
    """

    code = "SFM-140"


class CohortRefused(UserError):
    """A way to draw cohorts that cannot be had, or nothing is proved for.

    Cause: A rate or size out of range, or a draw for which nothing is proved, such as a Poisson sample whose
    members draw the noise.
    Remedy: Use one of the draws of docs/population.md; state what the message asks for.
    """

    code = "SFM-141"


class CheckpointDamaged(UserError):
    """A checkpoint that cannot be read, was edited, or belongs to another run.

    Cause: A file cut off or edited, or a checkpoint of other settings or other data.
    Remedy: Go on from an older checkpoint whose digest holds, or begin anew in another folder.
    """

    code = "SFM-142"


class RoundRefused(UserError):
    """A simulated round that cannot be had.

    Cause: Noise without a clip norm or without keys, a draw that does not fit the ring, or settings that exclude
    each other.
    Remedy: State what the message names; docs/population.md shows a whole round.
    """

    code = "SFM-143"


class LedgerBehind(UserError):
    """A ledger that lacks, or contradicts, what the parties of its run keep themselves: an older or another copy.

    Cause: The run's folder was put back to an older copy while its sites' or its server's folders were not.
    Remedy: Restore ledger.jsonl and the server's folder from a copy that has all rounds; do not go on without them.
    """

    code = "SFM-144"


class StateDamaged(UserError):
    """The server's state after a round: missing, damaged, edited or of another run.

    Cause: The server's folder was lost, edited, or belongs to another run.
    Remedy: Restore the server's folder from a copy, or start afresh in another folder and count both runs.
    """

    code = "SFM-145"


class ResumeRefused(UserError):
    """A folder without a run that could go on with these settings.

    Cause: No run in the folder, one that has ended, one of other settings, or one killed before its first line.
    Remedy: Give the folder and the plan of a killed run, or start afresh in another folder.
    """

    code = "SFM-149"
