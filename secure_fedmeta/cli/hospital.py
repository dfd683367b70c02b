# SPDX-License-Identifier: Apache-2.0
"""What `run hospital` prints: a plan before any record is read, a line per round, the guarantee, the files."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from .._version import __version__
from ..aggregation import SUM_ONLY
from ..guarantee import downgrade_line, encryption_line, rounding_line, show
from .epsilon import Format
from .live import RoundLog

if TYPE_CHECKING:
    from ..pilots.hospital import HospitalResult, Row
    from ..plan import Plan
    from ..schedule import Schedule

ENVELOPE = "secure-fedmeta/run/1"


def run_hospital(
    settings: Mapping[str, Any],
    *,
    where: str,
    out: Path,
    form: Format,
    operator: Path | None = None,
    resume: bool = False,
) -> None:
    """Plan, run or go on, compare, report."""
    start = time.perf_counter()
    console = Console(stderr=form is Format.JSON, highlight=False)
    if not console.is_terminal:
        console.width, console.soft_wrap = 120, True  # a file has no width: whole lines, unfolded tables
    console.print(f"[bold]secure-fedmeta {__version__}[/] · pilot [bold]hospital[/]")
    from ..documents import read_statements
    from ..pilots.hospital import STATEMENTS, plan_with, schedule_for

    statements = read_statements(operator, STATEMENTS)
    plan = plan_with(settings, where=where)
    schedule = schedule_for(plan)
    for line in plan_lines(plan, schedule):
        console.print(line)
    console.print("loading records, torch and opacus ...")
    from ..federation.storage import refuse_taken
    from ..files import server_beside, sites_beside

    for folder in () if resume else (out, sites_beside(out), server_beside(out)):
        refuse_taken(folder)
    from ..pilots.hospital import HospitalPilot

    pilot = HospitalPilot(plan)
    with RoundLog(console, schedule) as log:
        try:
            result = pilot.execute(out=out, on_round=log.add, statements=statements, resume=resume)
        except KeyboardInterrupt:
            console.print(f"stopped; {escape(str(out))}/ledger.jsonl holds the executed rounds and what they cost")
            raise
    run = result.run
    for site, why in run.excluded.items():
        console.print(f"[yellow]excluded[/]: {escape(site)}: {escape(why)}")
    if run.stopped:
        console.print(f"[yellow]stopped early[/]: {escape(run.stopped)}")
    result.table = pilot.compare(run.theta, run_name(plan))
    console.print(score_table(result.table))
    console.print("[dim]scores are simulation only, not covered by epsilon; noise is fresh in every run[/]")
    console.print(f"\n[bold]guarantee[/] {run.guarantee}")
    for line in run.beside:
        console.print(f"  {line}")
    if run.second_opinion is not None:
        console.print(f"  A second accountant (dp-accounting's PLD) says {show(run.second_opinion)} for the server.")
    from ..report import write_report

    write_report(out / "report.html", result)
    _files(console, out)
    console.print(f"[dim]done in {time.perf_counter() - start:.1f} s[/]")
    if form is Format.JSON:
        sys.stdout.write(json.dumps(_envelope(result, out)) + "\n")


def run_name(plan: Plan) -> str:
    """How the table names this run."""
    algorithm = plan.algorithm.upper()
    if plan.epsilon is None or plan.insecure_reproducible:
        return f"this run: {algorithm}, no privacy"
    view = "sum only" if plan.aggregation in SUM_ONLY else "each upload"
    return f"this run: {algorithm}, epsilon {plan.epsilon:g}, {view}"


def plan_lines(plan: Plan, schedule: Schedule) -> list[str]:
    """The plan in words, from public numbers alone."""
    n = schedule.clients
    slots = f"up to {plan.support_slots} support and {plan.query_slots} query records a site"
    if plan.one_role:
        slots = f"up to {plan.support_slots} records a site, all in one role"
    said = {
        "sites": f"{n} member hospitals, 2 unseen ones; unit of privacy: one patient in a registered slot",
        "learning": f"{plan.algorithm.upper()}, logistic regression, {schedule.dimension} parameters, "
        f"{plan.inner_steps} inner step(s), {slots}",
        "hiding": f"{_hidden(schedule)}; ring 2^{schedule.encoding.modulus_bits}",
    }
    if encrypted := encryption_line(schedule):
        said["encrypted"] = encrypted
    if schedule.masked:
        said["against"] = _against(schedule)
    if downgrade := downgrade_line(schedule):
        said["downgrade"] = f"[yellow]{downgrade.removeprefix('Downgrade: ')}[/]"
    if schedule.scale is None:
        said["privacy"] = "none: epsilon none adds no noise"
    else:
        most = show(schedule.epsilon(plan.rounds * schedule.planned_shift))
        local = show(schedule.epsilon(plan.rounds * schedule.shift(1)))
        roles = f"support role {schedule.sensitivity.support:.4f}, query role {schedule.sensitivity.query:.4f}"
        said["privacy"] = (
            f"epsilon {plan.epsilon:g} at delta {plan.delta:g} for the server, {schedule.colluders} colluders, "
            f"{schedule.planned_survivors} survivors planned"
        )
        said["will cost"] = (
            f"{most} if the planned survivors answer in all {plan.rounds} rounds "
            f"(for who saw each upload unmasked: {local}); never more than the budget"
        )
        if schedule.hiding.signed:
            worst = show(schedule.epsilon(plan.rounds * schedule.floor_shift))
            said["at worst"] = (
                f"n_min = {schedule.hiding.min_survivors} survivors, at least {schedule.hiding.floor_honest} honest: "
                f"{worst} if all rounds could run"
            )
        said["noise"] = (
            f"discrete Gaussian of {schedule.scale:g} steps of {schedule.encoding.step:.3g} a site ({roles})"
        )
        if costly := rounding_line(schedule):
            said["rounding"] = f"[yellow]{costly}[/]"
        if schedule.surplus is not None:
            said["surplus"] = (
                f"{schedule.surplus_parts} parts a site besides; those that no dropout calls for are taken off the sum"
            )
    if plan.insecure_reproducible:
        said["insecure"] = "[red]keys, masks and noise come from the seed; every epsilon reads none[/]"
    return [f" {name:<9} {text}" for name, text in said.items()]


def _hidden(schedule: Schedule) -> str:
    if not schedule.masked:
        seen = "the decryptor could read each upload" if schedule.decrypted else "the server sees each upload"
        return f"none: {seen}"
    hiding, graph = schedule.hiding, schedule.hiding.graph
    numbers = f"k={graph.neighbours}, t={graph.threshold}"
    if hiding.signed:
        numbers += f", A={graph.corrupt}, D={graph.dropped}, quorum {hiding.quorum}"
    return f"{hiding.name}: double masks, {hiding.graph_name}, {numbers} of {schedule.clients}"


def _against(schedule: Schedule) -> str:
    hiding = schedule.hiding
    if not hiding.signed:
        return f"a server that looks at everything but follows the protocol, with {schedule.colluders} colluders"
    graph = hiding.graph
    return (
        f"a server that lies, with {graph.corrupt} corrupt site(s); every message signed, survivors proved; "
        f"up to {graph.dropped} may fall silent{'' if graph.corrupt else '; set colluders to count corrupt ones'}"
    )


def score_table(rows: list[Row]) -> Table:
    """AUROC on unseen patients and hospitals, Brier before and after calibration on site."""
    table = Table(title="unseen patients of member hospitals | unseen hospitals after k records", title_style="")
    columns: tuple[tuple[str, str, Callable[[Any], str]], ...] = (
        ("AUROC", "auroc", _three),
        ("worst site", "worst", _three),
        ("Brier", "brier", _three),
        ("calibrated", "calibrated", _three),
        ("k=1", "unseen_1", _three),
        ("k=5", "unseen_5", _three),
        ("k=16", "unseen_16", _three),
    )
    table.add_column("")
    for title, _, _ in columns:
        table.add_column(title, justify="right")
    for row in rows:
        table.add_row(str(row["name"]), *(shown(row.get(key)) for _, key, shown in columns))
    return table


def _three(value: object) -> str:
    return f"{value:.3f}" if isinstance(value, float) else "-"


def _files(console: Console, out: Path) -> None:
    from ..files import FILES

    shown = escape(str(out))
    console.print(f"\n[bold]files[/] in {shown}")
    for name, meaning in FILES.items():
        if (out / name).exists():
            console.print(f"  {name:<18} {meaning}")
    console.print(f"  each site's own budget journal: {shown}-sites/NAME/budget.jsonl")
    if (out / "allow-list.toml").exists():
        console.print(f"  secret keys: {shown}-sites/NAME/identity.key and {shown}-server/identity.key; share neither")
    console.print(f"[bold]next[/]  open {shown}/report.html")
    if (out / "allow-list.toml").exists():
        console.print(f"      secure-fedmeta audit {shown} --heads {shown}-sites")
    console.print(f"      secure-fedmeta run {shown}/config.toml --epsilon 1")


def _envelope(result: HospitalResult, out: Path) -> dict[str, Any]:
    run = result.run
    private = run.schedule.private
    return {
        "format": ENVELOPE,
        "out": str(out),
        "stopped": run.stopped or None,
        "rounds": len(run.rounds),
        "strength": run.schedule.hiding.name,
        "excluded": run.excluded,
        "delta": run.plan.delta,
        "epsilon": {view: value if private else None for view, value in run.spent.as_views().items()},
        "guarantee": run.guarantee,
        "beside": run.beside,
        "second_accountant": run.second_opinion,
        "scores": result.table,
        "round_ms_median": 1e3 * sorted(r.seconds for r in run.rounds)[len(run.rounds) // 2] if run.rounds else None,
    }
