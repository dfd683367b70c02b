# SPDX-License-Identifier: Apache-2.0
"""`secure-fedmeta report` and `compare`: pages of runs, made from their folders alone."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..errors import FileError
from .envelope import line as envelope
from .epsilon import Format


def register(app: typer.Typer) -> None:
    """Add the verbs."""
    app.command("report", short_help="make a run's page again, after an audit for example")(report)
    app.command("compare", short_help="one page for two runs")(compare)


def report(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of the run.")],
    form: Annotated[Format, typer.Option("--format", help="Output form.")] = Format.TEXT,
) -> None:
    """Write report.html into a run's folder: from its ledger and files alone, so the same files make the same page.

    After `audit` the page holds the verdict. A run that was broken off has no page until this makes one.

    Example: secure-fedmeta report runs/hospital-1
    """
    from ..report import write_report

    if (run / "account.json").is_file() and not (run / "ledger.jsonl").exists():
        from ..report.population import write_population_report

        page = write_population_report(run)
    else:
        page = write_report(run)
    if form is Format.JSON:
        typer.echo(envelope("report", {"page": str(page), "bytes": page.stat().st_size}))
        return
    typer.echo(f"wrote {page}")


def compare(
    first: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of one run.")],
    second: Annotated[Path, typer.Argument(metavar="OTHER", help="Folder of the other.")],
    out: Annotated[Path | None, typer.Option(help="The page. [RUN-OTHER.html here]")] = None,
    form: Annotated[Format, typer.Option("--format", help="Output form.")] = Format.TEXT,
) -> None:
    """Set two runs side by side: settings that differ, epsilon by view, curves, scores; and say what does not compare.

    Example: secure-fedmeta compare runs/hospital-1 runs/hospital-2
    """
    from ..guarantee import show
    from ..report import write_comparison
    from ..report.compared import comparable, settings_that_differ
    from ..report.facts import Facts

    path = out or Path(f"{first.resolve().name}-{second.resolve().name}.html")
    if path.exists() and out is None:
        raise FileError("there is such a page already", str(path), "name another with --out, or remove it")
    page = write_comparison(first, second, path)
    both = Facts.of(first), Facts.of(second)
    if form is Format.JSON:
        body = {
            "page": str(page),
            "epsilon": [dict(facts.epsilon) for facts in both],
            "settings": [{"name": n, "first": a, "second": b} for n, a, b in settings_that_differ(*both)],
            "not_comparable": comparable(*both),
        }
        typer.echo(envelope("compare", body))
        return
    for facts in both:
        server = facts.epsilon.get("server")
        shown = "none" if server is None else show(server)
        typer.echo(f"{facts.folder}: epsilon {shown} for the server, {len(facts.numbers)} rounds, pilot {facts.pilot}")
    for line in comparable(*both):
        typer.echo(f"note: {line}")
    typer.echo(f"wrote {page}")
