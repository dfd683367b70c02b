# SPDX-License-Identifier: Apache-2.0
"""A server that goes on asks each site what its own files say of the run; the site answers with copies of them, signed.

The files are those that an auditor is given too, and which rounds the site has begun: no record and no key is in them.
"""

from __future__ import annotations

import hashlib
import struct
from pathlib import Path

from fedmeta_crypto.identities import AllowList, Identity
from fedmeta_crypto.secagg.step import Record
from fedmeta_privacy.budget import GdpFilter

from ..errors import LedgerBehind
from ..federation.past import SitePast, signed_again
from ..federation.storage import RECORD_BYTES
from ..federation.witness import read_heads
from ..schedule import Schedule

_LABEL = b"sfm-past/1 "
_ASKED = struct.Struct("<11s32s")  # and the line that the server had stated last, or nothing
_TOLD = struct.Struct("<11sI3Q64s")  # and the files; a signature over all of it comes last
_FILES = ("budget.jsonl", "rounds", "heads")
_SIGNATURE_BYTES = 64
_NONE = bytes(_SIGNATURE_BYTES)
NONCE_BYTES, MOST_BYTES = 32, 1 << 26


def question(nonce: bytes, shown: bytes | None) -> bytes:
    """What the server asks; `shown` is the content of a line that it had come to state, if there is one."""
    return _ASKED.pack(_LABEL, nonce) + (shown or b"")


def is_question(letter: bytes) -> bool:
    """Whether a letter asks that."""
    return len(letter) >= _ASKED.size and letter.startswith(_LABEL)


def answer(asked: bytes, number: int, folder: Path, identity: Identity | None) -> bytes:
    """The site's files up to their last whole lines, and its countersignature of the line shown, if it gave one."""
    files = []
    for name in _FILES:
        content = (folder / name).read_bytes()
        end = len(content) // RECORD_BYTES * RECORD_BYTES if name == "rounds" else content.rfind(b"\n") + 1
        files.append(content[:end])
    again, shown = None, asked[_ASKED.size :]
    if shown and identity is not None:
        again = signed_again(shown, read_heads(files[2], str(folder / "heads")), number, identity)
    sizes = [len(each) for each in files]
    told = _TOLD.pack(_LABEL, number, *sizes, again or _NONE) + b"".join(files)
    return told + (_NONE if identity is None else identity.sign(_statement(asked, told)))


def read_answer(asked: bytes, told: bytes, number: int, schedule: Schedule, people: AllowList | None) -> SitePast:
    """What the site's files say.

    Raises:
        LedgerBehind: it is no answer, or not signed by that site.  PrivacyError, HeadsDamaged: its files are unsound.
    """
    where, remedy = f"site {number}", "ask the site's administrator; nothing goes on without what it holds"
    if not _TOLD.size + _SIGNATURE_BYTES <= len(told) <= MOST_BYTES or not told.startswith(_LABEL):
        raise LedgerBehind("its answer is none", where, remedy)
    body, signature = told[:-_SIGNATURE_BYTES], told[-_SIGNATURE_BYTES:]
    _, who, *sizes, again = _TOLD.unpack_from(body)
    if who != number or sum(sizes) != len(body) - _TOLD.size or sizes[1] % RECORD_BYTES:
        raise LedgerBehind("its answer does not add up", where, remedy)
    if people is not None and not people.verify(number, _statement(asked, body), signature):
        raise LedgerBehind("its answer is not signed by it", where, remedy)
    files, at = [], _TOLD.size
    for size in sizes:
        files.append(body[at : at + size])
        at += size
    journal, rounds, heads = files
    budget = GdpFilter.replay(schedule.limit if schedule.scale is not None else 0.0, journal)
    begun = {Record.from_bytes(rounds[i : i + RECORD_BYTES]).round for i in range(0, len(rounds), RECORD_BYTES)}
    return SitePast(
        read_heads(heads, where),
        frozenset(begun),
        budget.charged_rounds,
        budget.spent,
        None if again == _NONE else again,
    )


def _statement(asked: bytes, told: bytes) -> bytes:
    return hashlib.sha256(_LABEL + hashlib.sha256(asked).digest() + hashlib.sha256(told).digest()).digest()
