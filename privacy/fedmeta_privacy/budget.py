# SPDX-License-Identifier: Apache-2.0
"""The filter that decides: a client's own count of what it has released.

Guarantee: if every release is charged before it leaves, with a squared Gaussian shift that is known
before the release, and the charges never exceed mu_B^2, then all releases together are mu_B-GDP, however
the server chose them (the Gaussian filter of Smith and Thakurta 2022, arXiv 2210.17520; Koskela et al.
2022, arXiv 2209.15596). Composing what was *realised* is not a valid filter.

A round is charged with its floor, the noise of the fewest honest survivors that the client accepts. It is
lowered to the realised value only once the survivors are known. An unfinished round keeps its floor.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass

from .errors import BudgetExceeded, JournalDamaged, PlanError

_OUTWARD = 1 + 2.0**-50  # sums are rounded up


@dataclass(slots=True)
class GdpFilter:
    """One client's charges, with a journal that replays them.

    `charge` and `settle` return the line that makes the change durable; a shell must have it on disk
    before it lets the round's upload leave.

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

    limit: float
    _charges: dict[int, float]

    def __init__(self, limit: float) -> None:
        if not (math.isfinite(limit) and limit >= 0):
            raise PlanError(f"a budget of mu^2={limit!r} is no budget", "derive it from epsilon and delta")
        self.limit = limit
        self._charges = {}

    @property
    def spent(self) -> float:
        """Sum of all charges, rounded up."""
        return math.fsum(self._charges.values()) * _OUTWARD

    def affords(self, shift: float) -> bool:
        """Whether a release with this squared shift would be accepted. NaN and negative shifts never are."""
        return shift >= 0 and math.fsum((*self._charges.values(), shift)) * _OUTWARD <= self.limit

    @property
    def last_round(self) -> int:
        """The highest round charged, 0 before the first."""
        return max(self._charges, default=0)

    def charge(self, *, round: int, shift: float) -> bytes:  # noqa: A002 - the field's word
        """Charge a round with its floor before anything leaves.

        Raises:
            BudgetExceeded: no room; nothing is charged.
            PlanError: this round was charged before. A repeat is a new release and needs a new number.
        """
        if round in self._charges:
            raise PlanError(f"round {round} is charged already", "give a repeated round a new number")
        if not self.affords(shift):
            raise BudgetExceeded(spent=self.spent, asked=shift, limit=self.limit)
        self._charges[round] = shift
        return self._line("charge", round, shift)

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
        return self._line("settle", round, shift)

    def _line(self, kind: str, number: int, shift: float) -> bytes:
        entry = {"limit": self.limit.hex(), "round": number, "shift": shift.hex(), "type": kind}
        return json.dumps(entry, sort_keys=True, separators=(",", ":")).encode() + b"\n"

    @classmethod
    def replay(cls, limit: float, journal: bytes) -> GdpFilter:
        """Rebuild the filter from its journal.

        A last line without its newline was never made durable, so its upload never left: it is dropped.

        Raises:
            JournalDamaged: a complete line that is not one of ours, or a journal of another budget.
        """
        restored = cls(limit)
        for number, line in enumerate(journal.split(b"\n")[:-1], start=1):
            try:
                entry = json.loads(line)
                kind, at = entry["type"], entry["round"]
                shift, stated = float.fromhex(entry["shift"]), float.fromhex(entry["limit"])
            except (ValueError, KeyError, TypeError, AttributeError):
                raise JournalDamaged(f"line {number} of the budget journal is not readable", _RESTORE) from None
            if stated != limit or not isinstance(at, int) or kind not in {"charge", "settle"}:
                raise JournalDamaged(f"line {number} of the budget journal belongs to another budget", _RESTORE)
            if (kind == "charge" and at not in restored._charges and shift >= 0) or (
                kind == "settle" and 0 <= shift < restored._charges.get(at, -1.0)
            ):
                restored._charges[at] = shift
            else:
                raise JournalDamaged(f"line {number} of the budget journal does not follow", _RESTORE)
        return restored


_RESTORE = "restore the journal from a copy; without it, treat the budget as spent"
