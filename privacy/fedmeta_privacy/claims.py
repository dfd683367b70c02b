# SPDX-License-Identifier: Apache-2.0
"""Which guarantees may be stated at all: unit x view x adjacency x mode, under stated circumstances.

An epsilon means nothing without saying whose data it protects (unit), from whom (view), against which change
(adjacency)
and by which argument (mode). The table below is the whole list; everything else is refused, each with its own reason.

    unit     mode             adjacency            what one unit moves in one release
    record   bounded-glm      slot, replace-one    `sensitivity`: the larger role
    record   noisy-inner      slot, replace-one    the clip of each release; twice that for replace-one
    task     task-is-person   slot, replace-one    the clip of a person's meta-gradient; twice that for replace-one
    client   client-vector    zero-out, replace    the clip of the site's vector; twice that for replace-one

All three views hold for each row; they differ in how many noises count (`View`).
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
    CLIENT_VECTOR = "client-vector"


class Network(Enum):
    """What is learned."""

    GLM = "generalised linear model"
    ANY = "any network"


class Sampling(Enum):
    """Who takes part in a round: everybody, those picked by a secret coin, or those picked by one the server knows."""

    NONE = "none"
    SECRET = "secret"  # noqa: S105 - a coin, not a password
    KNOWN = "known to the server"


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What else a claim depends on.

    Attributes:
        network: a generalised linear model or anything.
        second_order: whether the meta-gradient differentiates through the adaptation.
        private_hessian: whether each Hessian product of the adaptation is clipped and noised (noisy-inner).
        sampling: whether a sampling probability is to lower epsilon.
        stated_factor: multiple of the clip that the noise is to be scaled by; None leaves it to the table.
    """

    network: Network = Network.GLM
    second_order: bool = False
    private_hessian: bool = False
    sampling: Sampling = Sampling.NONE
    stated_factor: int | None = None


@dataclass(frozen=True, slots=True)
class Claim:
    """One row of the claim table.

    Example:
        >>> row = claim(Unit.RECORD, View.SERVER, Adjacency.SLOT, Mode.BOUNDED_GLM)
        >>> row.sees, row.factor
        ('the sum of each round, minus the noise of the colluding sites', 1)
    """

    unit: Unit
    view: View
    adjacency: Adjacency
    mode: Mode

    @property
    def sees(self) -> str:
        """What the view's holder is assumed to see."""
        return _SEES[self.view]

    @property
    def factor(self) -> int:
        """How many clips apart two neighbours can be: replacing a unit empties its place and fills it again."""
        return 2 if self.adjacency is Adjacency.REPLACE_ONE else 1


_SEES = {
    View.SERVER: "the sum of each round, minus the noise of the colluding sites",
    View.RELEASE: "the models that are published",
    View.LOCAL: "each site's upload by itself, as if there were no secure aggregation",
}

_NO_CONSTANT = (
    "a network has no constant that bounds its gradient and Hessian, so one support record may move every query "
    "gradient by any amount"
)

_MODES = {
    Unit.RECORD: (Mode.BOUNDED_GLM, Mode.NOISY_INNER),
    Unit.TASK: (Mode.TASK_IS_PERSON,),
    Unit.CLIENT: (Mode.CLIENT_VECTOR,),
}

_WRONG_MODE = {
    (
        Unit.RECORD,
        Mode.TASK_IS_PERSON,
    ): "the clip bounds a person with all their rows; state unit=task, which implies it",
    (Unit.RECORD, Mode.CLIENT_VECTOR): "the clip bounds a site's whole vector; state unit=client, which implies it",
    (
        Unit.TASK,
        Mode.BOUNDED_GLM,
    ): "the bound is of one record; a person with g rows needs g times the noise or unit=task",
    (Unit.TASK, Mode.NOISY_INNER): "each release clips one record; a person with several rows is in it several times",
    (Unit.TASK, Mode.CLIENT_VECTOR): "the clip bounds a site's whole vector; state unit=client, which implies it",
    (Unit.CLIENT, Mode.BOUNDED_GLM): "a site holds as many records as it has slots, each moving the sum",
    (Unit.CLIENT, Mode.NOISY_INNER): "a site holds as many records as it has slots, each in every release",
    (Unit.CLIENT, Mode.TASK_IS_PERSON): "a site holds as many persons as it has slots, each moving the sum by a clip",
}

