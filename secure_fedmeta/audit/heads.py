# SPDX-License-Identifier: Apache-2.0
"""What the sites kept outside the shared folder: heads that they countersigned, and their own charges."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from fedmeta_privacy.ledger import Json, Line

from ..errors import AuditRefused, FileError
from ..federation.statements import UNITS
from ..federation.witness import read_heads
from ..schedule import Schedule
from .signatures import body_of
from .verdict import Findings, Verdict

MAX_SITE_FILE = 2**28
_CHECK = "heads"


def check_heads(
    lines: list[Line], folder: Path | None, names: Mapping[str, int], schedule: Schedule, found: Findings
) -> None:
    """Compare the ledger with the sites' folders: NAME/heads, and NAME/budget.jsonl where it is there.

    A head that is not in the ledger means a fork or a cut tail; a charged round that is not, one that was left out.
    """
    if folder is None:
        found.add(
            Verdict.INCOMPLETE,
            _CHECK,
            0,
            "no site's heads were given: a tail that was cut off would not be seen",
        )
        return
    if not folder.is_dir():
        raise FileError("there is no such folder", str(folder), "give the folder that holds the sites' own")
    seen = 0
    for name, site in sorted(names.items()):
        seen += _heads_of(lines, folder / name, (name, site), found)
        _charges_of(lines, folder / name, (name, site), schedule, found)
    missing = sorted(name for name in names if not (folder / name / "heads").is_file())
    if missing:
        what = f"no heads of {len(missing)} sites: {', '.join(missing[:5])}"
        found.add(Verdict.INCOMPLETE, _CHECK, 0, what)
    found.looked(_CHECK, f"{seen} heads kept by {len(names) - len(missing)} of {len(names)} sites")


def _heads_of(lines: list[Line], home: Path, who: tuple[str, int], found: Findings) -> int:
    path, (name, site) = home / "heads", who
    if not path.is_file():
        return 0
    heads = read_heads(_content(path), str(path))
    if not heads and schedule_signs(lines):
        found.add(Verdict.INCOMPLETE, _CHECK, 0, f"{name} kept no head: nothing of its own to compare with")
    # A head is kept before its countersignature leaves, so a signature without one is of an older or another file.
    kept = {head.seq for head in heads}
    for line in lines:
        if site in dict(line.sigs) and line.number - 1 not in kept:
            what = f"{name} countersigned it, says the ledger, but its file has no head of it"
            found.add(Verdict.INCOMPLETE, _CHECK, line.number, what)
    for head in heads:
        if head.seq >= len(lines):
            what = f"{name} countersigned a line {head.seq + 1}: the tail was cut off"
            found.add(Verdict.TAMPERED, _CHECK, len(lines), what)
        elif lines[head.seq].statement.head != head.head:
            what = f"{name} countersigned another line here: the ledger forks"
            found.add(Verdict.TAMPERED, _CHECK, head.seq + 1, what)
    return len(heads)


def _charges_of(lines: list[Line], home: Path, who: tuple[str, int], schedule: Schedule, found: Findings) -> None:
    """Each round that the site charged before its upload left must be in the ledger, with the site among the asked."""
    path, (name, site) = home / "budget.jsonl", who
    if schedule.scale is None:
        return
    if not path.is_file():
        found.add(Verdict.INCOMPLETE, _CHECK, 0, f"no charges of {name}: a round left out would not be seen")
        return
    charged = _charges(_content(path))
    if charged is None:
        found.add(Verdict.INCOMPLETE, _CHECK, 0, f"the charges of {name} cannot be read")
        return
    rounds = [line for line in lines if line.entry["type"] == "round"]
    bodies: dict[Json, Mapping[str, Json]] = {line.entry["round"]: body_of(line) for line in rounds}
    for number in sorted(charged):
        asked = bodies[number].get("asked") if number in bodies else None
        if not isinstance(asked, list) or site not in asked:
            what = f"{name} was charged for round {number}, which the ledger leaves out: aborted, but released"
            found.add(Verdict.TAMPERED, _CHECK, 0, what)
    for line in rounds:
        answered = body_of(line).get("answered")
        if isinstance(answered, list) and site in answered and line.entry["round"] not in charged:
            what = f"{name} took part, but its own journal has no charge of it: an older copy, or a false line"
            found.add(Verdict.TAMPERED, _CHECK, line.number, what)
    last = body_of(rounds[-1]) if rounds else {}
    books, cohort = last.get("books"), last.get("cohort")
    if isinstance(books, list) and isinstance(cohort, list) and site in cohort and len(books) == len(cohort):
        mine = books[cohort.index(site)]
        if type(mine) is int and mine < sum(charged.values()) / schedule.limit * UNITS * (1 - 2.0**-36):
            what = f"the books hold less than {name} has released"
            found.add(Verdict.CLAIM_TOO_SMALL, _CHECK, rounds[-1].number, what)


def schedule_signs(lines: list[Line]) -> bool:
    """Whether any line is signed, so that sites kept heads."""
    return any(line.sigs for line in lines)


def _charges(journal: bytes) -> dict[int, float] | None:
    """Newest charge of each round; None if a line is no charge."""
    charges: dict[int, float] = {}
    for line in journal.split(b"\n")[:-1]:
        try:
            entry = json.loads(line)
            if entry["type"] in ("charge", "settle"):
                charges[int(entry["round"])] = float.fromhex(entry["shift"])
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            return None
    return charges


def _content(path: Path) -> bytes:
    try:
        if path.stat().st_size > MAX_SITE_FILE:
            raise AuditRefused(f"more than {MAX_SITE_FILE} bytes", str(path), "give the site's own file")
        return path.read_bytes()
    except OSError as error:
        raise FileError(f"cannot read a site's file: {error.strerror}", str(path), "check the folder") from None
