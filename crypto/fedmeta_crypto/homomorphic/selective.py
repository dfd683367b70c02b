# SPDX-License-Identifier: Apache-2.0
"""Rounds in which only selected coordinates are hidden: a layer around any pair of sessions that sums vectors.

    magic 8 | size of the clear part u64 | commitment 32 | clear part | the inner session's upload (a parcel, or M5)

The inner session sums the encrypted coordinates. Its commitment is `attachment_digest` of the selection's digest, the
application's commitment and the clear part, so the signature of M5 covers the clear part as it does the ciphertext, and
an upload made for another selection is refused. Survivors are the inner session's: their clear parts and no others are
added. What this shows of each client: `selection.Leakage`.
"""

import struct
from collections.abc import Iterable
from dataclasses import replace
from typing import Never, Protocol

import numpy as np
from numpy.typing import NDArray

from fedmeta_crypto.errors import Truncated
from fedmeta_crypto.homomorphic.errors import BadSelection, WrongSelection
from fedmeta_crypto.homomorphic.parcel import PARCEL_BYTES, attachment_digest, is_parcel
from fedmeta_crypto.homomorphic.selection import Leakage, Selection
from fedmeta_crypto.homomorphic.trust import TrustModel
from fedmeta_crypto.keys import DIGEST_BYTES
from fedmeta_crypto.ring import Residues, checked_copy, from_wire, reduce_in_place, to_wire, wire_bytes, word
from fedmeta_crypto.secagg.client_phases import ClientPhase
from fedmeta_crypto.secagg.parameters import RoundParameters
from fedmeta_crypto.secagg.step import Event, InputWanted, Outgoing, Phase, Step, SumOpened
from fedmeta_crypto.wire import FRAME_BYTES, SERVER

_MAGIC = b"sfmsel/1"
_HEAD = struct.Struct(f"<8sQ{DIGEST_BYTES}s")
_WHERE = "selective upload"
SELECTIVE_BYTES = _HEAD.size  # beside the clear part and the inner upload
_IN_M5 = slice(FRAME_BYTES - 2, FRAME_BYTES - 2 + DIGEST_BYTES)  # M5's payload begins with its attachment hash
_IN_PARCEL = slice(PARCEL_BYTES - DIGEST_BYTES, PARCEL_BYTES)


class SummingClient(Protocol):
    """What this layer needs of a client's session: `ClientSession` and the encrypting ones have it."""

    @property
    def client_id(self) -> int: ...  # noqa: D102
    @property
    def session(self) -> bytes: ...  # noqa: D102
    @property
    def parameters(self) -> RoundParameters: ...  # noqa: D102
    @property
    def phase(self) -> ClientPhase: ...  # noqa: D102
    def advertise_keys(self) -> Step: ...  # noqa: D102
    def receive(self, message: bytes) -> Step: ...  # noqa: D102
    def mask_input(self, vector: Residues, *, attachment_hash: bytes = ...) -> Step: ...  # noqa: D102
    def resend(self) -> Step: ...  # noqa: D102
    def delivered(self) -> None: ...  # noqa: D102
    def countersign(self) -> Step: ...  # noqa: D102
    def abort(self) -> None: ...  # noqa: D102


class SummingServer(Protocol):
    """What this layer needs of a server's session."""

    @property
    def session(self) -> bytes: ...  # noqa: D102
    @property
    def parameters(self) -> RoundParameters: ...  # noqa: D102
    @property
    def phase(self) -> Phase: ...  # noqa: D102
    @property
    def agreed(self) -> bytes: ...  # noqa: D102
    def announce(self) -> Step: ...  # noqa: D102
    def receive(self, message: bytes, *, sender: int) -> Step: ...  # noqa: D102
    def deadline(self, phase: Phase) -> Step: ...  # noqa: D102
    def publish(self, record: bytes) -> Step: ...  # noqa: D102
    def attachments(self) -> tuple[tuple[int, bytes], ...]: ...  # noqa: D102


