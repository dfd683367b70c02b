# SPDX-License-Identifier: Apache-2.0
"""Figures of a run as SVG text, byte-identical for identical runs, in the colours of the page around them."""

from __future__ import annotations

import io
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from .facts import Facts

# Marks in the drawing, replaced by the page's own colours, which differ in the dark.
BLUE, ORANGE, GREEN, GREY = "#0000f1", "#f1a000", "#00f100", "#808081"
_COLOURS = {
    BLUE: "var(--blue)",
    ORANGE: "var(--orange)",
    GREEN: "var(--green)",
    GREY: "var(--soft)",
    "#000000": "var(--text)",
    "#cccccc": "var(--line)",
}
MOST_POINTS = 300
Series = Mapping[str, tuple[Sequence[float | None], str]]


class Plot(NamedTuple):
    """A figure with the sentence that replaces it for those who do not see it."""

    title: str
    alt: str
    svg: str


def round_plots(facts: Facts, live: tuple[str, str]) -> list[Plot]:
    """Loss, the pilot's figure (key, title), epsilon, survivors, bytes and time per round; empty without rounds."""
    rounds = facts.numbers
    if not rounds:
        return []
    key, title = live
    plots = []
    loss, figure = facts.metric("loss"), facts.metric(key)
    if any(value is not None for value in loss):
        plots.append(
            lines("Loss", rounds, {"loss": (loss, BLUE)}, alt=f"Loss per round{_ends(loss)}.", note="simulation only")
        )
    if any(value is not None for value in figure):
        plots.append(
            lines(
                title,
                rounds,
                {title: (figure, GREEN)},
                floor_span=0.04,
                alt=f"{title} per round{_ends(figure)}.",
                note="simulation only",
            )
        )
    if facts.record.private:
        plots.append(_epsilons(facts, rounds))
    survivors = [float(each.survivors) for each in facts.record.rounds]
    plots.append(
        lines(
            "Sites in the sum",
            rounds,
            {"sites": (survivors, BLUE)},
            limit=(float(facts.schedule.clients), "invited"),
            from_zero=True,
            alt=f"Sites in each round's sum: {min(survivors):.0f} to {max(survivors):.0f} of {facts.schedule.clients}.",
            note="0: no sum opened",
        )
    )
    for name, key_, colour, scale in (
        ("kB on the wire", "bytes", ORANGE, 1e-3),
        ("Milliseconds", "seconds", ORANGE, 1e3),
    ):
        values = [None if v is None else v * scale for v in facts.metric(key_)]
        if any(value is not None for value in values):
            plots.append(
                lines(
                    f"{name} per round",
                    rounds,
                    {name: (values, colour)},
                    from_zero=True,
                    alt=f"{name} per round{_ends(values, digits=1)}.",
                    note="all parties in one process",
                )
            )
    return plots


def _epsilons(facts: Facts, rounds: Sequence[int]) -> Plot:
    names = {"server": ("server", BLUE), "release": ("published models", GREEN), "local": ("each upload", ORANGE)}
    views: dict[str, tuple[list[float | None], str]] = {
        label: ([each.get(view) for each in facts.curves], colour) for view, (label, colour) in names.items()
    }
    ends = ", ".join(f"{name} {values[-1]:.2f}" for name, (values, _) in views.items() if values[-1] is not None)
    budget = facts.record.planned_epsilon
    return lines(
        "Epsilon so far, by who looks",
        rounds,
        views,
        alt=f"Epsilon per round for three views; at the end: {ends}. The budget is {budget:g}.",
        note=f"delta {facts.record.delta:g}",
        limit=None if budget is None else (budget, "budget"),
        from_zero=True,
    )


def _ends(values: Sequence[float | None], digits: int = 3) -> str:
    known = [value for value in values if value is not None and math.isfinite(value)]
    return f", from {known[0]:.{digits}f} to {known[-1]:.{digits}f}" if known else ""


def lines(
    title: str,
    x: Sequence[int],
    series: Series,
    *,
    alt: str,
    note: str,
    limit: tuple[float, str] | None = None,
    floor_span: float | None = None,
    from_zero: bool = False,
) -> Plot:
    """One figure of lines over rounds; series of other lengths than x run from its start."""
    import matplotlib as mpl
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    x, series = _thinned(x, series)
    look: Any = {"svg.hashsalt": "secure-fedmeta", "svg.fonttype": "none", "font.family": "sans-serif"}
    look["text.parse_math"] = False  # a name from a file is no formula
    with mpl.rc_context(look):
        figure = Figure(figsize=(4.6, 2.6), layout="constrained", facecolor="none")
        axes = figure.subplots()
        axes.set_facecolor("none")
        for name, (values, colour) in series.items():
            known = [math.nan if value is None else value for value in values]
            mark = "o" if len(known) < 3 else None
            axes.plot(x[: len(known)], known, color=colour, linewidth=1.8, label=name, marker=mark)
        if limit is not None:
            axes.axhline(limit[0], color=GREY, linewidth=1, linestyle="--", label=limit[1])
        if len(series) > 1 or limit is not None:
            axes.legend(fontsize=8, frameon=False)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        _span(axes, floor_span, from_zero)
        axes.set_xlabel(f"round ({note})", fontsize=9)
        axes.tick_params(labelsize=8)
        axes.spines[["top", "right"]].set_visible(False)
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    return Plot(title, alt, _inline(buffer.getvalue()))


def _thinned(x: Sequence[int], series: Series) -> tuple[Sequence[int], Series]:
    """At most `MOST_POINTS` of them, evenly, the last one among them: a long run's page stays small."""
    if len(x) <= MOST_POINTS:
        return x, series
    step = math.ceil(len(x) / MOST_POINTS)
    kept = sorted({*range(0, len(x), step), len(x) - 1})
    return [x[i] for i in kept], {
        name: ([values[i] for i in kept if i < len(values)], colour) for name, (values, colour) in series.items()
    }


def _span(axes: object, floor_span: float | None, from_zero: bool) -> None:
    low, high = axes.get_ylim()  # type: ignore[attr-defined]
    if floor_span is not None and high - low < floor_span:
        middle = (low + high) / 2
        low, high = middle - floor_span / 2, middle + floor_span / 2
    if from_zero:
        low, high = 0.0, max(high, 1e-9)
    axes.set_ylim(low, high)  # type: ignore[attr-defined]


def _inline(svg: str) -> str:
    """The drawing without its file's head; the alternative text belongs to the figure around it."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r"<!--.*?-->", "", svg, flags=re.DOTALL)
    svg = re.sub(r"\n\s*", "\n", svg)
    # Text has no fill of its own in the file, and would stay black on a dark page.
    svg = svg.replace('style="font', 'style="fill: #000000; font')
    for mark, colour in _COLOURS.items():
        svg = svg.replace(mark, colour)
    return svg.replace("<svg ", '<svg aria-hidden="true" ', 1)
