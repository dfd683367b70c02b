# SPDX-License-Identifier: Apache-2.0
"""Engines: how per-unit gradients of any network are computed. The slow, obvious one is `loop`; others must agree."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ..tasks import Task


class Engine(Protocol):
    """Per-unit arrays, ready for clipping; theta is flat float64, (P,).

    A unit's row must depend on that unit and theta alone, bit for bit (`fedmeta_privacy.clipped_sum`), and a unit that
    fails or is not finite must leave the others as they are.
    """

    def contributions(self, theta: NDArray[np.float64], tasks: Sequence[Task]) -> NDArray[np.float64]:
        """What each task adds to the sum, (tasks, D)."""

    def adapted(self, theta: NDArray[np.float64], tasks: Sequence[Task]) -> NDArray[np.float64]:
        """The network's parameters after each task's adaptation, (tasks, P)."""

    def example_gradients(
        self, theta: NDArray[np.float64], rows: NDArray[np.float64], labels: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """One gradient of the loss a row, (n, P)."""

    def example_products(
        self,
        theta: NDArray[np.float64],
        rows: NDArray[np.float64],
        labels: NDArray[np.float64],
        vector: NDArray[np.float64],
    ) -> NDArray[np.float64]:
        """Hessian of each row's loss times one vector, (n, P)."""
