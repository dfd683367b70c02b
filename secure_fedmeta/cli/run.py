# SPDX-License-Identifier: Apache-2.0
"""`secure-fedmeta run`: a pilot by name, or the settings of a TOML file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from ..errors import FileError, UsageError
from ..pilots import NAMES as PILOTS
from .epsilon import Format


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("run", short_help="run a pilot, or the settings of a TOML file")(run)


def run(
    what: Annotated[str, typer.Argument(metavar="PILOT|FILE.toml|RUN_FOLDER", help="hospital, or a TOML file.")],
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
    resume: Annotated[bool, typer.Option("--resume", help="Go on with a killed run: give its folder.")] = False,
    out: Annotated[Path | None, typer.Option(help="New folder for the run's files. [runs/hospital-N]")] = None,
    form: Annotated[Format, typer.Option("--format", help="Output form.")] = Format.TEXT,
) -> None:
    """Run a pilot and leave its ledger, model and report.

    Example: secure-fedmeta run hospital --epsilon 1 --rounds 20 --out runs/mine
    """
    given = {
        "rounds": rounds,
        "epsilon": _epsilon(epsilon),
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
        if settings or out is not None:
            raise UsageError("a run goes on with its own settings, in its own folder", "--resume", "leave them out")
        out, what = Path(what), str(Path(what) / "config.toml")
    pilot, base = _source(what)
    from .hospital import run_hospital

    run_hospital(
        base | settings, where=what, out=out or _fresh_folder(pilot), form=form, operator=operator, resume=resume
    )


def _epsilon(given: str | None) -> object:
    """A number if it reads as one; what it is otherwise, the plan judges."""
    try:
        return float(given) if given is not None else None
    except ValueError:
        return given


def _source(what: str) -> tuple[str, dict[str, Any]]:
    """Pilot name and settings of the first argument."""
    if what in PILOTS:
        return what, {}
    if not what.endswith(".toml"):
        known = ", ".join(PILOTS)
        raise UsageError(f"there is no pilot {what!r}", "secure-fedmeta run", f"use one of: {known}; or a .toml file")
    from ..plan import read_toml

    pilot, settings = read_toml(Path(what))
    if pilot not in PILOTS:
        raise FileError(f"there is no pilot {pilot!r}", f"{what}, pilot", f"use one of: {', '.join(PILOTS)}")
    return pilot, settings


def _fresh_folder(pilot: str) -> Path:
    """runs/PILOT-1, -2, ...: the first that is free."""
    number = 1
    while (Path("runs") / f"{pilot}-{number}").exists():
        number += 1
    return Path("runs") / f"{pilot}-{number}"
