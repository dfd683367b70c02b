# SPDX-License-Identifier: Apache-2.0
"""What the page for two runs says: their settings where they differ, their epsilons, their curves, their scores."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..guarantee import show
from .facts import Facts
from .page import VIEWS, live_of, verification
from .plots import BLUE, ORANGE, Plot, lines


def comparison_content(first: Facts, second: Facts) -> dict[str, Any]:
    """All values of `compare.html.j2`."""
    names = _names(first, second)
    both = (first, second)
    return {
        "names": names,
        "cards": [_card(name, facts) for name, facts in zip(names, both, strict=True)],
        "settings": settings_that_differ(first, second),
        "views": [
            (who, *(_epsilon(facts, view) for facts in both)) for view, who in VIEWS.items() if _stated(both, view)
        ],
        "comparable": comparable(first, second),
        "plots": _plots(first, second, names),
        "columns": _columns(first, second),
        "rows": [
            (name, facts.scores["rows"][0]) for name, facts in zip(names, both, strict=True) if facts.scores.get("rows")
        ],
        "guarantees": [(name, facts.guarantee) for name, facts in zip(names, both, strict=True)],
    }


def settings_that_differ(first: Facts, second: Facts) -> list[tuple[str, str, str]]:
    """Name and both values of every stated setting that is not the same.

    Seeds, software and what follows from the settings alone (noise, sensitivity) stand beside them: a reader sees cause
    and effect.
    """
    stated = [
        {**facts.record.settings, "software": facts.record.software, **facts.record.extra} for facts in (first, second)
    ]
    names = sorted(set(stated[0]) | set(stated[1]))
    return [
        (name, _said(stated[0].get(name)), _said(stated[1].get(name)))
        for name in names
        if stated[0].get(name) != stated[1].get(name)
    ]


def comparable(first: Facts, second: Facts) -> list[str]:
    """Why the two epsilons must not be set side by side, in sentences; empty if they may."""
    why = [
        f"{facts.folder.name} contradicts itself: {line}." for facts in (first, second) for line in facts.contradictions
    ]
    a, b = first.record, second.record
    if (a.unit, a.adjacency) != (b.unit, b.adjacency):
        why.append(
            f"The epsilons protect different things: {a.unit} ({a.adjacency}) and {b.unit} ({b.adjacency}). Neither is "
            "larger or smaller than the other."
        )
    if a.delta != b.delta:
        why.append(f"The epsilons hold at different deltas: {a.delta:g} and {b.delta:g}.")
    if first.schedule.colluders != second.schedule.colluders:
        why.append(
            f"They count on different numbers of corrupt sites: {first.schedule.colluders} and "
            f"{second.schedule.colluders}."
        )
    if first.schedule.hiding.name != second.schedule.hiding.name:
        why.append(f"They withstand different servers: {first.schedule.hiding.name} and {second.schedule.hiding.name}.")
    if first.pilot != second.pilot or a.settings.get("codebook") != b.settings.get("codebook"):
        why.append("They are of different records: scores do not compare.")
    return why


def _names(first: Facts, second: Facts) -> tuple[str, str]:
    a, b = first.folder.resolve().name, second.folder.resolve().name
    return (a, b) if a != b else (f"{a} (first)", f"{b} (second)")


def _card(name: str, facts: Facts) -> dict[str, Any]:
    audit = verification(facts)
    return {
        "name": name,
        "epsilon": _epsilon(facts, "server"),
        "rounds": len(facts.record.rounds),
        "pilot": facts.pilot,
        "verdict": audit["verdict"] if audit and audit["of_this"] else "not audited",
        "protocol": facts.record.protocol,
    }


def _epsilon(facts: Facts, view: str) -> str:
    value = facts.epsilon.get(view)
    return "none" if value is None else show(value)


def _stated(both: tuple[Facts, Facts], view: str) -> bool:
    return any(view in facts.epsilon for facts in both)


def _said(value: object) -> str:
    text = "-" if value is None else str(value)
    return text if len(text) <= 80 else text[:77] + "..."


def _columns(first: Facts, second: Facts) -> list[Mapping[str, Any]]:
    """Of the scores that both have."""
    other = {column["key"] for column in second.scores.get("columns", ())}
    return [column for column in first.scores.get("columns", ()) if column["key"] in other]


def _plots(first: Facts, second: Facts, names: tuple[str, str]) -> list[Plot]:
    most = max(len(first.numbers), len(second.numbers))
    if not most:
        return []
    x = list(range(1, most + 1))
    plots = []
    (key, title), (other, _) = live_of(first), live_of(second)
    wanted: list[tuple[str, str, float | None]] = [("loss", "Loss", None)]
    if key and key == other:
        wanted.append((key, title, 0.04))
    for name, shown, span in wanted:
        drawn = {names[0]: (first.metric(name), BLUE), names[1]: (second.metric(name), ORANGE)}
        if all(any(v is not None for v in values) for values, _ in drawn.values()):
            ends = f"{_last(first.metric(name))} and {_last(second.metric(name))}"
            alt = f"{shown} per round of both runs: {ends} at the end."
            plots.append(lines(shown, x, drawn, alt=alt, note="simulation only", floor_span=span))
    spent = {
        name: ([each.get("server") for each in facts.curves], colour)
        for name, facts, colour in ((names[0], first, BLUE), (names[1], second, ORANGE))
        if facts.record.private
    }
    if spent:
        alt = "Epsilon for the server per round: " + ", ".join(f"{n} ends at {_last(v)}" for n, (v, _) in spent.items())
        plots.append(
            lines("Epsilon for the server", x, spent, alt=alt + ".", note="each at its own delta", from_zero=True)
        )
    return plots


def _last(values: list[float | None]) -> str:
    known = [value for value in values if value is not None]
    return f"{known[-1]:.3f}" if known else "nothing"
