# SPDX-License-Identifier: Apache-2.0
"""What `check` may say: each kind of finding with its number, its reason and its remedy, in one list.

SFM-50x  what leaves a site, round by round
SFM-51x  how Opacus is called
SFM-52x  what happens to data and parameters around it
SFM-55x  plans of this project
SFM-56x  the table that a plan is for
SFM-57x  runs that lie beside each other
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Level(Enum):
    """How much a finding weighs: a leak makes the exit status 1, a note does not."""

    LEAK = "leak"
    NOTE = "note"


@dataclass(frozen=True, slots=True)
class Rule:
    """One kind of finding. `why` states the consequence, measured where there is a figure."""

    code: str
    title: str
    why: str
    remedy: str
    level: Level = Level.LEAK


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """One place where a rule is broken.

    Example:
        >>> Finding("client.py", 7, "SFM-501", "PrivacyEngine() in fit").rule.level.value
        'leak'
    """

    path: str
    line: int
    code: str
    what: str

    @property
    def rule(self) -> Rule:
        """Title, reason, remedy and weight."""
        return RULES[self.code]

    def as_json(self) -> dict[str, str | int]:
        """All of it, flat."""
        rule = self.rule
        return {
            "code": self.code,
            "level": rule.level.value,
            "path": self.path,
            "line": self.line,
            "what": self.what,
            "why": rule.why,
            "remedy": rule.remedy,
        }


_RULES = (
    Rule(
        "SFM-501",
        "privacy engine made anew in each round",
        "the accountant forgets the rounds before, so the epsilon that it reports is one round's: with 4000 records, "
        "batches of 32, noise 1.0 and delta 1e-5 it says 0.62 after 50 rounds whose true epsilon is 3.69",
        "make the engine once and keep it where it outlives the round, or restore its accountant's state "
        "(accountant.load_state_dict) before the first step",
    ),
    Rule(
        "SFM-502",
        "number computed on private data leaves the site without noise",
        "a loss or score is a release of its own, outside the accountant: whoever knows the other records and the "
        "model computes the missing one's share, so no finite epsilon holds for the round, whatever the update's "
        "noise",
        "leave it on the site, or send it through a mechanism whose epsilon is added to the update's",
    ),
    Rule(
        "SFM-503",
        "exact count of private records leaves the site",
        "adding or removing one person changes the count by exactly one: the two worlds are told apart with "
        "certainty (epsilon infinite under add/remove); a mean weighted by it carries it into every model",
        "send a public constant (registered slots, or 1 for equal weights), or a count with accounted noise",
    ),
    Rule(
        "SFM-510",
        "the noise of DP-SGD comes from a seed",
        "Opacus draws its noise from torch's global generator: whoever knows the seed draws the same noise and "
        "subtracts it, so epsilon is infinite against them; two sites with one seed add identical noise",
        "seed only the split and the initial weights, then call torch.seed() before make_private; never fix the noise",
    ),
    Rule(
        "SFM-511",
        "batches are shuffled while the accountant assumes Poisson sampling",
        "amplification is claimed for a sampling that does not happen: noise 1.0, batches of 1 %, 10 epochs, delta "
        "1e-5 is reported as epsilon 1.83; what is proved for fixed disjoint batches is 17.86",
        "leave poisson_sampling at True, or account without amplification (q = 1 for each epoch)",
    ),
    Rule(
        "SFM-512",
        "noise from a generator that is not cryptographic",
        "torch's Mersenne Twister is predictable from its outputs, and float Gaussian noise has gaps that betray the "
        "value below (Mironov 2012); Opacus' secure mode needs torchcsprng, which has no release on the package "
        "index",
        "state it in the disclosure, or add noise with a cryptographic integer sampler",
        Level.NOTE,
    ),
    Rule(
        "SFM-513",
        "batch normalisation in a model that is to be private",
        "each record's gradient depends on the others in its batch, so clipping bounds nobody's influence, and the "
        "running statistics are published without noise",
        "use GroupNorm, or ModuleValidator.fix(model) before make_private",
    ),
    Rule(
        "SFM-514",
        "delta is not below 1/N",
        "publishing one whole record at random satisfies (0, 1/N): such a guarantee is empty",
        "choose delta well below one over the number of units, such as 1/(10 N)",
    ),
    Rule(
        "SFM-515",
        "ghost clipping with a loss of shape (B, 1)",
        "Opacus multiplies coefficients of shape (B,) with losses of shape (B, 1): the product is (B, B) and every "
        "record is weighted by the sum of all coefficients; measured in Opacus 1.6.0 with clip 1 and 5 records: off "
        "by 14.35 (mean) and 24.07 (sum), so the sensitivity is not what the noise is made for",
        "squeeze output and target to shape (B,), or use grad_sample_mode='hooks'",
    ),
    Rule(
        "SFM-516",
        "a made-up record stands in for an empty batch",
        "adding one person then removes the made-up record as well: the sum moves by up to 2C while the accountant "
        "assumes C; with 10 records and rate 0.1, 34 % of the batches are empty",
        "leave rand_on_empty at False: an empty batch is a step of pure noise",
    ),
    Rule(
        "SFM-517",
        "empty batches are skipped",
        "whether a noisy step happened tells that nobody was sampled, and the accountant's count of steps no longer "
        "fits; with 10 records and rate 0.1, 34 % of the batches are empty",
        "take the step all the same: gradients of zero records, noise as always",
    ),
    Rule(
        "SFM-518",
        "accountant that under-reports",
        "Opacus' GDP accountant rests on a central limit: it says 1.618 where the true epsilon is 1.828 (noise 1, "
        "rate 0.01, 1000 steps, delta 1e-5)",
        "use accountant='prv' or 'rdp'",
    ),
    Rule(
        "SFM-520",
        "preprocessing fitted on private records",
        "means, ranges or components of the records enter the model and often its file, outside clipping and noise: "
        "one extreme record moves them without bound",
        "use public ranges, or fit it with a mechanism and add its epsilon",
    ),
    Rule(
        "SFM-521",
        "code from outside can run when parameters are read",
        "unpickling runs what the sender wrote: a server or client takes over the machine that holds the records",
        "send arrays (safetensors, npy with allow_pickle=False, torch.load(weights_only=True))",
    ),
    Rule(
        "SFM-550",
        "delta is not below one over the registered slots",
        "publishing one whole record at random satisfies (0, 1/N): such a guarantee is empty",
        "lower delta, or register fewer slots",
    ),
    Rule(
        "SFM-551",
        "keys, masks and noise from the seed",
        "insecure_reproducible is for tests and classrooms: whoever knows the seed knows every mask and every noise; "
        "every epsilon reads none",
        "leave it out for records of real people",
    ),
    Rule(
        "SFM-552",
        "uploads are not masked",
        "the server sees each site's update: noise must protect each upload by itself, which costs accuracy at the "
        "same epsilon",
        'use aggregation = "mask"',
    ),
    Rule(
        "SFM-553",
        "a downgrade of what the protocol withstands",
        "at semi-honest nobody signs: a server that lies can open one site's upload, and who survived a round is its "
        "word",
        'use strength = "malicious", the default',
    ),
    Rule(
        "SFM-554",
        "no noise",
        "the run has no guarantee: masked sums hide uploads from the server, but sums and models show records",
        "set epsilon",
    ),
    Rule(
        "SFM-555",
        "the plan cannot keep its promise",
        "with these sites, corrupt and silent ones, or settings, no guarantee is proved or no round can open",
        "follow the reason that is given",
    ),
    Rule(
        "SFM-556",
        "a budget that bounds little",
        "at epsilon above 10 the bound on a membership attacker that raises false alarms for 1 % is a hit rate of "
        "100 %",
        "plan for an epsilon of a few units",
        Level.NOTE,
    ),
    Rule(
        "SFM-557",
        "a milder downgrade of what the protocol withstands",
        "at semi-malicious a server that picks the graph's random choice can surround one site in a large cohort; on "
        "a complete graph nothing is given up",
        'use strength = "malicious", the default',
        Level.NOTE,
    ),
    Rule(
        "SFM-560",
        "ranges that nobody has confirmed to be public",
        "a range or list taken from the records is a release without noise: the largest value of a column is one "
        "person's",
        "replace each by what is known without these records, then set confirmed = true",
    ),
    Rule(
        "SFM-561",
        "a person has rows at two sites",
        "each site protects its own rows alone: a person at two sites moves the sum twice, and pays with both budgets",
        "register each person at one site",
    ),
    Rule(
        "SFM-562",
        "a person's rows count as persons",
        "with unit record a person with k rows is protected like k persons: epsilon is k times as large, or more",
        'set unit = "task" and mode = "task-is-person", or merge the rows of a person',
    ),
    Rule(
        "SFM-563",
        "a site too small to take part",
        "with few persons a role may stay empty, and what the site sends is about few; `run` refuses it",
        "merge it with others, or let it use the released model alone",
    ),
    Rule(
        "SFM-564",
        "a column tells the target by itself",
        "it is often the target under another name, or known only afterwards: scores mean nothing, and the model "
        "publishes what the column says",
        "leave it out, or list it under allow_giveaway",
    ),
    Rule(
        "SFM-565",
        "a range that says it was taken from the data",
        "its origin still reads as the proposal does, so nobody has said what else limits the column",
        "write into origin what limits it; correct low and high",
        Level.NOTE,
    ),
    Rule(
        "SFM-570",
        "several runs on the same persons",
        "each run has a budget of its own and they add up; trying settings and keeping the best is paid for too "
        "(Papernot and Steinke 2022), and no run's epsilon says so",
        "tune on public or generated data, or state the sum in the disclosure (operator's file: tuning)",
    ),
)

RULES = {rule.code: rule for rule in _RULES}
