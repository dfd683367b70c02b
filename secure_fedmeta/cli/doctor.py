# SPDX-License-Identifier: Apache-2.0
"""`secure-fedmeta doctor`: whether this machine can run what is planned."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .envelope import line as envelope
from .epsilon import Format

if TYPE_CHECKING:
    from ..doctor import Check


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("doctor", short_help="whether this machine can run what is planned")(doctor)


def doctor(
    out: Annotated[Path, typer.Option(help="Folder that runs are to be written to.")] = Path("runs"),
    form: Annotated[Format, typer.Option("--format", help="Output form.")] = Format.TEXT,
) -> int:
    """Look at Python, libraries, processor, memory, folder, clock, text, random numbers, torch and TenSEAL.

    Exit status: 0 no fault (notes do not count), 1 a fault. No connection is opened and no file is left.

    Example: secure-fedmeta doctor --out runs
    """
    from ..doctor import State
    from ..machine import examine

    found = []
    for check in examine(out):
        found.append(check)
        if form is Format.TEXT:
            for line in _lines(check):
                typer.echo(line)
    faults = sum(check.state is State.FAULT for check in found)
    notes = sum(check.state is State.NOTE for check in found)
    if form is Format.JSON:
        body = {"faults": faults, "notes": notes, "checks": [check.as_json() for check in found]}
        typer.echo(envelope("doctor", body))
    else:
        typer.echo(f"{len(found)} checks: {faults} fault(s), {notes} note(s)")
    return 1 if faults else 0


def _lines(check: Check) -> list[str]:
    lines = [f"{check.state.value:<5} {check.name:<15} {check.what}"]
    return [*lines, f"      remedy          {check.remedy}"] if check.remedy else lines
