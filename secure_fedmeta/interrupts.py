# SPDX-License-Identifier: Apache-2.0
"""Ctrl-C that waits for the end of a round, so that every line of a ledger is made and written whole."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

_HELD = (signal.SIGINT, signal.SIGTERM)
_PATIENCE = 2


@contextmanager
def held_interrupts() -> Iterator[Callable[[], None]]:
    """Hold interrupts back inside the block; yields a function that raises what was held.

    The third one in a row is not held. Where the caller has handlers of its own, or outside the main thread,
    nothing is held.

    Example:
        >>> with held_interrupts() as release:
        ...     release()  # nothing was held
    """
    pending: list[int] = []

    def hold(number: int, frame: FrameType | None) -> None:
        pending.append(number)
        if len(pending) > _PATIENCE:
            signal.default_int_handler(number, frame)

    def release() -> None:
        if pending:
            raise KeyboardInterrupt

    ours: list[signal.Signals] = []
    if threading.current_thread() is threading.main_thread():
        ours = [number for number in _HELD if signal.getsignal(number) is signal.default_int_handler]
    for number in ours:
        signal.signal(number, hold)
    try:
        yield release
    finally:
        for number in ours:
            signal.signal(number, signal.default_int_handler)
