# SPDX-License-Identifier: Apache-2.0
"""SFM-57x: runs beside each other on the same persons, which each state an epsilon of their own."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ..pilots import GENERATED
from .findings import Finding

_MOST = 1 << 26


def several_runs(paths: Iterable[Path]) -> list[Finding]:
    """One finding for each set of runs on the same persons, in the folders that are given or right below them.

    The same persons: one pilot, one table and one seed (a pilot's seed chooses who is registered). Generated records
    are nobody's. A ledger that cannot be read is `audit`'s matter, and counts as a run without an epsilon.
    """
    groups: dict[tuple[str, ...], list[tuple[Path, float | None]]] = {}
    for folder in sorted(_runs(paths)):
        key = _persons(folder)
        if key is not None:
            groups.setdefault(key, []).append((folder, _epsilon(folder)))
    findings = []
    for runs in groups.values():
        spent = [epsilon for _, epsilon in runs]
        if len(runs) < 2 or all(epsilon == 0.0 for epsilon in spent):
            continue
        known = [epsilon for epsilon in spent if epsilon is not None]
        total = f"at most {sum(known):.4g} together" if len(known) == len(spent) else "without a bound together"
        what = f"{len(runs)} runs ({', '.join(folder.name for folder, _ in runs)[:120]}): epsilon {total}, deltas too"
        findings.append(Finding(str(runs[0][0].parent), 1, "SFM-570", what))
    return findings


def _runs(paths: Iterable[Path]) -> set[Path]:
    found: set[Path] = set()
    for path in paths:
        if path.is_dir():
            found |= {ledger.parent for pattern in ("ledger.jsonl", "*/ledger.jsonl") for ledger in path.glob(pattern)}
    return found


def _persons(folder: Path) -> tuple[str, ...] | None:
    """What stands for the persons of a run; None for generated ones, or if it cannot be told."""
    try:
        settings: dict[str, Any] = tomllib.loads((folder / "config.toml").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    pilot, data = str(settings.get("pilot")), settings.get("data")
    file = str((folder / str(data["file"])).resolve()) if isinstance(data, dict) and "file" in data else ""
    if pilot in GENERATED and not file:
        return None
    return pilot, file, str(settings.get("seed", 0))


def _epsilon(folder: Path) -> float | None:
    """What the last line of the ledger states for the server; None if that is nothing."""
    ledger = folder / "ledger.jsonl"
    try:
        if ledger.stat().st_size > _MOST:
            return None
        last = json.loads(ledger.read_bytes().splitlines()[-1])
        return float(last["body"]["epsilon"]["server"])
    except (OSError, ValueError, LookupError, TypeError):
        return None
