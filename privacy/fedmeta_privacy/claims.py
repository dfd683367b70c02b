# SPDX-License-Identifier: Apache-2.0
"""Which guarantees may be stated at all: unit x view x adjacency x mode.

An epsilon means nothing without saying whose data it protects (unit), from whom (view), against which
change (adjacency) and by which argument (mode). The table below is the whole list; everything else is
refused with the reason, not guessed.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from .errors import UnsupportedClaim


class Unit(Enum):
    """Whose data a guarantee protects."""

    RECORD = "record"
    TASK = "task"
    CLIENT = "client"


class View(Enum):
    """Who could see what."""

    SERVER = "server"
    RELEASE = "release"
    LOCAL = "local"


class Adjacency(Enum):
    """Which change of the data is hidden."""

    SLOT = "slot"
    REPLACE_ONE = "replace-one"
    ZERO_OUT = "zero-out"


class Mode(Enum):
    """By which argument."""

    BOUNDED_GLM = "bounded-glm"
    NOISY_INNER = "noisy-inner"
    TASK_IS_PERSON = "task-is-person"


@dataclass(frozen=True, slots=True)
class Claim:
    """One row of the claim table.

    Example:
        >>> claim(Unit.RECORD, View.SERVER, Adjacency.SLOT, Mode.BOUNDED_GLM).sees
        'the sum of each round, minus the noise of the colluding sites'
    """

    unit: Unit
    view: View
    adjacency: Adjacency
    mode: Mode

    @property
    def sees(self) -> str:
        """What the view's holder is assumed to see."""
        return _SEES[self.view]


_SEES = {
    View.SERVER: "the sum of each round, minus the noise of the colluding sites",
    View.RELEASE: "the models that are published",
    View.LOCAL: "each site's upload by itself, as if there were no secure aggregation",
}

_TABLE = frozenset((Unit.RECORD, view, Adjacency.SLOT, Mode.BOUNDED_GLM) for view in View)

_WHY_NOT = {
    Unit.TASK: "task-level claims are not offered by this version",
    Unit.CLIENT: "client-level claims are not offered by this version",
}


def claim(unit: Unit, view: View, adjacency: Adjacency, mode: Mode) -> Claim:
    """Return the row of the table, or refuse.

    Raises:
        UnsupportedClaim: the combination is not in the table.
    """
    if (unit, view, adjacency, mode) in _TABLE:
        return Claim(unit, view, adjacency, mode)
    if unit in _WHY_NOT:
        reason = _WHY_NOT[unit]
    elif mode is not Mode.BOUNDED_GLM:
        reason = f"mode {mode.value} is not offered by this version"
    else:
        reason = f"adjacency {adjacency.value} is not offered for records by this version"
    raise UnsupportedClaim(
        f"no guarantee is proved for unit={unit.value}, view={view.value}, adjacency={adjacency.value}, "
        f"mode={mode.value}: {reason}",
        "use unit=record, adjacency=slot, mode=bounded-glm",
    )