class SelectiveClient:
    """A client whose upload hides the selected coordinates only; otherwise as the session inside.

    Args:       inner: sums vectors of `selection.encrypted` coordinates modulo 2^b.  selection: from this client's own
                plan.  modulus_bits: b, of the sum.

    The public surface is that of `ClientSession`.
    """

    def __init__(self, inner: SummingClient, selection: Selection, *, modulus_bits: int) -> None:
        self._inner, self._selection, self._bits = inner, selection, modulus_bits
        self.parameters, self.session, self.client_id = inner.parameters, inner.session, inner.client_id
        self._head = b""  # head and clear part of the upload

    def __repr__(self) -> str:
        shown = f"{self._selection.encrypted} of {self._selection.dimension} coordinates"
        return f"SelectiveClient({self._inner!r}, {shown})"

    def __reduce__(self) -> Never:
        """Refuse to be copied or pickled, as the session inside does."""
        raise TypeError("a session is one-shot and cannot be copied")

    @property
    def phase(self) -> ClientPhase:
        """Of the session inside."""
        return self._inner.phase

    def advertise_keys(self) -> Step:
        """As `ClientSession.advertise_keys`."""
        return self._inner.advertise_keys()

    def receive(self, message: bytes) -> Step:
        """As `ClientSession.receive`; `InputWanted` asks for the whole vector.

        Raises:     BadSelection: the round sums another number of coordinates than the selection encrypts.
        """
        step = self._inner.receive(message)
        return replace(step, events=tuple(self._asked(event) for event in step.events))

    def mask_input(self, vector: Residues, *, attachment_hash: bytes = bytes(DIGEST_BYTES)) -> Step:
        """Send one vector: the selected coordinates through the session inside, the rest in the clear. Once only.

        Shapes:     vector (selection.dimension,), uint32, values below 2**modulus_bits; it is not changed.
        Raises:     as the session inside, WrongLength and OutOfRing before anything is sent.
        """
        whole = checked_copy(vector, bits=self._bits, length=self._selection.dimension)
        secret, rest = self._selection.split(whole)
        clear = to_wire(rest, bits=self._bits)
        bound = attachment_digest(self._selection.digest, attachment_hash, clear)
        step = self._inner.mask_input(secret.astype(np.uint32, copy=False), attachment_hash=bound)
        self._head = _HEAD.pack(_MAGIC, len(clear), attachment_hash) + bytes(clear)
        return self._wrapped(step)

    def resend(self) -> Step:
        """As `ClientSession.resend`."""
        step = self._inner.resend()
        return self._wrapped(step) if self.phase is ClientPhase.MASKED else step

    def delivered(self) -> None:
        """As `ClientSession.delivered`."""
        self._inner.delivered()

    def countersign(self) -> Step:
        """As `ClientSession.countersign`."""
        return self._inner.countersign()

    def abort(self) -> None:
        """As `ClientSession.abort`."""
        self._inner.abort()

    def statement(self, trust: TrustModel) -> Leakage:
        """What the server sees of this client."""
        return self._selection.statement(trust)

    def _asked(self, event: Event) -> Event:
        if not isinstance(event, InputWanted):
            return event
        if (event.length, event.modulus_bits) != (self._selection.encrypted, self._bits):
            self.abort()
            raise BadSelection(
                f"the round sums {event.length} values of {event.modulus_bits} bits, the selection encrypts "
                f"{self._selection.encrypted} of {self._bits}",
                where="receive",
            )
        return replace(event, length=self._selection.dimension)

    def _wrapped(self, step: Step) -> Step:
        return replace(step, send=tuple(Outgoing(out.to, self._head + out.message) for out in step.send))


