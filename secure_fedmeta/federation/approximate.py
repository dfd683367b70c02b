# SPDX-License-Identifier: Apache-2.0
"""Uploads under CKKS, for comparison and teaching: no masks, an inexact sum, and the `local` epsilon alone.

The decryptor makes a key a round; each site encrypts its integers as real numbers, the server adds ciphertexts, the
decryptor opens the sum, the server rounds it to integers. Nothing proves who is in the sum or that the key is the
decryptor's: all parties are taken to be honest but curious, and the decryptor not to open single uploads. So nothing
but a site's own noise is counted (`TrustModel.SPLIT`).
"""

from __future__ import annotations

import struct

import numpy as np
from numpy.typing import NDArray

from fedmeta_crypto import SERVER, Outgoing, Step
from fedmeta_crypto.errors import BadMessage, Oversized, Repeated, Stranger, Truncated, WrongRound, WrongSession
from fedmeta_crypto.homomorphic.errors import DecryptorSilent, WrongOpening
from fedmeta_crypto.homomorphic.seal.ckks import CkksSecret, RealSums
from fedmeta_crypto.homomorphic.seal.presets import CKKS_4096
from fedmeta_crypto.homomorphic.split.messages import announcement
from fedmeta_crypto.wire import DECRYPTOR

from ..schedule import Schedule
from .sessions import ClientSide

_UPLOAD = struct.Struct("<8s32sI")
_SUM = struct.Struct("<8sQI")
_MAGIC, _SUM_MAGIC, _OPENED_MAGIC = b"sfmckks1", b"sfmckks2", b"sfmckks3"
_REACH_BITS = 14  # of a sum as CKKS sees it: half of the preset's largest


def scale_of(schedule: Schedule) -> float:
    """Steps to one unit of what is encrypted; a power of two, so that scaling is exact."""
    return 2.0 ** (schedule.encoding.modulus_bits - 1 - _REACH_BITS)


def sums_of(schedule: Schedule) -> RealSums:
    """The encryption of a plan's uploads: |sum| < 2^(B-1) steps (`IntegerEncoding.check_room`), shared by n sites."""
    return RealSums(clients=schedule.clients, dimension=schedule.length, largest=2.0**_REACH_BITS / schedule.clients)


def error_in_steps(schedule: Schedule) -> float:
    """What no coordinate of an opened sum is off by, before it is rounded, but for a chance below 2^-40.

    Example:
        >>> from ..plan import Plan
        >>> from ..schedule import make_schedule
        >>> error_in_steps(make_schedule(Plan(aggregation="ckks"), clients=10, dimension=31)) < 0.5
        True
    """
    sums = sums_of(schedule)
    return CKKS_4096.error_bound(sums.clients, sums.largest) * scale_of(schedule)


def upload(
    session: ClientSide,
    schedule: Schedule,
    client_id: int,
    steps: NDArray[np.int64],
    public_key: bytes,
    *,
    persist: tuple[bytes, ...],
) -> Step:
    """One site's encrypted upload; the session's secrets, never advertised, are wiped."""
    ciphertext = sums_of(schedule).encrypt(steps / scale_of(schedule), public_key)
    header = _UPLOAD.pack(_MAGIC, session.session, client_id)
    session.abort()
    return Step(persist=persist, send=(Outgoing(SERVER, header + ciphertext),))


