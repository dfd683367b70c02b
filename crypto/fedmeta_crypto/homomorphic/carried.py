# SPDX-License-Identifier: Apache-2.0
"""A client whose vector travels encrypted beside its masked input: what all such clients have in common."""

from dataclasses import replace
from typing import ClassVar, Never, Protocol

from fedmeta_crypto.errors import MaskReuse, OutOfOrder
from fedmeta_crypto.homomorphic.parcel import Parcel
from fedmeta_crypto.homomorphic.trust import TrustModel
from fedmeta_crypto.secagg.client import ClientSession
from fedmeta_crypto.secagg.client_phases import ClientPhase
from fedmeta_crypto.secagg.parameters import RoundParameters
from fedmeta_crypto.secagg.step import InputWanted, Outgoing, Step


class VectorForm(Protocol):
    """What a scheme says about the vectors that it hides."""

    @property
    def dimension(self) -> int:
        """Coordinates of a vector."""

    @property
    def modulus_bits(self) -> int:
        """B of the ring 2^B of the sum."""


class CarriedClient:
    """`ClientSession`'s surface around one, with a parcel in the place of M5; subclasses encrypt in `mask_input`."""

    trust: ClassVar[TrustModel]

    def __init__(self, inner: ClientSession, form: VectorForm) -> None:
        self._inner = inner
        self._form = form
        self._parcel: Outgoing | None = None

    def __repr__(self) -> str:
        return repr(self._inner).replace("ClientSession", type(self).__name__)

    def __reduce__(self) -> Never:
        """Refuse to be copied or pickled: two copies could answer twice."""
        raise TypeError("a session is one-shot and cannot be copied")

    @property
    def client_id(self) -> int:
        """This client's id."""
        return self._inner.client_id

    @property
    def parameters(self) -> RoundParameters:
        """Of the masking round, whose length and ring are the scheme's and not the vector's."""
        return self._inner.parameters

    @property
    def session(self) -> bytes:
        """Session id of the masking round."""
        return self._inner.session

    @property
    def phase(self) -> ClientPhase:
        """Where the client is in its round."""
        return self._inner.phase

    def advertise_keys(self) -> Step:
        """As `ClientSession.advertise_keys`."""
        return self._inner.advertise_keys()

    def receive(self, message: bytes) -> Step:
        """As `ClientSession.receive`; `InputWanted` names dimension and ring of the vector."""
        step = self._inner.receive(message)
        if step.send:
            self._parcel = None
        length, bits = self._form.dimension, self._form.modulus_bits
        wanted = [
            replace(event, length=length, modulus_bits=bits) if isinstance(event, InputWanted) else event
            for event in step.events
        ]
        return replace(step, events=tuple(wanted))

    def resend(self) -> Step:
        """The last message once more, the same bytes."""
        step = self._inner.resend()
        return step if self._parcel is None else replace(step, send=(self._parcel,))

    def delivered(self) -> None:
        """The transport has delivered the last message: let go of it."""
        self._parcel = None
        self._inner.delivered()

    def countersign(self) -> Step:
        """As `ClientSession.countersign`."""
        return self._inner.countersign()

    def abort(self) -> None:
        """Wipe every secret and take no further part."""
        self._parcel = None
        self._inner.abort()

    def _must_be_ready(self) -> None:
        if self.phase.masked:
            raise MaskReuse("this session has masked its vector", where="mask_input")
        if self.phase is not ClientPhase.READY:
            raise OutOfOrder(f"no input is wanted when {self.phase.name}", where="mask_input")

    def _carry(self, step: Step, *, commitment: bytes, ciphertext: bytes) -> Step:
        """The step that sends M5, with the parcel in its place."""
        (masked,) = step.send
        self._parcel = Outgoing(masked.to, Parcel(masked.message, commitment, ciphertext).to_bytes())
        return replace(step, send=(self._parcel,))
