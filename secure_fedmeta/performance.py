# SPDX-License-Identifier: Apache-2.0
"""How a site computes its own gradients: no part of the plan, since it changes neither what is sent nor its epsilon."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

from .errors import EngineUnsafe, SettingError

if TYPE_CHECKING:
    from .algorithms.core import Algorithm
    from .engines import Engine
    from .parameters import Architecture
    from .plan import Plan

EngineName = Literal["loop", "stacked", "vmap", "compiled", "auto"]


@dataclass(frozen=True, slots=True)
class Performance:
    """Settings of one site; sites of one run may differ, and so may their last bits.

    Attributes:
        engine: `loop` computes any network unit by unit; `stacked` a batch of slots; `vmap` and `compiled` where a site
            is one unit; `auto` measures on tasks that hold no data.
        chunk: slots computed at a time; None for all of them. The last chunk is filled up with empty slots: a shorter
            one would have another shape, in which some networks round differently.
        threads: of torch while it computes; None leaves its setting.
        rows: (support, query) rows that a person's slot is padded to, where the unit is a person: choose them from
            public knowledge, never from the records. A person with more is computed alone. None: the plan's slots.

    Raises:
        SettingError: a value out of range.

    Example:
        >>> Performance(engine="stacked", chunk=16).engine
        'stacked'
        >>> Performance(threads=0)
        Traceback (most recent call last):
        ...
        secure_fedmeta.errors.SettingError: SFM-101: threads=0 (performance). Remedy: use a whole number from 1.
    """

    engine: EngineName = "loop"
    chunk: int | None = None
    threads: int | None = None
    rows: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        if self.engine not in get_args(EngineName):
            raise SettingError(f"engine={self.engine!r}", "performance", f"use one of {get_args(EngineName)}")
        for name in ("chunk", "threads"):
            value = getattr(self, name)
            if value is not None and not (isinstance(value, int) and value >= 1):
                raise SettingError(f"{name}={value!r}", "performance", "use a whole number from 1")
        if self.rows is not None and not _two_counts(self.rows):
            raise SettingError(f"rows={self.rows}", "performance", "use two numbers from 1 to 100000")

    @contextmanager
    def on_threads(self) -> Iterator[None]:
        """Run a block on the asked number of threads."""
        import torch

        before = torch.get_num_threads()
        if self.threads is not None:
            torch.set_num_threads(self.threads)
        try:
            yield
        finally:
            torch.set_num_threads(before)


def _two_counts(rows: object) -> bool:
    whole = isinstance(rows, tuple) and len(rows) == 2 and all(isinstance(one, int) for one in rows)
    return whole and all(1 <= one <= 100_000 for one in rows)  # type: ignore[attr-defined]


def site_engine(
    plan: Plan,
    architecture: Architecture,
    algorithm: Algorithm,
    performance: Performance,
    shape: tuple[int, ...] | None,
) -> Engine:
    """One site's engine: every batch has the public shape of its registered slots, whatever the records are.

    `shape` is that of one row; a site that holds nobody has none, and gets the loop, which has nothing to compute.

    Raises:
        EngineUnsafe: an engine for which nothing shows that units do not touch each other, with several at a site.
        ModelRefused, EngineRefused: the engine does not take this network, or not on this machine.
    """
    from .engines.auto import ENGINES, choose
    from .engines.compiled import CompiledEngine
    from .engines.loop import LoopEngine
    from .engines.slots import SlottedEngine, check_apart

    slow = LoopEngine(architecture, algorithm, loss=plan.loss)
    units = {"record": max(plan.support_slots, plan.query_slots), "task": plan.task_slots, "client": 1}[plan.unit]
    rows = (plan.support_slots, plan.query_slots)
    if plan.unit == "task" and performance.rows is not None:
        rows = performance.rows
    name, chunk = performance.engine, performance.chunk
    if name in ("vmap", "compiled") and units > 1:
        raise EngineUnsafe(
            f"engine {name} with {units} units at a site: its kernels are not shown to keep them apart bit for bit",
            "performance",
            "use engine stacked, loop or auto, or make the client the unit",
        )
    if shape is None:
        return slow
    if name == "auto":
        candidates = ("stacked",) if units > 1 else ("stacked", "vmap")
        with performance.on_threads():
            choice = choose(
                architecture,
                algorithm,
                loss=plan.loss,
                tasks=units,
                rows=(1, 1) if plan.unit == "record" else rows,
                shape=shape,
                candidates=candidates,
            )
        name, chunk = choice.engine, chunk or choice.chunk  # type: ignore[assignment]
    if name == "loop":
        return slow
    fast = (ENGINES | {"compiled": CompiledEngine})[name](architecture, algorithm, loss=plan.loss, chunk=chunk)
    if units > 1:
        theta, each = algorithm.start(architecture).numpy(), (1, 1) if plan.unit == "record" else rows
        try:
            check_apart(fast, theta, units=units, rows=each, shape=shape)
        except EngineUnsafe:
            if performance.engine != "auto":
                raise
            return slow
    classes = plan.classes if plan.loss == "cross-entropy" else None
    return SlottedEngine(fast, slow, units=units, rows=rows, shape=shape, classes=classes)
