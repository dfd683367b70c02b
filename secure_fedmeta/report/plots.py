# SPDX-License-Identifier: Apache-2.0
"""Figures of a run as SVG text, byte-identical for identical runs."""

from __future__ import annotations

import io
import math
import re
from typing import Any, NamedTuple

BLUE, ORANGE, GREEN, GREY = "#0b5cad", "#b35900", "#0a7d4f", "#6b7280"


class Plot(NamedTuple):
    """A figure with the sentence that replaces it for those who do not see it."""

    title: str
    alt: str
    svg: str


def round_plots(run: Any) -> list[Plot]:
    """Loss, AUROC and epsilon per round; empty for a run without rounds."""
    if not run.rounds:
        return []
    rounds = [report.closed.round for report in run.rounds]
    loss = [row.get("loss", math.nan) for row in run.metrics]
    auroc = [row.get("auroc", math.nan) for row in run.metrics]
    plots = [
        _lines(
            "Loss on unseen patients",
            rounds,
            {"loss": (loss, BLUE)},
            alt=f"Loss per round, from {loss[0]:.3f} to {loss[-1]:.3f}.",
            note="simulation only",
        ),
        _lines(
            "AUROC on unseen patients",
            rounds,
            {"AUROC": (auroc, GREEN)},
            floor_span=0.04,
            alt=f"AUROC per round, from {auroc[0]:.3f} to {auroc[-1]:.3f}.",
            note="simulation only",
        ),
    ]
    if run.schedule.private:
        spent = [report.closed.spent for report in run.rounds]
        views = {
            "server": ([s.server for s in spent], BLUE),
            "published models": ([s.release for s in spent], GREEN),
            "each upload": ([s.local for s in spent], ORANGE),
        }
        ends = ", ".join(f"{name} {values[-1]:.2f}" for name, (values, _) in views.items())
        plots.append(
            _lines(
                "Epsilon so far, by who looks",
                rounds,
                views,
                alt=f"Epsilon per round for three views; at the end: {ends}. The budget is {run.plan.epsilon:g}.",
                note=f"delta {run.plan.delta:g}",
                limit=run.plan.epsilon,
            )
        )
    return plots


def _lines(
    title: str,
    x: list[int],
    series: dict[str, tuple[list[float], str]],
    *,
    alt: str,
    note: str,
    limit: float | None = None,
    floor_span: float | None = None,
) -> Plot:
    import matplotlib as mpl
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    with mpl.rc_context({"svg.hashsalt": "secure-fedmeta", "svg.fonttype": "none", "font.family": "sans-serif"}):
        figure = Figure(figsize=(4.6, 2.7), layout="constrained")
        axes = figure.subplots()
        for name, (values, colour) in series.items():
            axes.plot(x, values, color=colour, linewidth=1.8, label=name, marker="o" if len(x) < 3 else None)
        if limit is not None:
            axes.axhline(limit, color=GREY, linewidth=1, linestyle="--", label="budget")
        if len(series) > 1:
            axes.legend(frameon=False, fontsize=8)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        if floor_span is not None:
            low, high = axes.get_ylim()
            if high - low < floor_span:
                middle = (low + high) / 2
                axes.set_ylim(middle - floor_span / 2, middle + floor_span / 2)
        axes.set_xlabel(f"round ({note})", fontsize=9)
        axes.tick_params(labelsize=8)
        axes.spines[["top", "right"]].set_visible(False)
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :]
    # The alternative text belongs to the image itself; the generator's metadata block does not.
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    return Plot(title, alt, svg)
