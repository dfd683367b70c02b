# SPDX-License-Identifier: Apache-2.0
"""Protocol messages in Flower's: a record of byte strings in order, and nothing of them is read here."""

from __future__ import annotations

from collections.abc import Sequence

from flwr.app import ConfigRecord, Context, Message, RecordDict

from ..errors import VisitRefused
from ..federation.exchange import Answer, Refused

RECORD = "secure-fedmeta"
NOTE = "secure-fedmeta-note"
ACTION = "secure_fedmeta"
MESSAGE_TYPE = f"query.{ACTION}"
LONGEST_ERROR = 2000


def packed(messages: Sequence[bytes]) -> RecordDict:
    """Letters, there or back."""
    return RecordDict({RECORD: ConfigRecord({"letters": list(messages)})})


def refusal(text: str) -> RecordDict:
    """A numbered error in place of an answer."""
    return RecordDict({RECORD: ConfigRecord({"refused": text[:LONGEST_ERROR]})})


def unpacked(message: Message) -> tuple[bytes, ...]:
    """What was packed.

    Raises:
        VisitRefused: something else.
    """
    answer = answered(message)
    if isinstance(answer, Refused):
        raise VisitRefused("an error came in place of letters", "site", "send letters")
    return tuple(answer)


def answered(message: Message) -> Answer:
    """Letters, or the error that came in their place; whatever is neither is an error too."""
    if message.has_error():
        return Refused("Flower could not deliver it, or the site's process failed")
    record = message.content.get(RECORD)
    if not isinstance(record, ConfigRecord):
        return Refused("the answer holds no letters")
    text = record.get("refused")
    if isinstance(text, str):
        return Refused(text[:LONGEST_ERROR])
    letters = record.get("letters")
    if not isinstance(letters, list):
        return Refused("the answer holds no letters")
    kept = tuple(letter for letter in letters if isinstance(letter, bytes))
    return kept if len(kept) == len(letters) else Refused("the answer holds something else than letters")


def note_of(context: Context) -> bytes | None:
    """The site's sealed note, where Flower keeps it between messages."""
    record = context.state.get(NOTE)
    note = record.get("note") if isinstance(record, ConfigRecord) else None
    return note if isinstance(note, bytes) else None


def keep_note(context: Context, note: bytes) -> None:
    """Give Flower the sealed note to keep."""
    context.state[NOTE] = ConfigRecord({"note": note})
