# SPDX-License-Identifier: Apache-2.0
"""What the leavings of another tool's run cannot show, however honest it was: sentences for an auditor's report."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from .findings import Finding

MOST_NAMES = 5000
MOST_TEXTS = 50
MOST_TEXT = 1 << 16
_TEXT = {".log", ".txt", ".json", ".jsonl", ".csv", ".md", ".out"}
_BINARY = {".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".joblib", ".bin"}
_EPSILON = re.compile(r"(?:\beps(?:ilon)?\b|ε)\s*[\"']?\s*(?:[:=≈]|is|value|for|spent)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Leavings:
    """What lies in a folder, as far as it was looked at.

    Attributes:
        names: relative paths of files, at most `MOST_NAMES`.
        speaks_of_epsilon: text files in which an epsilon is stated.
        cut_short: whether there is more than was looked at.
    """

    names: frozenset[str]
    speaks_of_epsilon: tuple[str, ...] = ()
    cut_short: bool = False


def look(folder: Path) -> Leavings:
    """List a folder and skim its text files; bounded, links not followed, nothing is loaded or run."""
    names: list[str] = []
    speaking: list[str] = []
    skimmed, cut = 0, False
    for where, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            if len(names) == MOST_NAMES:
                return Leavings(frozenset(names), tuple(speaking), cut_short=True)
            path = Path(where) / name
            shown = path.relative_to(folder).as_posix()
            names.append(shown)
            if path.suffix.lower() in _TEXT and not path.is_symlink() and path.is_file():
                if skimmed == MOST_TEXTS:
                    cut = True
                    continue
                skimmed += 1
                if _states_epsilon(path):
                    speaking.append(shown)
    return Leavings(frozenset(names), tuple(speaking), cut)


def _states_epsilon(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return bool(_EPSILON.search(file.read(MOST_TEXT).decode("utf-8", "replace")))
    except OSError:
        return False


def what_cannot_be_shown(leavings: Leavings, findings: Sequence[Finding] = ()) -> list[str]:
    """Sentences on what these files leave unshown; empty only for a folder that holds a signed ledger of ours.

    Args:
        leavings: from `look(folder)`.
        findings: from `check_paths` on the run's scripts, if they are at hand.

    Example:
        >>> for sentence in what_cannot_be_shown(Leavings(frozenset({"server.log"})))[:2]:
        ...     print(sentence.split(":")[0])
        No ledger
        No signatures
    """
    names = {name.rsplit("/", 1)[-1] for name in leavings.names}
    if "ledger.jsonl" in names and "allow-list.toml" in names:
        return []
    said = [text for missing, text in _UNSHOWN if not names & missing]
    said += _about_epsilon(leavings, names)
    said += _about_scripts(findings)
    if leavings.cut_short:
        said.append(f"More files than were looked at ({MOST_NAMES} names, {MOST_TEXTS} texts): the rest is unchecked.")
    return said


_UNSHOWN: Sequence[tuple[set[str], str]] = (
    (
        {"ledger.jsonl"},
        (
            "No ledger: which rounds ran, in which order, and whether one was left out, aborted or repeated, rests "
            "on the operator's word."
        ),
    ),
    (
        {"allow-list.toml"},
        (
            "No signatures: neither the server nor any site has signed what was executed, so every file here could "
            "have been written afterwards."
        ),
    ),
    (
        {"ledger.jsonl"},
        (
            "No executed parameters: noise, clipping, rates and steps in a script or configuration are what was "
            "asked for, not what ran."
        ),
    ),
    (
        {"ledger.jsonl"},
        (
            "Sampling not evidenced: whether batches and cohorts were drawn as the accountant assumes (Poisson, "
            "secret from the server) is not recorded; without that, no amplification may be claimed."
        ),
    ),
    (
        {"ledger.jsonl"},
        (
            "Participation not evidenced: who answered in which round, and so whose noise is in which sum, is not "
            "recorded."
        ),
    ),
    (
        {"ledger.jsonl"},
        (
            "Published models not bound: no chain of hashes says which models were released and that there were no "
            "others."
        ),
    ),
    (
        {"disclosure.json"},
        (
            "Unit, view and adjacency not stated: an epsilon without them says neither whose data it protects nor "
            "from whom."
        ),
    ),
    (
        {"ledger.jsonl"},
        ("Source of the noise not evidenced: a seeded or repeated generator leaves the same files."),
    ),
)


def _about_epsilon(leavings: Leavings, names: set[str]) -> list[str]:
    said = []
    if leavings.speaks_of_epsilon:
        where = ", ".join(leavings.speaks_of_epsilon[:3])
        said.append(
            f"Epsilon is the engine's own word ({where}): the events behind it are not there, so it cannot be "
            f"recomputed, nor can it be told whether it is one round's or the run's, one site's or the worst site's."
        )
    else:
        said.append("No epsilon is stated in the texts looked at; none can be computed from what is there.")
    binary = sorted(name for name in names if Path(name).suffix.lower() in _BINARY)
    if binary:
        said.append(
            f"Not opened: {', '.join(binary[:3])}. Reading such files can run code; an accountant's state in them "
            f"would be a claim of the same kind."
        )
    return said


_SCRIPTS: Mapping[str, str] = {
    "SFM-501": "The scripts make the engine anew in each round: whatever epsilon they report is one round's",
    "SFM-502": "The scripts send losses or scores without noise, which no reported epsilon covers",
    "SFM-503": "The scripts send exact counts of records, which no reported epsilon covers",
    "SFM-510": "The scripts fix the seed that the noise is drawn from: against who knows it there is no guarantee",
    "SFM-511": "The scripts shuffle where their accountant assumes Poisson sampling: the amplification is not theirs",
    "SFM-513": "The scripts normalise over batches: clipping does not bound a record's influence",
    "SFM-515": "The scripts use ghost clipping where it fails: the noise is made for another sensitivity",
    "SFM-518": "The scripts use an accountant that under-reports",
    "SFM-520": "The scripts fit their preprocessing on private records, outside the mechanism",
}


def _about_scripts(findings: Sequence[Finding]) -> list[str]:
    said = []
    for code, text in _SCRIPTS.items():
        places = [f"{finding.path}:{finding.line}" for finding in sorted(findings) if finding.code == code]
        if places:
            more = f" and {len(places) - 3} more" if len(places) > 3 else ""
            said.append(f"{text} ({code}: {', '.join(places[:3])}{more}).")
    return said
