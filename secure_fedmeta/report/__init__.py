# SPDX-License-Identifier: Apache-2.0
"""One self-contained HTML file per run: no script, no network, prints well."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .._version import __version__
from ..federation.approximate import error_in_steps
from ..guarantee import downgrade_line, encryption_line, rounding_line, show

if TYPE_CHECKING:
    from ..federation.closed import RoundClosed
    from ..pilots.hospital import HospitalResult
    from ..schedule import Schedule


def write_report(path: Path, result: HospitalResult) -> None:
    """Render the run. The stored benchmark table is shown with its own date and command."""
    from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

    environment = Environment(
        loader=PackageLoader("secure_fedmeta", "report"),
        autoescape=select_autoescape(default=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    page = environment.get_template("report.html.j2").render(**_content(result))
    path.write_text(page, encoding="utf-8")


def stored_table() -> dict[str, Any] | None:
    """The benchmark's table as it was last run, with date and command; None if it was never run."""
    stored = resources.files("secure_fedmeta.report").joinpath("hospital_table.json")
    if not stored.is_file():
        return None
    table: dict[str, Any] = json.loads(stored.read_text(encoding="utf-8"))
    return table


def evidence_line(schedule: Schedule, closed: Sequence[RoundClosed]) -> str:
    """Who countersigned the rounds, and how a reader checks that without trusting this page."""
    check = "Verify with: secure-fedmeta audit RUN --roster ALLOW-LIST --heads SITES, the two from outside the run."
    if not schedule.hiding.signed:
        return f"Nobody countersigned the rounds (strength {schedule.hiding.name}): an audit can only be incomplete."
    fewest = min((len(round_.countersigned) for round_ in closed if not round_.aborted), default=0)
    return (
        f"Each executed round's line in ledger.jsonl is countersigned by {fewest} of {schedule.clients} sites or "
        f"more; an audit asks for {schedule.threshold}. {check}"
    )


def _content(result: HospitalResult) -> dict[str, Any]:
    from .plots import round_plots

    run = result.run
    plan, schedule = run.plan, run.schedule
    private = schedule.private
    closed = [report.closed for report in run.rounds]
    return {
        "version": __version__,
        "made": None if plan.insecure_reproducible else datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "plan": plan,
        "schedule": schedule,
        "rounding": rounding_line(schedule),
        "private": private,
        "spent": {view: show(value) if private else "none" for view, value in run.spent.as_views().items()},
        "second": None if run.second_opinion is None else show(run.second_opinion),
        "guarantee": run.guarantee,
        "evidence": evidence_line(schedule, closed),
        "beside": run.beside,
        "label": run.label,
        "stopped": run.stopped,
        "hiding": schedule.hiding,
        "encrypted": encryption_line(schedule),
        "error": error_in_steps(schedule) if schedule.decrypted and not schedule.masked else 0.0,
        "downgrade": downgrade_line(schedule),
        "at_floor": show(schedule.epsilon(plan.rounds * schedule.floor_shift)) if private else "none",
        "excluded": run.excluded,
        "findings": [f"round {c.round}: {text}" for c in closed for text in c.findings],
        "rounds": len(closed),
        "sums": sum(not c.aborted for c in closed),
        "uploads": sum(len(c.survivors) for c in closed if not c.aborted),
        "aborted": sum(bool(c.aborted) for c in closed),
        "fewest": min((len(c.survivors) for c in closed if not c.aborted), default=0),
        "missing": sum(c.invited - len(c.survivors) for c in closed if not c.aborted),
        "kilobytes": sum(r.bytes_sent for r in run.rounds) / 1e3,
        "milliseconds": 1e3 * sorted(r.seconds for r in run.rounds)[len(closed) // 2] if closed else 0.0,
        "plots": round_plots(run),
        "table": result.table,
        "stored": stored_table(),
        "last": closed[-1].round if closed else 0,
    }
