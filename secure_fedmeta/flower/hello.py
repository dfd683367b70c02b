# SPDX-License-Identifier: Apache-2.0
"""Which node is which site: a node proves it with its site's key before the first round.

The proof is for the server's own peace: messages of a round are signed one by one, and one that comes by the wrong node
is refused whatever this says.
"""

from __future__ import annotations

import hashlib
import struct

from fedmeta_crypto.identities import AllowList, Identity

from ..schedule import Schedule

_LABEL = b"sfm-hello/1"
_ASKED = struct.Struct("<11s32s")
_TOLD = struct.Struct("<11sI?64s")
NONCE_BYTES = 32


def question(nonce: bytes) -> bytes:
    """What the server asks: who is there?"""
    return _ASKED.pack(_LABEL, nonce)


def is_question(letter: bytes) -> bool:
    """Whether a letter asks that."""
    return len(letter) == _ASKED.size and letter.startswith(_LABEL)


def answer(asked: bytes, number: int, schedule: Schedule, *, unspent: bool, identity: Identity | None) -> bytes:
    """Who: the site's number, whether its budget is untouched, and its signature over both, the nonce and the plan."""
    signature = bytes(64)
    if identity is not None:
        signature = identity.sign(_statement(asked, number, schedule, unspent))
    return _TOLD.pack(_LABEL, number, unspent, signature)


def read_answer(asked: bytes, told: bytes, schedule: Schedule, people: AllowList | None) -> tuple[int, bool] | None:
    """The number, and whether the budget is untouched; None if that is not proved, or of another plan.

    Without a list (strength semi-honest) nothing is proved, and a number of the plan is believed.
    """
    if len(told) != _TOLD.size or not told.startswith(_LABEL):
        return None
    _, number, unspent, signature = _TOLD.unpack(told)
    if not 1 <= number <= schedule.clients:
        return None
    if people is not None and not people.verify(number, _statement(asked, number, schedule, unspent), signature):
        return None
    return number, bool(unspent)


def _statement(asked: bytes, number: int, schedule: Schedule, unspent: bool) -> bytes:
    told = hashlib.sha256(_LABEL + b" " + asked + struct.pack("<I?", number, unspent))
    told.update(schedule.behaviour_hash(b""))
    return told.digest()
