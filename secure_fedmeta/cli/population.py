# SPDX-License-Identifier: Apache-2.0
"""What `run wearables` prints: a plan, a line a round, the figures, the sentence, the files."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.markup import escape
from rich.table import Table

from .._version import __version__
from ..errors import UsageError
from .envelope import line as envelope
from .epsilon import Format
from .pilots import console_for

# The words of `run` that mean something here, by the names of the pilot's own settings.
OPTIONS = {
    "rounds": "rounds",
    "epsilon": "epsilon",
    "delta": "delta",
    "clients": "users",
    "dropout": "dropout",
    "seed": "seed",
}


def run_wearables(
    settings: Mapping[str, Any], given: Mapping[str, Any], *, where: str, out: Path, form: Format
) -> None:
    """Plan, run, compare, report. `settings` are a file's, `given` the command line's, which go over them."""
    start = time.perf_counter()
    if others := sorted(set(given) - set(OPTIONS)):
        what = f"--{others[0].replace('_', '-')} means nothing to a population simulation"
        raise UsageError(what, "secure-fedmeta run wearables", f"use {', '.join('--' + name for name in OPTIONS)}")
    console = console_for(form)
    console.print(f"[bold]secure-fedmeta {__version__}[/] · pilot [bold]wearables[/]")
    console.print("[yellow]every window of this pilot is generated: no real person is in it[/]")
    from ..federation.storage import refuse_taken
    from ..pilots.wearables import WearablesPlan, folder_files, plan_words

    plan = WearablesPlan.of({**settings, **{OPTIONS[name]: value for name, value in given.items()}}, where=where)
    refuse_taken(out)
    from ..pilots.population import COLUMNS, WearablesStudy

    study = WearablesStudy(plan)
    for line in plan_words(plan, study.training):
        console.print(line)
    console.print("round    loss  accuracy  people")

    def shown(step: int, row: Mapping[str, float]) -> None:
        console.print(f"{step:>3}/{plan.rounds}  {row['loss']:>6.3f}  {row['accuracy']:>8.3f}  {row['people']:>6.0f}")

    outcome = study.execute(out=out, on_round=shown)
    if outcome.result.stopped:
        console.print(f"[yellow]stopped early[/]: {escape(outcome.result.stopped)}")
    budget = "no privacy" if plan.epsilon is None else f"epsilon {plan.epsilon:g}"
    outcome.table = study.compare(outcome.result.theta, f"this run: FedAvg, {budget}")
    table = Table(box=SIMPLE_HEAD)
    table.add_column("", no_wrap=True)
    for column in COLUMNS:
        table.add_column(column.title, justify="right")
    for row in outcome.table:
        table.add_row(str(row["name"]), *(f"{row[c.key]:.3f}" for c in COLUMNS))
    console.print(table)
    console.print("[dim]scores are simulation only, not covered by epsilon; noise is fresh in every run[/]")
    console.print(
        f"\n[bold]account[/] (of a deployment; whoever runs a simulation sees everything) {outcome.result.sentence()}"
    )
    from ..report.population import keep_population_scores, write_population_report

    keep_population_scores(out, outcome)
    write_population_report(out)
    console.print(f"\n[bold]files[/] in {escape(str(out))}")
    for name, meaning in folder_files(out).items():
        console.print(f"  {name:<18} {meaning}")
    console.print(f"[bold]next[/]  open {escape(str(out))}/report.html")
    console.print(f"[dim]done in {time.perf_counter() - start:.1f} s[/]")
    if form is Format.JSON:
        account = json.loads((out / "account.json").read_text(encoding="utf-8"))
        body = {
            "pilot": "wearables",
            "generated": True,
            "out": str(out),
            "rounds": account["rounds"],
            "stopped": account["stopped"] or None,
            "delta": account["delta"],
            "epsilon": account["epsilon"],
            "guarantee": account["sentence"],
            "scores": outcome.table,
        }
        sys.stdout.write(envelope("run", body) + "\n")
