# SPDX-License-Identifier: Apache-2.0
"""A progress bar for long work: on a terminal, and nowhere else."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def bar(total: int, *, done: int = 0, shown: bool = True) -> Iterator[Callable[[], None]]:
    """Yields a function to be called after each round; writes to stderr, and only if that is a terminal.

    Example:
        >>> with bar(2, shown=False) as advance:
        ...     advance()
    """
    if not shown:
        yield lambda: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (TextColumn("rounds"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as progress:
        task = progress.add_task("rounds", total=total, completed=done)
        yield lambda: progress.advance(task)