class SelectiveServer:
    """The server of such a round: reads the clear coordinates of each client, and of the others learns the sum.

    Guarantee:  `SumOpened.total` is the sum modulo 2^b of the survivors' whole vectors: the same as if all coordinates
                had been encrypted. A clear part is added only if the session inside took the upload bound to it.
    Memory:     as the session inside, and the clear part of the sum.
    Args:       inner: sums `selection.encrypted` coordinates.  selection: from the plan.  modulus_bits: b, of the sum.
    Raises:     BadSelection: b is not a modulus of this protocol.

    The public surface is that of `ServerSession`; `attachments` are the application's commitments.
    """

    def __init__(self, inner: SummingServer, selection: Selection, *, modulus_bits: int) -> None:
        self._inner, self._selection, self._bits = inner, selection, modulus_bits
        self.parameters, self.session = inner.parameters, inner.session
        self._clear = np.zeros(selection.clear, word(modulus_bits))
        self._commitments: dict[int, bytes] = {}  # of those whose clear part was added

    def __repr__(self) -> str:
        shown = f"{self._selection.encrypted} of {self._selection.dimension} coordinates"
        return f"SelectiveServer({self._inner!r}, {shown})"

    @property
    def phase(self) -> Phase:
        """Of the session inside."""
        return self._inner.phase

    @property
    def agreed(self) -> bytes:
        """As `ServerSession.agreed`."""
        return self._inner.agreed

    def announce(self) -> Step:
        """As `ServerSession.announce`."""
        return self._inner.announce()

    def publish(self, record: bytes) -> Step:
        """As `ServerSession.publish`."""
        return self._inner.publish(record)

    def attachments(self) -> tuple[tuple[int, bytes], ...]:
        """(id, the application's commitment 32) of each upload taken, by id."""
        return tuple(sorted(self._commitments.items()))

    def statement(self, trust: TrustModel) -> Leakage:
        """What this server sees of each client."""
        return self._selection.statement(trust)

    def deadline(self, phase: Phase) -> Step:
        """As `ServerSession.deadline`."""
        return self._joined(self._inner.deadline(phase))

    def receive(self, message: bytes, *, sender: int) -> Step:
        """As `ServerSession.receive`; uploads are looked at before the session inside sees them.

        A decryptor's messages, and those of other phases, go to the session inside as they are.

        Raises:     WrongSelection: not bound to this selection, this clear part or this commitment, or no clear part
                    where one is due; nothing changed.  Truncated, BadMessage, and what the session inside raises.
        """
        if message[: len(_MAGIC)] != _MAGIC:
            if self.phase is Phase.MASK_INPUT and sender in self.parameters.cohort:
                raise WrongSelection("an upload without its clear part", sender=sender, where=_WHERE)
            return self._joined(self._inner.receive(message, sender=sender))
        commitment, clear, upload = self._read(message, sender)
        step = self._inner.receive(upload, sender=sender)  # raises if it does not take it: then nothing is added
        np.add(self._clear, clear, out=self._clear)
        self._commitments[sender] = commitment
        return self._joined(step)

    def _read(self, message: bytes, sender: int) -> tuple[bytes, Residues, bytes]:
        """(the application's commitment, the clear part as residues, the inner upload), bound to each other."""
        if len(message) < _HEAD.size:
            raise Truncated("shorter than its head", sender=sender, where=_WHERE)
        _, size, commitment = _HEAD.unpack_from(message)
        due = wire_bytes(self._selection.clear, self._bits)
        if size != due:
            raise WrongSelection(f"a clear part of {size} bytes, {due} are due", sender=sender, where=_WHERE)
        if len(message) <= _HEAD.size + due:
            raise Truncated("no upload after the clear part", sender=sender, where=_WHERE)
        clear, upload = memoryview(message)[_HEAD.size : _HEAD.size + due], message[_HEAD.size + due :]
        bound = attachment_digest(self._selection.digest, commitment, clear)
        if upload[_IN_PARCEL if is_parcel(upload) else _IN_M5] != bound:
            raise WrongSelection("bound to another selection, clear part or commitment", sender=sender, where=_WHERE)
        residues = from_wire(clear, bits=self._bits, length=self._selection.clear, sender=sender)
        return commitment, residues, upload

    def _joined(self, step: Step) -> Step:
        return replace(step, events=tuple(self._whole(event) for event in step.events))

    def _whole(self, event: Event) -> Event:
        if not isinstance(event, SumOpened):
            return event
        if _ids(self._commitments) != event.survivors:
            raise WrongSelection("the opened sum is over others than sent clear parts", sender=SERVER, where=_WHERE)
        reduce_in_place(self._clear, self._bits)
        clear: NDArray[np.uint32] = self._clear.astype(np.uint32, copy=False)
        return replace(event, total=self._selection.join(event.total, clear))


def _ids(of: Iterable[int]) -> tuple[int, ...]:
    return tuple(sorted(of))
