# SPDX-License-Identifier: Apache-2.0
"""Offline audit of a run: what an auditor can check alone, from the run's folder and what others kept.

A verdict is never "ok" when something could not be checked. What cannot be judged at all (broken lines, another
version, a ledger beyond every bound, a run that no guarantee follows from) is a numbered error and no verdict.
"""

from __future__ import annotations

import json
import math
import tomllib
from collections.abc import Mapping
from pathlib import Path

from fedmeta_crypto.identities import AllowList
from fedmeta_privacy.ledger import decimal

from ..errors import AuditRefused, FileError
from ..federation.identities import read_allow_list
from ..federation.storage import replace_durably
from .chain import check_chain, read_ledger
from .ends import check_ends
from .heads import check_heads
from .models import VERIFICATION, check_models
from .participation import check_rounds
from .signatures import body_of, check_signatures
from .terms import check_terms, schedule_of
from .verdict import Audit, Finding, Findings, Verdict

INSIDE = "allow-list.toml"
MAX_ROSTER_BYTES = 2**24
FILE = VERIFICATION

__all__ = ["FILE", "Audit", "Finding", "Findings", "Verdict", "audit_run", "write_verification"]


def audit_run(folder: Path, *, roster: Path | None = None, heads: Path | None = None) -> Audit:
    """Check a run's folder without a network and without trust in whoever ran it.

    Args:
        folder: of the run: `ledger.jsonl`, and models.
        roster: an allow-list from outside the run, which is what its keys are believed by; without it, the run's own.
        heads: the folder that holds the sites' own (NAME/heads, NAME/budget.jsonl).
    Raises:
        FileError, AuditRefused, IdentityRefused, HeadsDamaged, LedgerDamaged, LedgerVersion, LedgerTooLarge: there is
            nothing to judge.
    """
    lines = read_ledger(folder / "ledger.jsonl")
    found = Findings()
    check_chain(lines, found)
    schedule = schedule_of(lines[0])
    cohort = tuple(range(1, schedule.clients + 1))
    people, names = _roster(folder, roster, cohort, found)
    check_signatures(lines, people, schedule, cohort, found)
    check_terms(lines, schedule, found)
    spent = check_rounds(lines, schedule, cohort, found)
    check_ends(lines, schedule, spent, found)
    epsilon = {view: decimal(value) for view, value in spent.as_views().items() if math.isfinite(value)}
    check_heads(lines, heads, names, schedule, found)
    check_models(folder, lines, found)
    if not schedule.private:
        what = "no guarantee is claimed: there is no noise, or it came from the seed"
        found.add(Verdict.INCOMPLETE, "epsilon", 0, what)
    stated = body_of(lines[-1]).get("epsilon")
    claimed = {str(view): str(value) for view, value in stated.items()} if isinstance(stated, Mapping) else {}
    return Audit(found, len(lines), lines[-1].statement.head, epsilon if schedule.private else {}, claimed)


def _roster(
    folder: Path, given: Path | None, cohort: tuple[int, ...], found: Findings
) -> tuple[AllowList | None, dict[str, int]]:
    """Keys to believe, and the sites' names."""
    inside = folder / INSIDE
    path = given or inside
    if given is None or (given.exists() and inside.exists() and given.samefile(inside)):
        what = "keys taken from the run itself: whoever wrote the ledger may have made them"
        found.add(Verdict.INCOMPLETE, "roster", 0, what)
        given = None
        if not path.is_file():
            return None, {}
    try:
        if path.stat().st_size > MAX_ROSTER_BYTES:
            raise AuditRefused(f"more than {MAX_ROSTER_BYTES} bytes", str(path), "give an allow-list")
    except OSError as error:
        raise FileError(f"cannot read the roster: {error.strerror}", str(path), "check the path") from None
    people = read_allow_list(path, cohort)
    rows = tomllib.loads(path.read_text(encoding="utf-8"))["site"]
    found.looked("roster", f"{len(rows)} sites' keys from {'outside' if given else 'the run'}")
    return people, {row["name"]: row["id"] for row in rows}


def write_verification(folder: Path, audit: Audit) -> Path:
    """Write `verification.json` beside the ledger: the same bytes for the same files."""
    path = folder / FILE
    replace_durably(path, (json.dumps(audit.to_json(), indent=1, sort_keys=True) + "\n").encode(), mode=0o666)
    return path
