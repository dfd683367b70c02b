# SPDX-License-Identifier: Apache-2.0
"""`secure-fedmeta audit`: check a run offline."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .envelope import line as envelope
from .epsilon import Format


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("audit", short_help="check a run offline: chain, signatures, participation, epsilon")(audit)


def audit(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of the run.")],
    roster: Annotated[
        Path | None, typer.Option(help="Allow-list from outside the run. [the run's: incomplete]")
    ] = None,
    heads: Annotated[Path | None, typer.Option(help="Folder that holds the sites' own (NAME/heads).")] = None,
    form: Annotated[Format, typer.Option("--format", help="Output form.")] = Format.TEXT,
) -> int:
    """Check a run's ledger without a network, and write verification.json into its folder.

    Exit status: 0 ok, 3 tampered, 4 a claim is too small, 5 incomplete (something could not be checked); 1 where there
    is nothing to judge. A folder without a ledger, as other tools leave them, is 5, with what it cannot show.

    Example: secure-fedmeta audit runs/mine --roster keys.toml --heads runs/mine-sites
    """
    from ..audit import audit_run, write_verification

    if run.is_dir() and not (run / "ledger.jsonl").exists():
        return _foreign(run, form)
    result = audit_run(run, roster=roster, heads=heads)
    written = write_verification(run, result)
    if form is Format.JSON:
        typer.echo(envelope("audit", result.to_json()))
        return int(result.findings.verdict)
    found = result.findings
    typer.echo(f"verdict: {found.verdict.words}")
    for name, at in found.checks.items():
        typer.echo(f"  {name:<14} {found.result(name):<16} {at}")
    for one in found.found:
        place = f"line {one.line}: " if one.line else ""
        typer.echo(f"- {one.check}, {one.verdict.words}: {place}{one.what}")
    if result.epsilon:
        shown = ", ".join(f"{view} {float(value):.6g}" for view, value in result.epsilon.items())
        typer.echo(f"epsilon recomputed: {shown}")
    typer.echo(f"wrote {written}")
    return int(found.verdict)


def _foreign(folder: Path, form: Format) -> int:
    """What the leavings of a run without a ledger cannot show; nothing is written into a folder that is not ours."""
    from ..audit import Verdict
    from ..check import check_paths
    from ..check.foreign import look, what_cannot_be_shown

    checked = check_paths([folder])
    said = what_cannot_be_shown(look(folder), checked.findings)
    said += [f"A script could not be read: {problem}" for problem in checked.problems if checked.files]
    if not said:
        said = ["No ledger in this folder itself: give the folder that holds ledger.jsonl."]
    if form is Format.JSON:
        verdict = Verdict.INCOMPLETE
        typer.echo(envelope("audit", {"verdict": verdict.words, "status": int(verdict), "unshown": said}))
        return int(verdict)
    typer.echo(f"verdict: {Verdict.INCOMPLETE.words}")
    typer.echo("There is no ledger here, so nothing can be verified. What these files cannot show:")
    for sentence in said:
        typer.echo(f"- {sentence}")
    return int(Verdict.INCOMPLETE)
