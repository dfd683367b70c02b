# SPDX-License-Identifier: Apache-2.0
"""The ledger: one line of canonical JSON per executed step, each bound to the one before by its hash.

Canonical: UTF-8, keys sorted, no spaces, no floats (decimals are strings, so that no reader rounds them).
Envelope: `v` version, `seq` from 0, `prev` SHA-256 of the previous line (64 zeros before the first), `type`,
`round`, `actor`, `body`, `sigs` (empty in this version: nobody signs yet, so the chain shows accidents and
edits by those who hold no copy of the head, not a rewrite by whoever runs the server).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .errors import LedgerDamaged

VERSION = 1
GENESIS = "0" * 64
_FIELDS = {"v", "seq", "prev", "type", "round", "actor", "body", "sigs"}

Json = str | int | bool | None | Sequence["Json"] | Mapping[str, "Json"]


def decimal(value: float) -> str:
    """A float as the shortest decimal that reads back to it.

    Example:
        >>> decimal(0.1), float(decimal(1 / 3)) == 1 / 3
        ('0.1', True)
    """
    return repr(float(value))


def canonical(entry: Json) -> bytes:
    """Canonical bytes of a JSON value without floats.

    Raises:
        TypeError: a float, or a type that JSON does not have.

    Example:
        >>> canonical({"b": 1, "a": ["x", None]})
        b'{"a":["x",null],"b":1}'
    """
    _refuse_floats(entry)
    return json.dumps(entry, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def _refuse_floats(entry: object) -> None:
    if isinstance(entry, float):
        raise TypeError("floats are not canonical; write decimal(x)")
    if isinstance(entry, Mapping):
        if not all(isinstance(key, str) for key in entry):
            raise TypeError("keys must be text")
        for value in entry.values():
            _refuse_floats(value)
    elif isinstance(entry, list | tuple):
        for value in entry:
            _refuse_floats(value)


@dataclass(slots=True)
class LedgerChain:
    """Makes the next line; writing it is the shell's work.

    Example:
        >>> chain = LedgerChain()
        >>> first = chain.append("run", 0, "server", {"n": 3})
        >>> second = chain.append("round", 1, "server", {"epsilon": decimal(0.5)})
        >>> [entry["type"] for entry in verify(first + second)]
        ['run', 'round']
    """

    head: str = GENESIS
    length: int = 0

    def append(self, type: str, round: int, actor: str, body: Mapping[str, Json]) -> bytes:  # noqa: A002
        """The next line, newline included."""
        line = canonical(
            {
                "v": VERSION,
                "seq": self.length,
                "prev": self.head,
                "type": type,
                "round": round,
                "actor": actor,
                "body": body,
                "sigs": [],
            }
        )
        self.head = hashlib.sha256(line).hexdigest()
        self.length += 1
        return line + b"\n"


def verify(ledger: bytes) -> list[dict[str, object]]:
    """Check form, order and chain of a whole ledger; return its entries.

    Raises:
        LedgerDamaged: with the number of the first line that does not verify.
    """
    entries: list[dict[str, object]] = []
    head = GENESIS
    lines = ledger.split(b"\n")
    if lines.pop() != b"":
        raise LedgerDamaged(f"line {len(lines) + 1} has no end", "drop the torn line; the lines before it stand")
    for number, line in enumerate(lines, start=1):
        try:
            entry = json.loads(line)
            same = canonical(entry) == line
        except (ValueError, TypeError):
            raise LedgerDamaged(f"line {number} is not canonical JSON", _COPY) from None
        if not same or not isinstance(entry, dict) or set(entry) != _FIELDS or entry["v"] != VERSION:
            raise LedgerDamaged(f"line {number} is not in the ledger's form", _COPY)
        if entry["seq"] != number - 1 or entry["prev"] != head:
            raise LedgerDamaged(f"line {number} does not follow line {number - 1}", _COPY)
        head = hashlib.sha256(line).hexdigest()
        entries.append(entry)
    return entries


_COPY = "compare with another party's copy"
