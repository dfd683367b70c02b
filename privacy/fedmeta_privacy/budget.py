# SPDX-License-Identifier: Apache-2.0
"""What decides: a client's own filter over what it has released.

A filter is charged before a release with a bound that is known before it, and refuses the charge that would overspend;
then everything released together keeps the budget, however a server chose the rounds from earlier outputs. An
*odometer*, which composes what was realised and stops when that looks too much, does not: two paths that each keep
(eps, delta) can together break it by 37 % in delta (tests/attacks/privacy). So deciding is a type here: only the
classes of this room that have a proof are `PrivacyFilter`s, and anything else is refused as one.

A round is charged with its floor, the noise of the fewest honest survivors that the client accepts. It is
lowered to the realised value only once the survivors are known. An unfinished round keeps its floor.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar, Self

from .errors import BudgetExceeded, JournalDamaged, NotAFilter, PlanError
from .journal import RESTORE, Journal, Witness

_OUTWARD = 1 + 2.0**-50  # sums are rounded up
_HOME = __name__.rpartition(".")[0]


class PrivacyFilter(ABC):
    """Charges by round number, with the journal that replays them.

    Charging and settling return the line that makes the change durable; a shell must have it on disk before it lets the
    round's upload leave.

    Attributes:
        kind: the filter's name in its journal.
        last_round: the highest round charged, 0 before the first.
        charged_rounds: all of them.
        witness: number and hash of the newest line, to be kept in a second place.
    """

    kind: ClassVar[str]

    def __init_subclass__(cls) -> None:
        """Refuse a filter without a proof: an odometer does not become a filter by inheriting from one."""
        super().__init_subclass__()
        if cls.__module__ not in {f"{_HOME}.budget", f"{_HOME}.filters"}:
            raise NotAFilter(cls.__name__)

    def __init__(self, declaration: Mapping[str, object]) -> None:
        self._journal = Journal({"filter": self.kind} | dict(declaration))
        self._rounds: set[int] = set()

    @property
    def last_round(self) -> int:
        """The highest round charged, 0 before the first."""
        return max(self._rounds, default=0)

    @property
    def charged_rounds(self) -> frozenset[int]:
        """Every round charged."""
        return frozenset(self._rounds)

    @property
    def witness(self) -> Witness:
        """Number and hash of the newest line."""
        return self._journal.witness

    def _begin(self, round: int) -> None:  # noqa: A002 - the field's word
        if round in self._rounds:
            raise PlanError(f"round {round} is charged already", "give a repeated round a new number")

    def _line(self, kind: str, number: int, value: Mapping[str, object]) -> bytes:
        self._rounds.add(number)
        return self._journal.line({"round": number, "type": kind} | dict(value))

    def _follow(self, journal: bytes, witness: Witness | None) -> Self:
        """Apply every line of a journal to this fresh filter."""
        for number, entry in self._journal.read(journal, witness):
            kind, at = entry.get("type"), entry.get("round")
            try:
                followed = isinstance(at, int) and not isinstance(at, bool) and self._apply(str(kind), at, entry)
            except (ValueError, KeyError, TypeError, AttributeError, OverflowError):
                raise JournalDamaged(f"line {number} of the budget journal is not readable", RESTORE) from None
            if not followed or not isinstance(at, int):
                raise JournalDamaged(f"line {number} of the budget journal does not follow", RESTORE)
            self._rounds.add(at)
        return self

    @abstractmethod
    def _apply(self, kind: str, number: int, entry: Mapping[str, object]) -> bool:
        """Apply one line; False if it is not one that this filter would have written here."""


def require_filter(candidate: object) -> PrivacyFilter:
    """`candidate`, if it may decide.

    Raises:
        NotAFilter: it is an odometer, or something else without a filter's proof.

    Example:
        >>> require_filter(GdpFilter(limit=1.0)).kind
        'gdp'
    """
    if not isinstance(candidate, PrivacyFilter):
        raise NotAFilter(type(candidate).__name__)
    return candidate


class GdpFilter(PrivacyFilter):
    """For releases in which every unit takes part.

    Guarantee: if every release is charged before it leaves, with a squared Gaussian shift that is known before the
    release, and the charges never exceed mu_B^2, then all releases together are mu_B-GDP (the Gaussian filter of Smith
    and Thakurta 2022, arXiv 2210.17520; Koskela et al. 2022, arXiv 2209.15596).

    Attributes:
        limit: mu_B^2.

    Example:
        >>> spent = GdpFilter(limit=1.0)
        >>> line = spent.charge(round=1, shift=0.8)
        >>> line += spent.settle(round=1, shift=0.5)
        >>> round(spent.spent, 6), GdpFilter.replay(1.0, line).spent == spent.spent
        (0.5, True)
        >>> spent.charge(round=2, shift=0.6)
        Traceback (most recent call last):
        ...
        fedmeta_privacy.errors.BudgetExceeded: SFM-304: ...
    """

    kind = "gdp"

    def __init__(self, limit: float) -> None:
        if not (math.isfinite(limit) and limit >= 0):
            raise PlanError(f"a budget of mu^2={limit!r} is no budget", "derive it from epsilon and delta")
        super().__init__({"limit": float(limit).hex()})
        self.limit = limit
        self._charges: dict[int, float] = {}

    @property
    def spent(self) -> float:
        """Sum of all charges, rounded up."""
        return math.fsum(self._charges.values()) * _OUTWARD

    def affords(self, shift: float) -> bool:
        """Whether a release with this squared shift would be accepted. NaN and negative shifts never are."""
        return shift >= 0 and math.fsum((*self._charges.values(), shift)) * _OUTWARD <= self.limit

    def charge(self, *, round: int, shift: float) -> bytes:  # noqa: A002 - the field's word
        """Charge a round with its floor before anything leaves.

        Raises:
            BudgetExceeded: no room; nothing is charged.
            PlanError: this round was charged before. A repeat is a new release and needs a new number.
        """
        self._begin(round)
        if not self.affords(shift):
            raise BudgetExceeded(spent=self.spent, asked=shift, limit=self.limit)
        self._charges[round] = shift
        return self._line("charge", round, {"shift": float(shift).hex()})

    def settle(self, *, round: int, shift: float) -> bytes:  # noqa: A002
        """Lower a charged round to what its survivors realised; never raises a charge.

        Returns the journal line, empty when there is nothing to lower.
        """
        charged = self._charges.get(round)
        if charged is None:
            raise PlanError(f"round {round} was never charged", "charge it before its upload leaves")
        if not 0 <= shift < charged:
            return b""
        self._charges[round] = shift
        return self._line("settle", round, {"shift": float(shift).hex()})

    @classmethod
    def replay(cls, limit: float, journal: bytes, *, witness: Witness | None = None) -> GdpFilter:
        """Rebuild the filter from its journal.

        A last line without its newline was never made durable, so its upload never left: it is dropped.

        Raises:
            JournalDamaged: a complete line that is not one of ours, or a journal of another budget.
            JournalRolledBack: the journal lacks what `witness` has seen.
        """
        return cls(limit)._follow(journal, witness)

    def _apply(self, kind: str, number: int, entry: Mapping[str, object]) -> bool:
        shift = float.fromhex(_text(entry["shift"]))
        old = self._charges.get(number)
        fits = old is None and self.affords(shift) if kind == "charge" else old is not None and 0 <= shift < old
        if kind not in {"charge", "settle"} or not fits:
            return False
        self._charges[number] = shift
        return True


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("a number is not written as text")
    return value
