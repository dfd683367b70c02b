# SPDX-License-Identifier: Apache-2.0
"""Order: each line follows the one before; one run line, rounds without gaps, one end line."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from fedmeta_privacy.errors import LedgerTooLarge
from fedmeta_privacy.ledger import GENESIS, Json, Line, read

from ..errors import AuditRefused, FileError
from ..federation.statements import CRASHED
from .verdict import Findings, Verdict

MAX_LEDGER_BYTES = 2**30
_CHECK = "chain"


def read_ledger(path: Path) -> list[Line]:
    """All lines of the file.

    Raises:
        FileError: it cannot be read.
        AuditRefused: it is empty.
        LedgerDamaged, LedgerVersion, LedgerTooLarge: as `fedmeta_privacy.ledger.read`.
    """
    try:
        if path.stat().st_size > MAX_LEDGER_BYTES:
            raise LedgerTooLarge(f"the ledger has more than {MAX_LEDGER_BYTES} bytes", "ask for the file again")
        with path.open("rb") as file:
            lines = list(read(file))
    except OSError as error:
        raise FileError(f"cannot read the ledger: {error.strerror}", str(path), "give a run's folder") from None
    if not lines:
        raise AuditRefused("the ledger is empty", str(path), "give the folder of a run")
    return lines


def check_chain(lines: list[Line], found: Findings) -> None:
    """Hashes, sequence, kinds of lines, numbers of rounds."""
    head, following, ended = GENESIS, 1, False
    for at, line in enumerate(lines):
        entry = line.entry
        if entry["seq"] != line.number - 1 or entry["prev"] != head:
            found.add(
                Verdict.TAMPERED,
                _CHECK,
                line.number,
                f"it does not follow line {line.number - 1}: dropped, replayed, reordered or edited lines",
            )
        head = line.statement.head
        kind, number = entry["type"], entry["round"]
        if ended:
            found.add(Verdict.TAMPERED, _CHECK, line.number, "a line after the end")
        if (kind == "run") != (line.number == 1):
            found.add(Verdict.TAMPERED, _CHECK, line.number, "the run line is not the first one, or not the only one")
        if kind == "round":
            if number != following:
                found.add(Verdict.TAMPERED, _CHECK, line.number, f"round {number} where round {following} is due")
            following = int(str(number)) + 1
            after = lines[at + 1].entry["type"] if at + 1 < len(lines) else "resume"
            if _body(line).get("aborted") == CRASHED and after != "resume":
                found.add(Verdict.TAMPERED, _CHECK, line.number, "its process ended, and no line says that it went on")
        elif kind == "resume":
            _check_resume(lines[:at], line, following - 1, found)
        elif kind not in ("run", "end"):
            found.add(Verdict.INCOMPLETE, _CHECK, line.number, f"a line of unknown type {str(kind)[:40]!r}")
        ended = ended or kind == "end"
    if not ended:
        found.add(Verdict.INCOMPLETE, _CHECK, len(lines), "there is no end line: interrupted, or its tail was cut off")
    found.looked(_CHECK, f"{len(lines)} lines, {following - 1} rounds")


def _check_resume(before: list[Line], line: Line, last: int, found: Findings) -> None:
    """A run that was killed went on: the round that it broke off in stands just before, aborted and charged."""
    body, previous = _body(line), _body(before[-1]) if before else {}
    crashed = previous.get("aborted") == CRASHED
    if line.entry["round"] != last or body.get("interrupted") != (last if crashed else None):
        what = "it does not name the round that was interrupted, or names one that is not charged just before"
        found.add(Verdict.TAMPERED, _CHECK, line.number, what)
    if crashed and previous.get("survivors") != []:
        found.add(Verdict.TAMPERED, _CHECK, line.number, "the interrupted round has survivors")
    if body.get("finished") not in (None, last):
        found.add(Verdict.TAMPERED, _CHECK, line.number, "it finished another round than the last one")
    models = [_body(one).get("model") for one in before if one.entry["type"] == "round"]
    if models and body.get("model") != models[-1]:
        found.add(Verdict.TAMPERED, _CHECK, line.number, "it went on from another model than the last round's")


def _body(line: Line) -> Mapping[str, Json]:
    body = line.entry["body"]
    return body if isinstance(body, Mapping) else {}
