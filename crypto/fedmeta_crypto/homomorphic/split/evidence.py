# SPDX-License-Identifier: Apache-2.0
"""That a ciphertext is its author's own in this round: what aggregator and decryptor alike check of a parcel."""

from typing import NamedTuple

from fedmeta_crypto.errors import Stranger
from fedmeta_crypto.homomorphic.errors import NoCiphertext, WrongAttachment
from fedmeta_crypto.homomorphic.parcel import Parcel, attachment_digest
from fedmeta_crypto.homomorphic.split.messages import round_digest
from fedmeta_crypto.homomorphic.split.scheme import INPUT_BYTES, SplitScheme
from fedmeta_crypto.messages import MaskedInput
from fedmeta_crypto.secagg.authentication import Authenticator
from fedmeta_crypto.secagg.parameters import RoundParameters
from fedmeta_crypto.wire import MessageType, Reader, unframe

_WHERE = MessageType.MASKED_INPUT.where


class Upload(NamedTuple):
    """A parcel whose author, signature, attachment and container were found right."""

    author: int
    digest: bytes  # of M5's payload, by which the list of survivors names it
    parcel: Parcel


def read_upload(
    message: bytes,
    *,
    wire: Authenticator,
    parameters: RoundParameters,
    scheme: SplitScheme,
    sender: int | None = None,
    check_form: bool = True,
) -> Upload:
    """Parse a parcel and verify all that its author vouches for.

    Args:       sender: who the transport says it is; None believes the signed header, for a parcel that was passed on.
                check_form: False where the ciphertext goes on to `RoundSecret.add`, which checks its form too.
    Raises:     PeerProtocolError of any kind: `WrongAttachment` for a ciphertext under another key or scheme than the
                round's, or exchanged on the way; `NoCiphertext`; `BadSignature`.
    """
    blamed = parameters.cohort[0] if sender is None else sender
    parcel = Parcel.read(message, sender=blamed, input_bytes=INPUT_BYTES, ciphertext_bytes=scheme.upload_bytes)
    m5 = parcel.masked_input
    if sender is None:
        blamed = unframe(m5, sender=blamed, max_bytes=INPUT_BYTES, signed=True)[0].sender
        if blamed not in parameters.cohort:
            raise Stranger("not in the cohort", sender=blamed, where=_WHERE)
    header, payload = wire.unframe(m5, sender=blamed, max_bytes=INPUT_BYTES)
    if header.type is not MessageType.MASKED_INPUT or not parcel.ciphertext:
        raise NoCiphertext("a parcel holds a masked input and a ciphertext", sender=blamed, where=_WHERE)
    digest = wire.verify(m5, header, payload)
    length, bits = parameters.form
    reader = Reader(payload, sender=blamed, where=_WHERE)
    masked = MaskedInput.read(reader, bits=bits, length=length, sender=blamed)
    names = round_digest(scheme.digest, parameters.key_hash)
    if masked.attachment_hash != attachment_digest(names, parcel.commitment, parcel.ciphertext):
        what = "the masked input vouches for another ciphertext, key or scheme"
        raise WrongAttachment(what, sender=blamed, where=_WHERE)
    if check_form:
        scheme.cipher.check_ciphertext(parcel.ciphertext, words=parameters.length, sender=blamed)
    return Upload(blamed, digest, parcel)
