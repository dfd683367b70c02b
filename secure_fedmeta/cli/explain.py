# SPDX-License-Identifier: Apache-2.0
"""`secure-fedmeta explain`: what a number means, why it comes up and what to do."""

from __future__ import annotations

from typing import Annotated

import typer

from .envelope import line as envelope
from .epsilon import Format


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("explain", short_help="what an error's number or an audit's exit status means")(explain)


def explain(
    what: Annotated[
        list[str] | None, typer.Argument(metavar="[CODE]", help="135, SFM-135, exit 3, a check or a class. [all]")
    ] = None,
    form: Annotated[Format, typer.Option("--format", help="Output form.")] = Format.TEXT,
) -> None:
    """Explain a numbered error, a finding of `check`, or a check or exit status of `audit`; without CODE, all.

    Example: secure-fedmeta explain SFM-135
    """
    from ..catalogue import catalogue
    from ..catalogue import explain as entry_of

    entries = [entry_of(" ".join(what))] if what else list(catalogue().values())
    if form is Format.JSON:
        typer.echo(envelope("explain", {"entries": [entry.as_json() for entry in entries]}))
        return
    if not what:
        for entry in entries:
            typer.echo(f"{entry.code:<20} {entry.name:<19} {entry.meaning}")
        return
    (entry,) = entries
    typer.echo(f"{entry.code} {entry.name} ({entry.room}): {entry.meaning}")
    typer.echo(f"    cause   {entry.cause}")
    typer.echo(f"    remedy  {entry.remedy}")