_WRONG_ADJACENCY = {
    (
        Unit.RECORD,
        Adjacency.ZERO_OUT,
    ): "a record's contribution is not a row of the sum: it acts through the adaptation "
    "too; emptying its slot is what is proved",
    (Unit.TASK, Adjacency.ZERO_OUT): "a person's slot is emptied, which is the same change under the name slot",
    (Unit.CLIENT, Adjacency.SLOT): "the cohort is public, so a site cannot be hidden as a member; what it holds can: "
    "zero-out",
}


def _refusal(unit: Unit, view: View, adjacency: Adjacency, mode: Mode, given: Circumstances) -> tuple[str, str]:
    """(reason, remedy) of the first rule that the combination breaks; empty if it breaks none."""
    record_of_network = unit is Unit.RECORD and given.network is Network.ANY and mode is not Mode.NOISY_INNER
    needed = Claim(unit, view, adjacency, mode).factor
    rules = (
        (
            record_of_network,
            _NO_CONSTANT,
            "use mode=noisy-inner, or unit=task",
        ),
        (
            (unit, mode) in _WRONG_MODE,
            _WRONG_MODE.get((unit, mode), ""),
            f"use mode={' or '.join(one.value for one in _MODES[unit])}",
        ),
        (
            (unit, adjacency) in _WRONG_ADJACENCY,
            _WRONG_ADJACENCY.get((unit, adjacency), ""),
            f"use adjacency={_allowed(unit)}",
        ),
        (
            mode is Mode.NOISY_INNER and given.second_order and not given.private_hessian,
            "second order reads the support records once more, through the Hessian, and no noise covers that",
            "use first order, or private Hessian products",
        ),
        (
            given.sampling is Sampling.KNOWN,
            "the server knows who takes part, so being picked hides nobody from it",
            "count every round taken part in with q = 1",
        ),
        (
            given.sampling is Sampling.SECRET and view is not View.RELEASE,
            f"in the {view.value} view the sender of each upload is known, so a secret coin is secret no more",
            "count every round taken part in with q = 1, or claim the release view",
        ),
        (
            given.stated_factor is not None and given.stated_factor < needed,
            f"neighbours are up to {needed} clips apart, and the noise is scaled for {given.stated_factor}",
            f"scale the noise by {needed} times the clip, or use adjacency={_allowed(unit)}",
        ),
    )
    return next(((reason, remedy) for broken, reason, remedy in rules if broken), ("", ""))


def _allowed(unit: Unit) -> str:
    return "zero-out" if unit is Unit.CLIENT else "slot"


def claim(
    unit: Unit,
    view: View,
    adjacency: Adjacency,
    mode: Mode,
    given: Circumstances | None = None,
) -> Claim:
    """Return the row of the table, or refuse.

    Raises:
        UnsupportedClaim: the combination is not in the table; the text says which rule it breaks.

    Example:
        >>> claim(Unit.CLIENT, View.SERVER, Adjacency.SLOT, Mode.CLIENT_VECTOR)
        Traceback (most recent call last):
        ...
        fedmeta_privacy.errors.UnsupportedClaim: SFM-302: ...the cohort is public...
    """
    reason, remedy = _refusal(unit, view, adjacency, mode, given or Circumstances())
    if not reason:
        return Claim(unit, view, adjacency, mode)
    raise UnsupportedClaim(
        f"no guarantee is proved for unit={unit.value}, view={view.value}, adjacency={adjacency.value}, "
        f"mode={mode.value}: {reason}",
        remedy,
    )
