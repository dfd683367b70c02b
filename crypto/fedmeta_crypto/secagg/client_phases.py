# SPDX-License-Identifier: Apache-2.0
"""Where a client is in its round, and which message of the server it takes there."""

import enum
from functools import lru_cache

from fedmeta_crypto.errors import Repeated, Unexpected
from fedmeta_crypto.wire import SERVER, MessageType


@lru_cache(maxsize=1 << 14)
def id_bytes(id_: int) -> bytes:
    """A client id as keys and boxes name it."""
    return id_.to_bytes(4, "little")


class ClientPhase(enum.IntEnum):
    """Where a client is in its round; only the signed strengths know `SIGNED` and what follows `ANSWERED`."""

    NEW = 0
    ADVERTISED = 1
    SHARED = 2
    READY = 3
    MASKED = 4
    SIGNED = 5
    ANSWERED = 6
    RECORD_SHOWN = 7
    COUNTERSIGNED = 8
    ABORTED = 9

    @property
    def masked(self) -> bool:
        """Whether the one vector was masked and the session goes on."""
        return ClientPhase.MASKED <= self < ClientPhase.ABORTED

    @property
    def answered(self) -> bool:
        """Whether the shares have left and the session goes on."""
        return ClientPhase.ANSWERED <= self < ClientPhase.ABORTED


# The grammar: what is accepted in each phase, and the last message type already consumed by then.
_ACCEPTS = {
    ClientPhase.ADVERTISED: MessageType.ROSTER,
    ClientPhase.SHARED: MessageType.DELIVERY,
    ClientPhase.MASKED: MessageType.SURVIVORS,
    ClientPhase.SIGNED: MessageType.CONSISTENCY_PROOF,
    ClientPhase.ANSWERED: MessageType.RECORD,
}
_CONSUMED = {
    ClientPhase.ADVERTISED: 0,
    ClientPhase.SHARED: MessageType.ROSTER,
    ClientPhase.READY: MessageType.DELIVERY,
    ClientPhase.MASKED: MessageType.DELIVERY,
    ClientPhase.SIGNED: MessageType.SURVIVORS,
    ClientPhase.ANSWERED: MessageType.CONSISTENCY_PROOF,
    ClientPhase.RECORD_SHOWN: MessageType.RECORD,
    ClientPhase.COUNTERSIGNED: MessageType.RECORD,
}
_FROM_SERVER = tuple(_ACCEPTS.values())


def check_expected(kind: MessageType, phase: ClientPhase) -> None:
    """The server may send such a message now.

    Raises:     Repeated: one was taken before.  Unexpected: it belongs to another phase, or to the server.

    Example:
        >>> check_expected(MessageType.RECORD, ClientPhase.ANSWERED)
        >>> check_expected(MessageType.RECORD, ClientPhase.SIGNED)
        Traceback (most recent call last):
        fedmeta_crypto.errors.Unexpected: SFM-230 Unexpected at record: not expected when SIGNED...
    """
    if kind is _ACCEPTS.get(phase):
        return
    if kind in _FROM_SERVER and kind <= _CONSUMED.get(phase, 0):
        raise Repeated("this session took such a message already", sender=SERVER, where=kind.where)
    raise Unexpected(f"not expected when {phase.name}", sender=SERVER, where=kind.where)
