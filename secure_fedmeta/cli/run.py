# SPDX-License-Identifier: Apache-2.0
"""`secure-fedmeta run`: a pilot by name, or the settings of a TOML file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import UsageError
from ..pilots.stated import OWN, POPULATION, pilot_of
from .epsilon import Format

if TYPE_CHECKING:
    pass


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("run", short_help="run a pilot, or the settings of a TOML file")(run)


def run(
    what: Annotated[str, typer.Argument(metavar="PILOT|FILE.toml|RUN", help="A pilot's name, or a TOML file.")],
    rounds: Annotated[int | None, typer.Option(help="Planned rounds. [80]")] = None,
    epsilon: Annotated[str | None, typer.Option(help='Budget against the server; "none" adds no noise. [3]')] = None,
    delta: Annotated[float | None, typer.Option(help="Below 1/N. [0.001]")] = None,
    clients: Annotated[int | None, typer.Option(help="Member hospitals, 3 to 17. [10]")] = None,
    dropout: Annotated[float | None, typer.Option(help="Chance that a site falls silent in a round. [0]")] = None,
    strength: Annotated[
        str | None, typer.Option(help="malicious, or a downgrade: semi-malicious, semi-honest. [malicious]")
    ] = None,
    corrupt_fraction: Annotated[
        float | None, typer.Option(help="Share of sites that may work with a lying server. [0.1]")
    ] = None,
    dropout_fraction: Annotated[
        float | None, typer.Option(help="Share of sites that may fall silent in a round. [0.1, or --dropout if more]")
    ] = None,
    colluders: Annotated[
        int | None, typer.Option(help="Sites that may be corrupt, if more than that share; semi-honest: colluders. [0]")
    ] = None,
    threshold: Annotated[
        int | None, typer.Option(help="semi-honest only: shares that open a secret. [least t, 2t > n]")
    ] = None,
    planned_survivors: Annotated[
        int | None, typer.Option(help="Survivors that noise is planned for. [round(n (1 - dropout))]")
    ] = None,
    dropout_noise: Annotated[
        str | None, typer.Option(help="over-provision, or surplus: extra noise is taken off again. [over-provision]")
    ] = None,
    clipping: Annotated[
        str | None, typer.Option(help="flat; for networks also per-layer and adaptive (persons, sites). [flat]")
    ] = None,
    algorithm: Annotated[str | None, typer.Option(help="maml, fomaml, anil, reptile or fedavg. [maml]")] = None,
    aggregation: Annotated[
        str | None, typer.Option(help="mask, bfv, rlwe32 or rlwe64; ckks or none to compare. [mask]")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Fixes data, split and dropouts; never keys or noise. [0]")] = None,
    insecure_reproducible: Annotated[
        bool | None, typer.Option("--insecure-reproducible", help="Seed keys and noise too; no guarantee.")
    ] = None,
    operator: Annotated[
        Path | None, typer.Option(help="TOML with what only you can state: curators, intended_use, region, ...")
    ] = None,
    data: Annotated[
        Path | None, typer.Option(help="Real records for a pilot that reads them: credit takes german.data.")
    ] = None,
    confirm_ranges: Annotated[
        bool, typer.Option("--confirm-ranges", help="Own table: I have read the ranges, and they are public.")
    ] = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the run in the folder RUN, which was killed.")
    ] = False,
    out: Annotated[Path | None, typer.Option(help="New folder for the run's files. [runs/hospital-N]")] = None,
    form: Annotated[Format, typer.Option("--format", help="Output form.")] = Format.TEXT,
) -> None:
    """Run a pilot and leave its ledger, model and report.

    Example: secure-fedmeta run hospital --epsilon 1 --rounds 20 --out runs/mine
    """
    given = {
        "rounds": rounds,
        "epsilon": as_epsilon(epsilon),
        "delta": delta,
        "clients": clients,
        "dropout": dropout,
        "strength": strength,
        "corrupt_fraction": corrupt_fraction,
        "dropout_fraction": dropout_fraction,
        "colluders": colluders,
        "threshold": threshold,
        "planned_survivors": planned_survivors,
        "dropout_noise": dropout_noise,
        "clipping": clipping,
        "algorithm": algorithm,
        "aggregation": aggregation,
        "seed": seed,
        "insecure_reproducible": insecure_reproducible,
    }
    settings: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    if resume:
        _resume(what, settings, out=out, form=form, operator=operator)
        return
    if (crowd := population_settings(what)) is not None:
        from .population import run_wearables

        if data is not None or operator is not None:
            raise UsageError("--data and --operator mean nothing to wearables", "secure-fedmeta run", "leave them out")
        run_wearables(crowd, settings, where=what, out=out or _fresh_folder(POPULATION), form=form)
        return
    pilot, base = pilot_of(what, settings, data=data, confirmed=confirm_ranges)
    from .pilots import run_pilot

    run_pilot(
        pilot,
        base | settings,
        where=what,
        out=out or _fresh_folder(Path(what).resolve().parent.name if pilot.name == OWN else pilot.name),
        form=form,
        operator=operator,
    )


def _resume(what: str, given: Mapping[str, Any], *, out: Path | None, form: Format, operator: Path | None) -> None:
    """Go on with a killed run by its own config.toml: nothing about it may change."""
    folder = Path(what)
    if given or out is not None:
        changed = "--out" if out is not None else f"--{min(given).replace('_', '-')}"
        raise UsageError(f"{changed} would make it another run", "secure-fedmeta run --resume", "leave it out")
    if not (folder / "config.toml").is_file():
        raise UsageError("there is no run to go on with", what, "name the folder of a run, with its config.toml")
    config = str(folder / "config.toml")
    if population_settings(config) is not None:
        raise UsageError(
            "the pilot's population runs go on through the API alone", what, "see docs/population.md, or run it again"
        )
    from .pilots import run_pilot

    pilot, settings = pilot_of(config, {}, confirmed=True)
    run_pilot(pilot, settings, where=config, out=folder, form=form, operator=operator, resume=True)


def as_epsilon(given: str | None) -> object:
    """A number if it reads as one; what it is otherwise, the plan judges."""
    try:
        return float(given) if given is not None else None
    except ValueError:
        return given


def population_settings(what: str) -> dict[str, Any] | None:
    """Settings of the pilot that is a population simulation; None for all others."""
    if what == POPULATION:
        return {}
    if not what.endswith(".toml") or not Path(what).is_file():
        return None
    from ..plan import read_toml

    name, settings = read_toml(Path(what))
    return settings if name == POPULATION else None


def _fresh_folder(pilot: str) -> Path:
    """runs/PILOT-1, -2, ...: the first that is free."""
    number = 1
    while (Path("runs") / f"{pilot}-{number}").exists():
        number += 1
    return Path("runs") / f"{pilot}-{number}"
