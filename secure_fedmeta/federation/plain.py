# SPDX-License-Identifier: Apache-2.0
"""Uploads in the clear, for comparison: the server sees each one, so only the `local` epsilon is claimed.

Same announcement, same encoding, same noise law as with masking; the upload is the ring vector itself.
"""

from __future__ import annotations

import struct

import numpy as np
from numpy.typing import NDArray

from fedmeta_crypto import SERVER, Outgoing, Step
from fedmeta_crypto.errors import BadMessage, Repeated, Stranger, WrongSession

from .sessions import ClientSide

_HEADER = struct.Struct("<8s32sI")
_MAGIC = b"sfmplain"


def upload(session: ClientSide, client_id: int, vector: NDArray[np.uint32], *, persist: tuple[bytes, ...]) -> Step:
    """One site's unmasked upload; the session's secrets, never advertised, are wiped."""
    header = _HEADER.pack(_MAGIC, session.session, client_id)
    session.abort()
    return Step(persist=persist, send=(Outgoing(SERVER, header + vector.astype("<u4").tobytes()),), events=())


class PlainSum:
    """The server's side: add uploads of one round, each site once.

    Raises (from `receive`): the same errors as the masked protocol; the state is unchanged then.
    """

    def __init__(self, session: bytes, cohort: tuple[int, ...], length: int) -> None:
        self._session = session
        self._cohort = cohort
        self.total = np.zeros(length, dtype=np.uint32)
        self.received: set[int] = set()
        self.error = 0.0  # of the sum, in steps: integers are added

    def announcement(self, m0: bytes) -> bytes:
        """M0 as it is."""
        return m0

    def close(self) -> Step | None:
        """Nobody is to be asked: the sum is there."""
        return None

    def receive(self, message: bytes, *, sender: int) -> None:
        """Check one upload and add it."""
        if len(message) != _HEADER.size + 4 * self.total.size or message[:8] != _MAGIC:
            raise BadMessage("an upload has the wrong length or form", sender=sender, where="upload")
        _, session, stated = _HEADER.unpack_from(message)
        if sender not in self._cohort or stated != sender:
            raise Stranger("an upload came from outside the cohort", sender=sender, where="upload")
        if session != self._session:
            raise WrongSession("an upload belongs to another round", sender=sender, where="upload")
        if sender in self.received:
            raise Repeated("a second upload came in one round", sender=sender, where="upload")
        self.received.add(sender)
        self.total += np.frombuffer(message, dtype="<u4", offset=_HEADER.size)
