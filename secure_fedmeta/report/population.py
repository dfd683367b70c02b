# SPDX-License-Identifier: Apache-2.0
"""The page of a population simulation, from its folder alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import FileError
from ..federation.storage import replace_durably
from ..guarantee import show
from ..pilots.wearables import LATER, SOURCE, TITLE, TRAINED_WINDOWS, WearablesPlan
from ..plan import read_toml
from . import SCORES_FORMAT, render, stored_table
from .facts import SCORES
from .plots import BLUE, GREEN, Plot, lines

if TYPE_CHECKING:
    from ..pilots.population import PopulationOutcome

ACCOUNT = "account.json"


def keep_population_scores(folder: Path, outcome: PopulationOutcome) -> None:
    """Leave the comparison in the folder: simulation only."""
    from ..pilots.population import COLUMNS

    content = {
        "format": SCORES_FORMAT,
        "note": "simulation only, not covered by any epsilon",
        "pilot": "wearables",
        "generated": True,
        "source": SOURCE,
        "columns": [{"key": one.key, "title": one.title, "low_is_good": one.low_is_good} for one in COLUMNS],
        "rows": outcome.table,
    }
    replace_durably(folder / SCORES, (json.dumps(content, indent=1) + "\n").encode(), mode=0o666)


def write_population_report(folder: Path) -> Path:
    """Make `report.html`; the same files make the same bytes.

    Raises:
        FileError: a file that is missing or is not what such a run leaves.
    """
    try:
        account = json.loads((folder / ACCOUNT).read_text(encoding="utf-8"))
        scores = json.loads((folder / SCORES).read_text(encoding="utf-8"))
        metrics = [json.loads(line) for line in (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
        charges = len((folder / "charges.jsonl").read_bytes().splitlines())
    except OSError as error:
        raise FileError(f"cannot read the file: {error.strerror}", str(error.filename), "name a run's folder") from None
    except ValueError:
        raise FileError("a file is not JSON", str(folder), "restore it, or run again") from None
    plan = WearablesPlan.of(read_toml(folder / "config.toml")[1], where=str(folder / "config.toml"))
    epsilon = account["epsilon"]
    content: dict[str, Any] = {
        "title": TITLE,
        "source": SOURCE,
        "plan": plan,
        "account": account,
        "charges": charges,
        "server": "none" if epsilon["server"] is None else show(epsilon["server"]),
        "release": "none" if epsilon["release"] is None else show(epsilon["release"]),
        "honest": round(plan.floor * plan.users) - round(plan.colluders * plan.users),
        "later": LATER,
        "windows": TRAINED_WINDOWS,
        "plots": _plots(metrics),
        "scores": scores,
        "stored": stored_table("wearables"),
    }
    path = folder / "report.html"
    replace_durably(path, render("population.html.j2", content).encode(), mode=0o666)
    return path


def _plots(metrics: list[dict[str, float]]) -> list[Plot]:
    if not metrics:
        return []
    x = [int(row["round"]) for row in metrics]
    loss, right = [row["loss"] for row in metrics], [row["accuracy"] for row in metrics]
    people = [row["people"] for row in metrics]
    note = "simulation only"
    return [
        lines("Log loss", x, {"loss": (loss, BLUE)}, alt=f"Log loss, from {loss[0]:.3f} to {loss[-1]:.3f}.", note=note),
        lines(
            "Accuracy before a person's own steps",
            x,
            {"accuracy": (right, GREEN)},
            alt=f"Accuracy, from {right[0]:.3f} to {right[-1]:.3f}.",
            note=note,
        ),
        lines(
            "People in the sum",
            x,
            {"people": (people, BLUE)},
            from_zero=True,
            alt=f"People in each round's sum: {min(people):.0f} to {max(people):.0f}.",
            note="the others dropped out",
        ),
    ]
