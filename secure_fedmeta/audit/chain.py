# SPDX-License-Identifier: Apache-2.0
"""Order: each line follows the one before; one run line, rounds without gaps, one end line."""

from __future__ import annotations

from pathlib import Path

from fedmeta_privacy.errors import LedgerTooLarge
from fedmeta_privacy.ledger import GENESIS, Line, read

from ..errors import AuditRefused, FileError
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
    for line in lines:
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
        elif kind not in ("run", "end"):
            found.add(Verdict.INCOMPLETE, _CHECK, line.number, f"a line of unknown type {str(kind)[:40]!r}")
        ended = ended or kind == "end"
    if not ended:
        found.add(Verdict.INCOMPLETE, _CHECK, len(lines), "there is no end line: interrupted, or its tail was cut off")
    found.looked(_CHECK, f"{len(lines)} lines, {following - 1} rounds")