class ApproximateSum:
    """The server's side: add ciphertexts of one round, each site once, and have the sum opened.

    Raises (from `receive`): the same errors as the masked protocol; the state is unchanged then.
    """

    def __init__(
        self, schedule: Schedule, *, session: bytes, cohort: tuple[int, ...], number: int, public_key: bytes
    ) -> None:
        self._schedule, self._session, self._cohort, self._round = schedule, session, cohort, number
        self._key, self._sums = public_key, sums_of(schedule)
        self._total = np.zeros(self._sums.coefficients, np.uint64)
        self._waiting = False
        self.received: set[int] = set()
        self.total: NDArray[np.uint32] | None = None
        self.error = 0.0  # of the opened sum, in steps: how far it was from integers

    def announcement(self, m0: bytes) -> bytes:
        """M0, and the round's public key beside it."""
        return announcement(m0, self._key)

    def receive(self, message: bytes, *, sender: int) -> None:
        """Check one upload and add it."""
        if len(message) < _UPLOAD.size or message[:8] != _MAGIC:
            raise BadMessage("not an upload", sender=sender, where="upload")
        _, session, stated = _UPLOAD.unpack_from(message)
        if sender not in self._cohort or stated != sender:
            raise Stranger("an upload came from outside the cohort", sender=sender, where="upload")
        if session != self._session:
            raise WrongSession("an upload belongs to another round", sender=sender, where="upload")
        if sender in self.received or self._waiting:
            raise Repeated("an upload came twice or too late", sender=sender, where="upload")
        self._total += self._sums.read(memoryview(message)[_UPLOAD.size :], sender=sender)
        self._total -= (self._total >= np.uint64(CKKS_4096.data_prime)) * np.uint64(CKKS_4096.data_prime)
        self.received.add(sender)

    def close(self) -> Step | None:
        """Send the sum to the decryptor; None if there is none to open.

        Raises:     DecryptorSilent: it was sent before, and no answer came.
        """
        if self._waiting:
            raise DecryptorSilent("no answer by the deadline", where="aggregator")
        if not self.received:
            self.total = np.zeros(self._schedule.length, np.uint32)
            return None
        self._waiting = True
        head = _SUM.pack(_SUM_MAGIC, self._round, len(self.received))
        return Step(send=(Outgoing(DECRYPTOR, head + self._total.astype("<u8").tobytes()),))

    def opened(self, message: bytes) -> None:
        """Take the decryptor's answer: real numbers, which are rounded to integers modulo 2^B.

        Raises:     WrongOpening: not the answer that is due.
        """
        schedule = self._schedule
        if not self._waiting or len(message) != _SUM.size + 8 * schedule.length:
            raise WrongOpening("not an opened sum that was asked for", sender=DECRYPTOR, where="opened")
        values = np.frombuffer(message, "<f8", offset=_SUM.size) * scale_of(schedule)
        if _SUM.unpack_from(message)[:2] != (_OPENED_MAGIC, self._round) or not np.isfinite(values).all():
            raise WrongOpening("not this round's opened sum", sender=DECRYPTOR, where="opened")
        if np.abs(values).max() >= 2.0**52:
            raise WrongOpening("values beyond any sum", sender=DECRYPTOR, where="opened")
        nearest = np.rint(values)
        self.error = float(np.abs(values - nearest).max())
        self.total = schedule.encoding.to_ring(nearest.astype(np.int64))


class CkksDecryptor:
    """The decryptor's side: a fresh key a round, one opening a key."""

    def __init__(self, schedule: Schedule) -> None:
        self._schedule, self._sums = schedule, sums_of(schedule)
        self._round = 0
        self._secret: CkksSecret | None = None

    def __repr__(self) -> str:
        return f"CkksDecryptor(round={self._round})"

    def begin(self, number: int) -> Step:
        """A fresh key; its public half goes to the server.

        Raises:     WrongRound: this one or a later one was begun before.
        """
        if number <= self._round:
            raise WrongRound(f"round {number} after {self._round}", sender=SERVER, where="decryptor")
        self.abort()
        self._round, self._secret = number, CkksSecret(self._sums)
        return Step(send=(Outgoing(SERVER, self._secret.public_key),))

    def receive(self, message: bytes) -> Step:
        """Open one sum of this round.

        Raises:     PeerProtocolError: refused.  KeySpent, NativeProcessDied: nothing was opened.
        """
        need = _SUM.size + 8 * self._sums.coefficients
        if len(message) != need or self._secret is None:
            kind = Oversized if len(message) > need else Truncated
            raise kind(f"{len(message)} bytes where one sum of {need} is due", sender=SERVER, where="decryptor")
        magic, number, count = _SUM.unpack_from(message)
        if magic != _SUM_MAGIC or number != self._round or not 1 <= count <= self._sums.clients:
            raise BadMessage("not a sum of this round", sender=SERVER, where="decryptor")
        values = self._secret.open_sum(np.frombuffer(message, "<u8", offset=_SUM.size), clients=count).values
        head = _SUM.pack(_OPENED_MAGIC, number, count)
        return Step(send=(Outgoing(SERVER, head + values.astype("<f8").tobytes()),))

    def abort(self) -> None:
        """Wipe the open round's key."""
        if self._secret is not None:
            self._secret.wipe()
        self._secret = None

    def close(self) -> None:
        """Wipe the key."""
        self.abort()
