# SPDX-License-Identifier: Apache-2.0
"""The server of a threshold round: `ServerSession`'s surface; it learns the sum of the secrets, and with it the sum."""

from dataclasses import replace
from typing import Never

import numpy as np

from fedmeta_crypto.errors import BadMessage, Truncated
from fedmeta_crypto.homomorphic.errors import DecryptionFailed, NoCiphertext, WrongAttachment
from fedmeta_crypto.homomorphic.parcel import Parcel, attachment_digest, is_parcel
from fedmeta_crypto.homomorphic.rlwe.client import check_round
from fedmeta_crypto.homomorphic.rlwe.presets import RlweScheme
from fedmeta_crypto.homomorphic.rlwe.scheme import coefficient_type, opened, roster_digest
from fedmeta_crypto.homomorphic.trust import TrustModel
from fedmeta_crypto.identities import AllowList, Identity
from fedmeta_crypto.keys import DIGEST_BYTES
from fedmeta_crypto.messages import max_bytes
from fedmeta_crypto.secagg.parameters import RoundParameters
from fedmeta_crypto.secagg.server import ServerSession
from fedmeta_crypto.secagg.step import Event, Phase, Step, SumOpened
from fedmeta_crypto.wire import FRAME_BYTES, MessageType, claimed_type, payload_of

_WHERE = MessageType.MASKED_INPUT.where


class AddingServer:
    """The server in one round.

    Memory:     O(dimension): one sum of ciphertexts, whatever the number of clients.
    Guarantee:  `SumOpened` holds the exact sum modulo 2^B of the survivors' vectors, or the round ends in a named
                error and nothing is given out. Of one client it sees a ciphertext and what the sums tell (`presets`).
    Args:       parameters: of a round whose length and ring are the scheme's.  scheme: as in the plan.  identity,
                allow_list: as for `ServerSession`.
    Raises:     PlanRefused: a round of another scheme.
    """

    trust = TrustModel.THRESHOLD

    def __init__(
        self,
        parameters: RoundParameters,
        *,
        scheme: RlweScheme,
        identity: Identity | None = None,
        allow_list: AllowList | None = None,
    ) -> None:
        check_round(parameters, scheme)
        self._inner = ServerSession(parameters, identity=identity, allow_list=allow_list)
        self.parameters = parameters
        self.session = self._inner.session
        self.scheme = scheme
        signed = parameters.strength.signed
        self._input_bytes = max_bytes(MessageType.MASKED_INPUT, members=0, length=scheme.session_length, signed=signed)
        self._total = np.zeros(scheme.dimension, coefficient_type(scheme))
        self._commitments: dict[int, bytes] = {}
        self._roster = b""
        self._failed = False

    def __repr__(self) -> str:
        return f"AddingServer(round={self.parameters.round}, phase={self.phase.name})"

    def __reduce__(self) -> Never:
        """Refuse to be copied or pickled, as the sessions are."""
        raise TypeError("a session is one-shot and cannot be copied")

    @property
    def phase(self) -> Phase:
        """Where the round is."""
        return Phase.FAILED if self._failed else self._inner.phase

    @property
    def agreed(self) -> bytes:
        """As `ServerSession.agreed`."""
        return self._inner.agreed

    def attachments(self) -> tuple[tuple[int, bytes], ...]:
        """(id, the application's 32 bytes) of each parcel taken, by id."""
        return tuple(sorted(self._commitments.items()))

    def announce(self) -> Step:
        """As `ServerSession.announce`."""
        return self._inner.announce()

    def publish(self, record: bytes) -> Step:
        """As `ServerSession.publish`."""
        return self._inner.publish(record)

    def deadline(self, phase: Phase) -> Step:
        """As `ServerSession.deadline`."""
        return Step() if self._failed else self._with_sum(self._inner.deadline(phase))

    def receive(self, message: bytes, *, sender: int) -> Step:
        """As `ServerSession.receive`, with a parcel in the place of M5.

        Raises:     NoCiphertext, WrongAttachment: refused, nothing changed, as for any `PeerProtocolError`.
                    DecryptionFailed with `phase` FAILED: it was the last answer and what was summed does not open.
        """
        if is_parcel(message):
            return self._take_parcel(message, sender)
        if claimed_type(message) == MessageType.MASKED_INPUT:
            raise NoCiphertext("a masked input without its ciphertext", sender=sender, where=_WHERE)
        return self._with_sum(self._inner.receive(message, sender=sender))

    def _take_parcel(self, message: bytes, sender: int) -> Step:
        expected = self.scheme.upload_bytes
        parcel = Parcel.read(message, sender=sender, input_bytes=self._input_bytes, ciphertext_bytes=expected)
        if len(parcel.ciphertext) != expected:
            raise BadMessage(f"a ciphertext has {expected} bytes in this round", sender=sender, where=_WHERE)
        if claimed_type(parcel.masked_input) != MessageType.MASKED_INPUT:
            raise NoCiphertext("a parcel holds a masked input and a ciphertext", sender=sender, where=_WHERE)
        if len(parcel.masked_input) < FRAME_BYTES + DIGEST_BYTES:
            raise Truncated("the masked input is missing bytes", sender=sender, where=_WHERE)
        stated = bytes(payload_of(parcel.masked_input)[:DIGEST_BYTES])
        if stated != attachment_digest(self.scheme.digest, parcel.commitment, parcel.ciphertext):
            raise WrongAttachment("the masked input vouches for another ciphertext", sender=sender, where=_WHERE)
        # Who the author is, whether it signed and whether it is too late or a second one, the inner session finds out;
        # only a ciphertext whose M5 was taken is added, and its survivors are exactly the uploads in the sum.
        step = self._inner.receive(parcel.masked_input, sender=sender)
        self._commitments[sender] = parcel.commitment
        self._total += np.frombuffer(parcel.ciphertext, self._total.dtype)
        return self._with_sum(step)

    def _with_sum(self, step: Step) -> Step:
        """What the inner session did, with the sum of the vectors in the place of the sum of the secrets."""
        if step.send and claimed_type(step.send[0].message) == MessageType.ROSTER:
            self._roster = roster_digest(step.send[0].message, self.parameters)
        events = tuple([self._opened(event) if isinstance(event, SumOpened) else event for event in step.events])
        return replace(step, events=events)

    def _opened(self, event: SumOpened) -> Event:
        bits = self.scheme.session_modulus_bits
        key = event.total.astype(np.int64)
        key -= (key >> (bits - 1)) << bits
        try:
            total = opened(
                self.scheme,
                self._total,
                key,
                clients=len(event.survivors),
                session=self.session,
                roster_digest=self._roster,
            )
        except DecryptionFailed:
            self._failed = True
            raise
        finally:
            self._total = np.zeros(0, self._total.dtype)
        return replace(event, total=total)
