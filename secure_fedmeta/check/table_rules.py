# SPDX-License-Identifier: Apache-2.0
"""SFM-56x: the table that a plan is for, looked at where it lies. Counts and column names are told, no cell."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ..datasets.described import Description
from ..datasets.own import giveaways, ids_of, labels_of, look_at, read_rows
from ..datasets.table import read_table
from ..errors import SettingError
from ..plan import Plan
from .findings import Finding

Found = Callable[[str, str, str], Finding]
_PROPOSED = "FROM THE DATA"


def check_table(data: object, plan: Plan, path: Path, found: Found) -> list[Finding]:
    """Findings of the `[data]` table of a plan, and of the file that it names.

    Args:
        data: as it stands in the TOML file.
        plan: its settings.
        path: of the TOML file.
        found: makes a finding of (setting, code, what).

    Raises:
        SettingError, TableError: the description or the table cannot be read.
    """
    if not isinstance(data, Mapping) or not isinstance(data.get("file"), str):
        raise SettingError("no table is named", f"{path}, [data]", 'give [data] with file = "..."')
    stated: dict[str, Any] = {
        name: value for name, value in data.items() if name not in ("file", "confirmed", "hidden")
    }
    described = Description.from_table(stated, f"{path}, [data]")
    findings = []
    if data.get("confirmed") is not True:
        findings.append(found("confirmed", "SFM-560", f"{len(described.features)} columns"))
    if proposed := [one.column for one in described.features if one.origin.startswith(_PROPOSED)]:
        findings.append(found("origin", "SFM-565", ", ".join(proposed)[:200]))
    table = read_table(path.parent / data["file"])
    seen = look_at(ids_of(table, described.site), ids_of(table, described.person))
    if seen.wandering:
        findings.append(found("person", "SFM-561", f"{seen.wandering} persons"))
    if seen.repeated and plan.unit == "record":
        findings.append(found("person", "SFM-562", f"{seen.repeated} rows beyond a person's first"))
    if seen.small:
        findings.append(
            found("site", "SFM-563", f"{len(seen.small)} of {seen.sites} sites: {', '.join(seen.small)[:120]}")
        )
    labels = labels_of(table, described)
    telling = giveaways(described, read_rows(table, described, outside=plan.outside), labels)
    findings += [found("file", "SFM-564", column) for column in telling]
    return findings
