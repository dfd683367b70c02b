# SPDX-License-Identifier: Apache-2.0
"""A line per round: a live table on a terminal, plain lines elsewhere."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING

from rich.console import Console
from rich.live import Live
from rich.table import Table

from ..guarantee import show

if TYPE_CHECKING:
    from ..federation.simulation import RoundReport
    from ..pilots.pilot import Column
    from ..schedule import Schedule

COLUMNS = ("sites", "kB", "ms", "server", "release", "local", "left")
HEADER = "round    loss {:>6}  sites    kB      ms  eps: server  release    local   budget left"
VISIBLE = 12
NARROWEST_TABLE = 100


class RoundLog:
    """Shows each round as it closes. Loss and the pilot's figure are simulation only."""

    def __init__(self, console: Console, schedule: Schedule, figure: Column) -> None:
        self._console = console
        self._figure = figure
        self._schedule = schedule
        self._rows: list[tuple[str, ...]] = []
        wide = console.is_terminal and console.width >= NARROWEST_TABLE
        self._live = Live(console=console, auto_refresh=False) if wide else None

    def __enter__(self) -> RoundLog:
        if self._live is not None:
            self._live.__enter__()
        else:
            self._console.print(HEADER.format(self._figure.title))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.__exit__(kind, error, trace)

    def add(self, report: RoundReport, metrics: dict[str, float]) -> None:
        """One more round."""
        closed = report.closed
        private = self._schedule.private
        epsilons = [
            show(value) if private else "none"
            for value in (closed.spent.server, closed.spent.release, closed.spent.local)
        ]
        left = f"{closed.spent.budget_left:.1%}" if private else "-"
        sites = f"{len(closed.survivors)}/{closed.invited}" + ("!" if closed.aborted else "")
        row = (
            f"{closed.round}/{self._schedule.plan.rounds}",
            _three(metrics.get("loss")),
            _three(metrics.get(self._figure.key)),
            sites,
            f"{report.bytes_sent / 1e3:.1f}",
            f"{report.seconds * 1e3:.1f}",
            *epsilons,
            left,
        )
        self._rows.append(row)
        if self._live is not None:
            self._live.update(self._table(), refresh=True)
        else:
            widths = (6, 7, 6, 6, 5, 7, 12, 8, 8, 12)
            self._console.print(" ".join(f"{cell:>{width}}" for cell, width in zip(row, widths, strict=True)))
        if closed.aborted:
            self._console.print(f"  round {closed.round} opened no sum: {closed.aborted}", markup=False)
        for text in closed.findings:
            self._console.print(f"  {text}", markup=False)
        for text in report.rejected:
            self._console.print(f"  refused: {text}", markup=False)

    def _table(self) -> Table:
        table = Table(
            title=f"epsilon so far per view (odometer); loss and {self._figure.title}: simulation only",
            title_style="dim",
        )
        for column in ("round", "loss", self._figure.title, *COLUMNS):
            table.add_column(column, justify="right")
        for row in self._rows[-VISIBLE:]:
            table.add_row(*row)
        return table


def _three(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
