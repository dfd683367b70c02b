# SPDX-License-Identifier: Apache-2.0
"""The ledger: one line of canonical JSON per executed step, each bound to the one before by its hash.

Canonical: UTF-8, keys sorted, no spaces, no floats (decimals are strings, so that no reader rounds them).
Envelope: `v` version, `seq` from 0, `prev` the head before it (64 zeros before the first), `type`, `round`, `actor`,
`body`, `sigs`. A *statement* is the envelope without `sigs`: what parties sign, so that it is fixed before the first
of them does. The *head* after a line is the SHA-256 of its statement. `sigs` is a list of [who, signature in hex], the
server's first ("server", over `signed_bytes`), then countersigning sites by id.

A chain alone shows accidents, and edits by those who hold no copy of a head; signatures are verified by whoever has
the public keys (`secure_fedmeta.audit`). Reading is bounded: a line, their number and their depth have a largest size.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import BinaryIO

from .errors import LedgerDamaged, LedgerTooLarge, LedgerVersion

VERSION = 2
GENESIS = "0" * 64
MAX_LINE_BYTES = 2**20  # a round of 2000 sites needs about half of it
MAX_LINES = 2**18
LABEL = b"sfm-ledger/2"
SERVER = "server"
_STATEMENT = {"v", "seq", "prev", "type", "round", "actor", "body"}
_FIELDS = _STATEMENT | {"sigs"}
_SIG_DIGITS = 128

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


@dataclass(frozen=True, slots=True)
class Statement:
    """A line before its signatures.

    Attributes:
        content: canonical bytes.
        head: SHA-256 of them, in hex: what the next line names as `prev`.
        entry: the same as values.
    """

    content: bytes
    head: str
    entry: Mapping[str, Json] = field(repr=False)

    @property
    def signed_bytes(self) -> bytes:
        """What the server signs: a digest under the ledger's own label, so that it is nothing else's signature.

        Example:
            >>> len(LedgerChain().state("run", 0, "server", {}).signed_bytes)
            32
        """
        return hashlib.sha256(LABEL + self.content).digest()

    def sealed(self, sigs: Sequence[tuple[str | int, str]] = ()) -> bytes:
        """The line, newline included."""
        return canonical({**self.entry, "sigs": [list(pair) for pair in sigs]}) + b"\n"


@dataclass(frozen=True, slots=True)
class Line:
    """A line as it was read; nothing but its form was checked.

    Attributes:
        number: from 1.
        statement: what its signatures are over.
        sigs: (who, signature in hex).
    """

    number: int
    statement: Statement
    sigs: tuple[tuple[str | int, str], ...]

    @property
    def entry(self) -> Mapping[str, Json]:
        """The envelope without `sigs`."""
        return self.statement.entry


@dataclass(slots=True)
class LedgerChain:
    """Makes the next line; signing it and writing it are others' work.

    Example:
        >>> chain = LedgerChain()
        >>> first = chain.append("run", 0, "server", {"n": 3})
        >>> second = chain.append("round", 1, "server", {"epsilon": decimal(0.5)})
        >>> [entry["type"] for entry in verify(first + second)]
        ['run', 'round']
    """

    head: str = GENESIS
    length: int = 0

    def state(self, type: str, round: int, actor: str, body: Mapping[str, Json]) -> Statement:  # noqa: A002
        """The next statement; the chain does not move before `take`."""
        entry: dict[str, Json] = {
            "v": VERSION,
            "seq": self.length,
            "prev": self.head,
            "type": type,
            "round": round,
            "actor": actor,
            "body": body,
        }
        return _statement(entry)

    def take(self, statement: Statement) -> None:
        """Move on: this statement is now the newest.

        Raises:
            LedgerDamaged: it does not follow the newest one.
        """
        if (statement.entry["seq"], statement.entry["prev"]) != (self.length, self.head):
            raise LedgerDamaged("a statement that does not follow the newest line", _COPY)
        self.head = statement.head
        self.length += 1

    def append(self, type: str, round: int, actor: str, body: Mapping[str, Json]) -> bytes:  # noqa: A002
        """The next line, unsigned, newline included."""
        statement = self.state(type, round, actor, body)
        self.take(statement)
        return statement.sealed()


def _statement(entry: Mapping[str, Json]) -> Statement:
    content = canonical(entry)
    return Statement(content, hashlib.sha256(content).hexdigest(), entry)


def read_statement(content: bytes) -> Statement:
    """A statement from its canonical bytes, as a party is shown it.

    Raises:
        LedgerVersion, LedgerDamaged, LedgerTooLarge: another version, not canonical, not a statement, or too long.

    Example:
        >>> shown = LedgerChain().state("run", 0, "server", {"n": 3}).content
        >>> read_statement(shown).entry["body"]
        {'n': 3}
    """
    entry = _parse(content, "the statement")
    _check_form(entry, _STATEMENT, "the statement")
    return Statement(content, hashlib.sha256(content).hexdigest(), entry)


def read(stream: BinaryIO) -> Iterator[Line]:
    """The lines of a ledger, one by one, with bounded memory; only their form is checked, not their order.

    Raises:
        LedgerTooLarge: a line of more than `MAX_LINE_BYTES`, or more than `MAX_LINES` lines.
        LedgerVersion: a line of another version.
        LedgerDamaged: a line that is not canonical JSON in the ledger's form, or has no end.
    """
    number = 0
    while line := stream.readline(MAX_LINE_BYTES + 1):
        number += 1
        where = f"line {number}"
        if len(line) > MAX_LINE_BYTES:
            raise LedgerTooLarge(f"{where} has more than {MAX_LINE_BYTES} bytes", _SHORTER)
        if number > MAX_LINES:
            raise LedgerTooLarge(f"more than {MAX_LINES} lines", _SHORTER)
        if not line.endswith(b"\n"):
            raise LedgerDamaged(f"{where} has no end", "drop the torn line; the lines before it stand")
        entry = _parse(line[:-1], where)
        _check_form(entry, _FIELDS, where)
        sigs = _sigs(entry.pop("sigs"), where)
        yield Line(number, _statement(entry), sigs)


def verify(ledger: bytes) -> list[dict[str, object]]:
    """Check form, order and chain of a whole ledger; return its entries. Signatures are not looked at.

    Raises:
        LedgerDamaged: with the number of the first line that does not verify.
        LedgerVersion, LedgerTooLarge: as `read`.
    """
    entries: list[dict[str, object]] = []
    head = GENESIS
    for line in read(io.BytesIO(ledger)):
        entry = line.entry
        if entry["seq"] != line.number - 1 or entry["prev"] != head:
            raise LedgerDamaged(f"line {line.number} does not follow line {line.number - 1}", _COPY)
        head = line.statement.head
        entries.append({**entry, "sigs": [list(pair) for pair in line.sigs]})
    return entries


def _parse(content: bytes, where: str) -> dict[str, Json]:
    """Values of canonical bytes. Repeated keys, NaN, floats and other spellings do not come out as they went in."""
    if len(content) > MAX_LINE_BYTES:
        raise LedgerTooLarge(f"{where} has more than {MAX_LINE_BYTES} bytes", _SHORTER)
    try:
        entry = json.loads(content)
        same = canonical(entry) == content
    except (ValueError, TypeError, RecursionError):
        raise LedgerDamaged(f"{where} is not canonical JSON", _COPY) from None
    if isinstance(entry, dict) and "v" in entry and (type(entry["v"]) is not int or entry["v"] != VERSION):
        raise LedgerVersion(f"{where} is of ledger version {str(entry['v'])[:20]}, not {VERSION}", _RELEASE)
    if not same or not isinstance(entry, dict):
        raise LedgerDamaged(f"{where} is not in the ledger's form", _COPY)
    return entry


def _check_form(entry: Mapping[str, Json], fields: set[str], where: str) -> None:
    texts = all(isinstance(entry.get(name), str) for name in ("prev", "type", "actor"))
    counts = all(type(entry.get(name)) is int and 0 <= entry[name] < 2**63 for name in ("seq", "round"))  # type: ignore[operator]
    if set(entry) != fields or not texts or not counts or not isinstance(entry["body"], dict):
        raise LedgerDamaged(f"{where} is not in the ledger's form", _COPY)


def _sigs(stated: Json, where: str) -> tuple[tuple[str | int, str], ...]:
    """Signatures in order, each party once, each 64 bytes in lower-case hex; so that a line has one form."""
    sigs: list[tuple[str | int, str]] = []
    for pair in stated if isinstance(stated, list) else [None]:
        who, text = pair if isinstance(pair, list) and len(pair) == 2 else (None, None)
        known = who == SERVER or (type(who) is int and 0 <= who < 2**32)
        if not isinstance(who, str | int) or not known or not isinstance(text, str) or not _is_hex(text, _SIG_DIGITS):
            raise LedgerDamaged(f"{where} has signatures that are none", _COPY)
        sigs.append((who, text))
    order = [-1 if isinstance(who, str) else who for who, _ in sigs]
    if order != sorted(set(order)):
        raise LedgerDamaged(f"{where} has signatures twice or out of order", _COPY)
    return tuple(sigs)


def _is_hex(text: str, digits: int) -> bool:
    return len(text) == digits and set(text) <= set("0123456789abcdef")


_COPY = "compare with another party's copy"
_SHORTER = "no run of this software writes that: ask for the file again"
_RELEASE = "audit it with the release that wrote it"
