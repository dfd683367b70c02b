# SPDX-License-Identifier: Apache-2.0
"""`MODEL_CARD.md`: the disclosure for those who would use the model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def model_card(document: Mapping[str, Any]) -> str:
    """Markdown made of a disclosure; gaps are told by name."""
    identity, guarantee = document["identity"], document["guarantee"]
    protected, mechanism, deployment = document["protected"], document["mechanism"], document["deployment"]
    lines = [
        f"# Model card: {_say(identity['title'])}",
        "",
        f"{document['notice']} Made from the run's ledger by {identity['software']}; all fields: `disclosure.json`.",
        "",
        "## In plain words",
        "",
        document["label"]["plain"],
        "",
        "## The exact guarantee",
        "",
        _say(document["label"]["exact"]),
        "",
        *_table(guarantee),
        "## Use",
        "",
        f"- Intended use: {_say(identity['intended_use'])}",
        f"- Curators: {_say(identity['curators'])}; contact: {_say(identity['contact'])}",
        f"- Region and sector: {_say(identity['region'])}; {_say(identity['sector'])}",
        f"- Data: {_say(protected['data_domain'])}",
        f"- Fairness: {_say(document['utility']['fairness'])}",
        "",
        "## How it was made",
        "",
        f"- Adaptation: {_say(mechanism['adaptation'])}",
        f"- Noise: {_say(mechanism['noise_distribution'])}; clipping: {_say(mechanism['clipped'])}",
        f"- Protocol: {_say(deployment['protocol'])}; {_say(deployment['clients'])} sites",
        f"- Delta: {_say(guarantee['delta_rule'])}",
        f"- Accountant: {_say(document['accounting']['accountant'])}",
        "",
        "## Not protected",
        "",
        *(f"- {line}" for line in protected["not_covered"]),
        "",
        "## Not stated",
        "",
        *(f"- {line}" for line in document["gaps"]),
    ]
    return "\n".join(lines) + "\n"


def _table(guarantee: Mapping[str, Any]) -> list[str]:
    views = guarantee["views"]
    if "gap" in views:
        return []
    rows = [
        f"| {name} | {_short(view['epsilon'])} | {_short(view.get('gdp_mu', 'none'))} | "
        f"{_short(view.get('detection_at_1_percent_false_alarms', {}).get('bound', 'none'))} |"
        for name, view in views.items()
    ]
    return [
        f"| view | epsilon at delta {guarantee['delta']:g} | mu | detection at 1 % false alarms, at most |",
        "|---|---|---|---|",
        *rows,
        "",
    ]


def _short(value: object) -> str:
    """A number rounded up to four digits behind the point."""
    import math

    if isinstance(value, Mapping):
        return "not stated"
    return f"{math.ceil(value * 1e4) / 1e4:.4f}" if isinstance(value, int | float) else str(value)


def _say(value: object) -> str:
    if isinstance(value, Mapping):
        return str(value.get("gap", "see disclosure.json"))
    if isinstance(value, list | tuple):
        return ", ".join(str(part) for part in value)
    return str(value)
