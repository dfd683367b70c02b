# SPDX-License-Identifier: Apache-2.0
"""`secure-fedmeta plan`: what a run will cost, before any record is read."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from ..errors import UsageError
from .envelope import line as envelope
from .epsilon import Format

TARGETS = (8.0, 3.0, 1.0)


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("plan", short_help="epsilon, noise, bytes and time of a run, before it")(plan)


def plan(
    what: Annotated[str, typer.Argument(metavar="PILOT|FILE.toml", help="A pilot's name, or a TOML file.")],
    rounds: Annotated[int | None, typer.Option(help="Planned rounds.")] = None,
    epsilon: Annotated[str | None, typer.Option(help='Budget against the server; "none" adds no noise.')] = None,
    delta: Annotated[float | None, typer.Option(help="Below 1/N.")] = None,
    clients: Annotated[int | None, typer.Option(help="Member sites.")] = None,
    strength: Annotated[str | None, typer.Option(help="malicious, semi-malicious or semi-honest.")] = None,
    colluders: Annotated[int | None, typer.Option(help="Sites that may be corrupt.")] = None,
    aggregation: Annotated[str | None, typer.Option(help="mask, bfv, rlwe32, rlwe64, ckks or none.")] = None,
    data: Annotated[
        Path | None, typer.Option(help="Real records for a pilot that reads them; not opened here.")
    ] = None,
    form: Annotated[Format, typer.Option("--format", help="Output form.")] = Format.TEXT,
) -> None:
    """Say what the planned rounds cost: epsilon exactly; bytes and seconds from a rehearsal with made-up rows.

    No record is read. Noise follows from the budget; for other budgets it is listed beside.

    Example: secure-fedmeta plan hospital --epsilon 1 --rounds 40
    """
    from ..forecast import forecast
    from ..pilots.stated import POPULATION, pilot_of
    from .pilots import console_for, plan_lines
    from .run import as_epsilon, population_settings

    given: dict[str, Any] = {
        "rounds": rounds,
        "epsilon": as_epsilon(epsilon),
        "delta": delta,
        "clients": clients,
        "strength": strength,
        "colluders": colluders,
        "aggregation": aggregation,
    }
    given = {name: value for name, value in given.items() if value is not None}
    if population_settings(what) is not None:
        raise UsageError(
            f"{POPULATION} is a population simulation: it sends nothing",
            "secure-fedmeta plan",
            "`secure-fedmeta run wearables` prints its epsilon before it begins",
        )
    pilot, base = pilot_of(what, given, data=data)
    settings = pilot.plan_with({**base, **given}, where=what)
    schedule = pilot.schedule_for(settings)
    console = console_for(form)
    for line in plan_lines(pilot, settings, schedule):
        console.print(line)
    console.print("rehearsing with made-up rows; no record is read ...")
    said = forecast(settings, schedule, pilot.codebook(), pilot.network)
    others = _others(pilot, settings)
    console.print(f" bytes     {said.bytes_sent / 1e6:.3f} MB in {settings.rounds} rounds, by all parties")
    console.print(f" time      {said.seconds:.1f} s for these rounds on this machine, every slot filled")
    for target, noise in others.items():
        console.print(
            f" epsilon {target:<4} needs noise of {noise:g} steps a site" if noise else f" epsilon {target}: no"
        )
    if form is Format.JSON:
        body = {"pilot": pilot.name, "rounds": settings.rounds, "delta": settings.delta}
        sys.stdout.write(envelope("plan", body | said.as_json() | {"noise_for": others}) + "\n")


def _others(pilot: Any, settings: Any) -> dict[str, float | None]:
    """Noise for other budgets; None where the plan cannot have it."""
    from fedmeta_privacy.errors import PrivacyError

    found: dict[str, float | None] = {}
    for target in TARGETS:
        if target == settings.epsilon:
            continue
        try:
            found[f"{target:g}"] = pilot.schedule_for(settings.changed(epsilon=target)).scale
        except PrivacyError:
            found[f"{target:g}"] = None
    return found
