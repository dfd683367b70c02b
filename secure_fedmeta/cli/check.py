# SPDX-License-Identifier: Apache-2.0
"""`secure-fedmeta check`: find privacy leaks in scripts and plans before the run."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .envelope import line as envelope
from .epsilon import Format

if TYPE_CHECKING:
    from ..check import Checked


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("check", short_help="find privacy leaks in scripts and plans")(check)


def check(
    paths: Annotated[list[Path], typer.Argument(metavar="PATH...", help="Scripts, notebooks, plans, or folders.")],
    form: Annotated[Format, typer.Option("--format", help="Output form.")] = Format.TEXT,
) -> None:
    """Read Python scripts and notebooks that use Opacus, Flower, NVFlare or torch, and plans (TOML); run none of them.

    Exit status: 0 no leak seen, 1 leaks, or files that could not be checked. Notes do not count. A clean result is no
    guarantee: it says that none of the mistakes known to `check` was seen.

    Example: secure-fedmeta check client_app.py task.py --format json
    """
    from ..check import check_paths

    checked = check_paths(paths)
    if form is Format.JSON:
        typer.echo(envelope("check", _envelope(checked)))
    else:
        for line in _lines(checked):
            typer.echo(line)
    for problem in checked.problems:
        sys.stderr.write(f"{problem}\n")
    if not checked.clean:
        raise typer.Exit(1)


def _envelope(checked: Checked) -> dict[str, object]:
    return {
        "clean": checked.clean,
        "files": len(checked.files),
        "findings": [finding.as_json() for finding in checked.findings],
        "unchecked": [{"code": p.code, "where": p.where, "text": str(p)} for p in checked.problems],
    }


def _lines(checked: Checked) -> list[str]:
    """Each place, and each kind's reason and remedy once."""
    lines: list[str] = []
    told: set[str] = set()
    for finding in checked.findings:
        rule = finding.rule
        lines.append(f"{finding.path}:{finding.line}: {rule.level.value} {finding.code} {rule.title}: {finding.what}")
        if finding.code not in told:
            told.add(finding.code)
            lines += [f"    why     {rule.why}", f"    remedy  {rule.remedy}"]
    leaks = sum(finding.rule.level.value == "leak" for finding in checked.findings)
    notes = len(checked.findings) - leaks
    unchecked = f", {len(checked.problems)} not checked" if checked.problems else ""
    lines.append(f"{len(checked.files)} file(s) checked{unchecked}: {leaks} leak(s), {notes} note(s)")
    if checked.clean:
        lines.append("none of the known mistakes was seen; that is no guarantee")
    return lines
