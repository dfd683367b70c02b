# SPDX-License-Identifier: Apache-2.0
"""Watchers for `federate` that also tell an experiment tracker: TensorBoard or MLflow, as extras.

What they are told is what a run shows anyway: scores (the simulator's privilege, not covered by any epsilon) and the
epsilon of each view. In a deployment scores stay on the sites: pass no watcher there but `epsilons`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .errors import UsageError

if TYPE_CHECKING:
    from .federation.simulation import RoundReport

Watcher = Callable[["RoundReport", NDArray[np.float64]], Mapping[str, float]]
Scalar = Callable[[str, float, int], None]


def epsilons(report: RoundReport, theta: NDArray[np.float64]) -> dict[str, float]:
    """Epsilon so far per view, and survivors: nothing that depends on records but through the guarantee."""
    del theta
    views = {f"epsilon_{view}": value for view, value in report.closed.spent.as_views().items() if math.isfinite(value)}
    return {**views, "survivors": float(len(report.closed.survivors))}


def tracked(scalar: Scalar, watch: Watcher | None = None) -> Watcher:
    """A watcher that calls `scalar(name, value, round)` for all of `epsilons` and of another watcher's figures.

    Example:
        >>> seen = []
        >>> watcher = tracked(lambda name, value, step: seen.append(name))
        >>> callable(watcher)
        True
    """

    def watcher(report: RoundReport, theta: NDArray[np.float64]) -> Mapping[str, float]:
        own = dict(watch(report, theta)) if watch is not None else {}
        for name, value in {**epsilons(report, theta), **own}.items():
            scalar(name, float(value), report.closed.round)
        return own

    return watcher


def tensorboard(folder: str | Path, watch: Watcher | None = None) -> Watcher:
    """Write events for TensorBoard into a folder.

    Raises:
        UsageError: tensorboard is not installed.
    """
    try:
        from tensorboard.summary import Writer  # type: ignore[import-not-found, import-untyped, unused-ignore]
    except ImportError:
        raise _missing("tensorboard") from None
    writer = Writer(str(folder))

    def scalar(name: str, value: float, step: int) -> None:
        writer.add_scalar(name, value, step)
        writer.flush()

    return tracked(scalar, watch)


def mlflow(watch: Watcher | None = None, **settings: Any) -> Watcher:
    """Log into the active MLflow run; `settings` are logged once as parameters, for instance `plan.model_dump()`.

    Raises:
        UsageError: mlflow is not installed.
    """
    try:
        import mlflow as tracker  # type: ignore[import-not-found, import-untyped, unused-ignore]
    except ImportError:
        raise _missing("mlflow") from None
    if settings:
        tracker.log_params(settings)
    return tracked(lambda name, value, step: tracker.log_metric(name, value, step=step), watch)


def _missing(name: str) -> UsageError:
    return UsageError(f"{name} is not installed", "tracking", f'pip install "secure-fedmeta[{name}]"')
