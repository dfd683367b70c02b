# SPDX-License-Identifier: Apache-2.0
"""The lines that make a filter's charges durable: numbered, chained by hash, and witnessed elsewhere.

Each line names the SHA-256 of the line before it; the first names the hash of what the filter declared. So a line that
is altered, left out, repeated or of another budget does not follow. A whole journal put back to an older state *does*
follow: a restored snapshot of the machine forgets charges. Against that, a second place (another disk, a monotone
counter, the clients' signed ledger) keeps a `Witness`, the number and hash of the newest line. Order of events: line
on the disk, witness in the second place, then the upload. A crash in between leaves a journal ahead of its witness,
which is fine; a journal behind it is refused.

The chain has no key: whoever can write both places can forget charges. Without a witness a rollback cannot be seen.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from .errors import JournalDamaged, JournalRolledBack, PlanError

LONGEST_LINE = 2**16
RESTORE = "restore the journal from a copy; without it, treat the budget as spent"
_CONTEXT = b"fedmeta-budget/2\n"


@dataclass(frozen=True, slots=True)
class Witness:
    """Number and hash of a journal's newest line; (0, hash of the declaration) before the first.

    Example:
        >>> witness = Witness(3, bytes(32))
        >>> Witness.from_bytes(witness.to_bytes()) == witness
        True
    """

    seq: int
    head: bytes

    def __post_init__(self) -> None:
        if not 0 <= self.seq < 2**63 or len(self.head) != 32:
            raise PlanError(f"a witness of line {self.seq} is none", "keep the witness that the filter gave")

    def to_bytes(self) -> bytes:
        """Forty bytes, the number first, big-endian: of two witnesses of one journal the larger is newer."""
        return self.seq.to_bytes(8, "big") + self.head

    @classmethod
    def from_bytes(cls, data: bytes) -> Witness:
        """Read what `to_bytes` wrote.

        Raises:
            PlanError: not forty bytes.
        """
        if len(data) != 40:
            raise PlanError(f"a witness of {len(data)} bytes is none", "keep the witness that the filter gave")
        return cls(int.from_bytes(data[:8], "big"), data[8:])


class Journal:
    """Writes and checks the chained lines of one budget.

    Example:
        >>> journal = Journal({"limit": "1"})
        >>> line = journal.line({"type": "charge"})
        >>> again = Journal({"limit": "1"})
        >>> [entry["type"] for _, entry in again.read(line)], again.witness == journal.witness
        (['charge'], True)
    """

    def __init__(self, declaration: Mapping[str, object]) -> None:
        """Begin the journal of a budget; `declaration` is what its lines are bound to."""
        self.witness = Witness(0, hashlib.sha256(_CONTEXT + _canonical(declaration)).digest())

    def line(self, entry: Mapping[str, object]) -> bytes:
        """The next line, to be durable before what it stands for happens."""
        numbered = dict(entry) | {"prev": self.witness.head.hex(), "seq": self.witness.seq + 1}
        line = _canonical(numbered) + b"\n"
        self._advance(line)
        return line

    def _advance(self, line: bytes) -> None:
        self.witness = Witness(self.witness.seq + 1, hashlib.sha256(line).digest())

    def read(self, journal: bytes, witness: Witness | None = None) -> Iterator[tuple[int, dict[str, object]]]:
        """Follow a journal from its beginning: (line number, entry) of each line.

        A last part without its newline was never made durable, so what it stands for never happened: it is dropped.

        Raises:
            JournalDamaged: a complete line that is unreadable or does not follow.
            JournalRolledBack: the journal ends before its witness, or is another one than the witness saw.
        """
        self._check(witness)
        for number, line in enumerate(journal.split(b"\n")[:-1], start=1):
            entry = self._entry(line, number)
            self._advance(line + b"\n")
            self._check(witness)
            yield number, entry
        if witness is not None and self.witness.seq < witness.seq:
            raise JournalRolledBack(
                f"the budget journal ends with line {self.witness.seq}, but line {witness.seq} was written",
                RESTORE,
            )

    def _check(self, witness: Witness | None) -> None:
        if witness is not None and witness.seq == self.witness.seq and witness.head != self.witness.head:
            raise JournalRolledBack(f"line {witness.seq} of the budget journal is not the one witnessed", RESTORE)

    def _entry(self, line: bytes, number: int) -> dict[str, object]:
        if len(line) > LONGEST_LINE:
            raise JournalDamaged(f"line {number} of the budget journal is {len(line)} bytes long", RESTORE)
        try:
            entry = json.loads(line)
        except (ValueError, RecursionError):
            raise JournalDamaged(f"line {number} of the budget journal is not readable", RESTORE) from None
        if not isinstance(entry, dict):
            raise JournalDamaged(f"line {number} of the budget journal is not readable", RESTORE)
        if entry.get("seq") != self.witness.seq + 1 or entry.get("prev") != self.witness.head.hex():
            raise JournalDamaged(
                f"line {number} of the budget journal does not follow the one before, or belongs to another budget",
                RESTORE,
            )
        return entry


def _canonical(entry: Mapping[str, object]) -> bytes:
    return json.dumps(entry, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()
