# SPDX-License-Identifier: Apache-2.0
"""`secure-fedmeta new`: a pilot from a table."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from ..errors import UsageError
from .envelope import line as envelope
from .epsilon import Format


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("new", short_help="describe your own table as a pilot")(new)


def new(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Of a new folder, with pilot.toml in it.")],
    data: Annotated[Path | None, typer.Option("--data", help="CSV or Parquet file with all sites' rows.")] = None,
    target: Annotated[str | None, typer.Option(help="Column to predict: two values.")] = None,
    site: Annotated[str | None, typer.Option(help="Column that says whose row it is.")] = None,
    person: Annotated[str | None, typer.Option(help="Column with one stable id for each person.")] = None,
    positive: Annotated[
        str | None, typer.Option(help="The target's value that counts as 1. [1, yes, true, ...]")
    ] = None,
    epsilon: Annotated[float | None, typer.Option(help="Budget against the server. [3]")] = None,
    flower: Annotated[bool, typer.Option("--flower", help="Write an app for Flower and the parties' folders.")] = False,
    pilot: Annotated[str, typer.Option(help="With --flower: a pilot, or a TOML file.")] = "hospital",
    clients: Annotated[int | None, typer.Option(help="With --flower: member sites. [the pilot's]")] = None,
    rounds: Annotated[int | None, typer.Option(help="With --flower: planned rounds. [the pilot's]")] = None,
    form: Annotated[Format, typer.Option("--format", help="Output form.")] = Format.TEXT,
) -> None:
    """Look at a table where it lies and write NAME/pilot.toml, with ranges for you to confirm. The table is not copied.

    With --flower: write an app that `flwr run` starts, and a folder with a key for each party (docs/flower.md).

    Example: secure-fedmeta new my_pilot --data mine.csv --target died --site hospital --person patient_id

    Example: secure-fedmeta new my_federation --flower --pilot hospital
    """
    if flower:
        given = {"clients": clients, "rounds": rounds, "epsilon": epsilon}
        _federation(Path(name), pilot, {key: value for key, value in given.items() if value is not None}, form)
        return
    from ..datasets.table import read_table
    from ..scaffold import propose, write_new

    if data is None:
        raise UsageError("no table is named", "secure-fedmeta new", "give --data FILE")
    table = read_table(data)
    roles = {"--target": target, "--site": site, "--person": person}
    if missing := [option for option, column in roles.items() if column is None]:
        known = ", ".join(list(table.columns)[:40])
        raise UsageError(f"{', '.join(missing)}: no column is named", "secure-fedmeta new", f"name one of: {known}")
    folder = Path(name)
    proposal = propose(
        table,
        name=folder.name,
        file=data,
        folder=folder,
        target=str(target),
        site=str(site),
        person=str(person),
        positive=positive,
        epsilon=3.0 if epsilon is None else epsilon,
    )
    path = write_new(folder, proposal)
    if form is Format.JSON:
        body = {"pilot": str(path), "to_confirm": proposal.to_confirm, "said": proposal.said}
        typer.echo(envelope("new", body))
        return
    for line in proposal.said:
        typer.echo(line)
    typer.echo(f"wrote {path}")
    typer.echo(f"next  read the ranges in {path}, correct them, and set confirmed = true")
    typer.echo(f"      secure-fedmeta check {path}")
    typer.echo(f"      secure-fedmeta run {path}        (or: run {path} --confirm-ranges)")


def _federation(folder: Path, what: str, given: dict[str, Any], form: Format) -> None:
    from ..flower.scaffold import scaffold
    from ..pilots.stated import pilot_of

    pilot, base = pilot_of(what, given)
    plan = pilot.plan_with({**base, **given, "dropout": 0.0}, where=what)
    names = scaffold(folder, pilot, plan)
    if form is Format.JSON:
        typer.echo(envelope("new", {"pilot": str(folder / "pilot.toml"), "to_confirm": [], "said": names}))
        return
    typer.echo(f"wrote {folder}: an app, and folders with a key each for the server and {len(names)} {pilot.sites}")
    nodes = f"--federation-config num-supernodes={len(names)}"
    typer.echo(f"next  flwr run {folder}/app --stream {nodes}   (simulated; extra flower-simulation)")
    typer.echo(f"      {folder}/loopback.sh          (processes of their own, TLS, a key for each)")
