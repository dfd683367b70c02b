# SPDX-License-Identifier: Apache-2.0
"""`secure-fedmeta attack`: what an attacker gets out of a lone update, a masked sum, and a noised one."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Annotated

import typer

from .envelope import line as envelope
from .epsilon import Format

if TYPE_CHECKING:
    from ..attacks.figures import AttackReport
    from ..attacks.planned import PlannedAudit
    from ..attacks.target import Target


class Kind(str, Enum):  # noqa: UP042 - typer reads str enums
    """Which attack."""

    MEMBERSHIP = "membership"
    INVERSION = "inversion"
    CANARY = "canary"


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("attack", short_help="attack a pilot or a run of it, and see what noise and masks change")(attack)


def attack(
    what: Annotated[str, typer.Argument(metavar="RUN|PILOT", help="A run's folder, or hospital.")],
    kind: Annotated[
        Kind | None, typer.Option(help="membership, inversion, or canary to audit the plan. [the first two]")
    ] = None,
    form: Annotated[Format, typer.Option("--format", help="Output form.")] = Format.TEXT,
) -> None:
    """Attack a simulated federation from the seats of an eavesdropper, a server and a fellow site.

    membership: was this person's record in the update? inversion: what was in the record? canary: lower bounds on
    epsilon from the mechanism's own output, each with its label.

    Example: secure-fedmeta attack hospital --kind membership
    """
    from ..attacks.target import load_target

    target = load_target(what)
    if kind is Kind.CANARY:
        _audit(target, form)
        return
    reports = _reports(target, kind)
    if form is Format.JSON:
        typer.echo(envelope("attack", {"attacks": [report.as_json() for report in reports]}))
        return
    for number, report in enumerate(reports):
        typer.echo(("\n" if number else "") + "\n".join(_lines(report)))


def _reports(target: Target, kind: Kind | None) -> list[AttackReport]:
    reports = []
    if kind in (None, Kind.MEMBERSHIP):
        from ..attacks.membership import infer_membership

        reports.append(infer_membership(target))
    if kind in (None, Kind.INVERSION):
        from ..attacks.inversion import invert_gradients
        from ..attacks.inversion_mlp import invert_network

        reports += [invert_gradients(target), invert_network(target)]
    return reports


def _lines(report: AttackReport) -> list[str]:
    lines = [f"{report.kind}: {report.target}", f"Rule: {report.rule}."]
    for figure in report.figures:
        verdict = "SUCCEEDS" if figure.succeeded else "fails"
        lines.append(f"  {figure.observed}; the attacker knows {figure.attacker}: the attack {verdict}")
        for name, value in figure.measures.items():
            limit = ""
            if name in figure.limits:
                # The limit is exact; what was found is an estimate, and may lie above it by chance.
                limit = f"  (epsilon allows at most {figure.limits[name]:.3f}; estimated from {figure.trials} trials)"
            lines.append(f"      {name}: {value:.3f}{limit}")
    lines.append(f"Mind: {report.caveat}")
    return lines


def _audit(target: Target, form: Format) -> None:
    from ..attacks.planned import audit_plan

    audit = audit_plan(target.plan)
    if form is Format.JSON:
        body = {"claim": audit.claim, "refuted": audit.refuted, "bounds": [bound.as_json() for bound in audit.bounds]}
        typer.echo(envelope("attack", {"audit": body | {"found": list(audit.canaries.found)}}))
        return
    typer.echo("\n".join(_audit_lines(audit)))


def _audit_lines(audit: PlannedAudit) -> list[str]:
    from ..attacks.planned import DELTA
    from ..guarantee import show

    lines = [
        "canary: one round that spends the whole budget of the plan",
        f"Claim: epsilon {show(audit.claim)} at delta {DELTA:g}. Lower bounds from what the mechanism put out:",
    ]
    lines += [f"  {bound}" for bound in audit.bounds]
    lines += [f"Found: {problem}" for problem in audit.canaries.found]
    verdict = "The claim is REFUTED" if audit.refuted else "No figure is above the claim"
    lines.append(
        f"{verdict}. A lower bound far below the claim says that the audit is weak, not that the claim is loose."
    )
    return lines
