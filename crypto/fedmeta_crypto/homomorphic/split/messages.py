# SPDX-License-Identifier: Apache-2.0
"""What the decryptor says: its key for a round, the same key for a session, and the words it opened.

    magic 8 | kind u8 | session 32 | round u64 | size u64 | payload | signature 64

| kind | name     | session     | payload                                                          |
|------|----------|-------------|------------------------------------------------------------------|
| 1    | proposal | zeros       | scheme digest 32, public key                                     |
| 2    | offer    | the round's | scheme digest 32, public key                                     |
| 3    | opened   | the round's | survivors digest 32, the sum of the masked words, u64 each       |

Little-endian. The signature is Ed25519 (RFC 8032) by `wire.DECRYPTOR`'s key over SHA-256 of a label, the head and
SHA-256 of the payload: no other message of the suite starts its statement with that label. A proposal is made before
there is a session, since the session's id hangs on the hash of the key; the offer binds the two.

    announcement:  magic 8 | size of M0 u64 | M0 | offer
"""

import enum
import hashlib
import struct
from dataclasses import dataclass, field
from typing import Self

import numpy as np

from fedmeta_crypto.errors import BadMessage, BadSignature, Oversized, Truncated, WrongRound, WrongSession
from fedmeta_crypto.homomorphic.errors import WrongKey, WrongOpening
from fedmeta_crypto.identities import AllowList, Identity
from fedmeta_crypto.keys import DIGEST_BYTES
from fedmeta_crypto.modular import Words
from fedmeta_crypto.wire import DECRYPTOR, SERVER, SESSION_BYTES, SIGNATURE_BYTES

_MAGIC = b"sfmdec/1"
_HEAD = struct.Struct("<8sB32sQQ")
_LABEL = b"secure-fedmeta decryptor/1"
_KEY_LABEL = b"secure-fedmeta round key/1"
_ANNOUNCED = struct.Struct("<8sQ")
_ANNOUNCED_MAGIC = b"sfmann/1"
REST_BYTES = _HEAD.size + SIGNATURE_BYTES + DIGEST_BYTES  # of each message, beside key or words


class Kind(enum.IntEnum):
    """What a message of the decryptor holds."""

    PROPOSAL = 1
    OFFER = 2
    OPENED = 3

    @property
    def where(self) -> str:
        """Its name as a place in error texts."""
        return self.name.lower()


def round_key_hash(scheme_digest: bytes, public_key: bytes) -> bytes:
    """What M0 calls `key_hash`: SHA-256 of a label, the scheme and the public key.

    Example:
        >>> round_key_hash(bytes(32), b"one key") == round_key_hash(bytes(32), b"another")
        False
    """
    return hashlib.sha256(_KEY_LABEL + scheme_digest + public_key).digest()


def round_digest(scheme_digest: bytes, key_hash: bytes) -> bytes:
    """The scheme and this round's key as one digest, which every `attachment_digest` of the round holds."""
    return hashlib.sha256(_KEY_LABEL + b"/attachments" + scheme_digest + key_hash).digest()


def is_from_decryptor(message: bytes) -> bool:
    """Whether a message says that it is the decryptor's; `unframe` checks it."""
    return message[: len(_MAGIC)] == _MAGIC


def frame(kind: Kind, payload: bytes, *, session: bytes, round_: int, identity: Identity) -> bytes:
    """A message in canonical bytes, signed.

    Example:
        >>> server, decryptor = Identity(bytes(32)), Identity(bytes(31) + b"d")
        >>> people = AllowList(server.public, {DECRYPTOR: decryptor.public})
        >>> offer = frame(Kind.OFFER, bytes(32) + b"the key", session=b"s" * 32, round_=7, identity=decryptor)
        >>> limits = {"round_": 7, "people": people, "max_bytes": 1000}
        >>> bytes(unframe(offer, Kind.OFFER, session=b"s" * 32, **limits))[32:]
        b'the key'
        >>> unframe(offer, Kind.OFFER, session=bytes(32), **limits)
        Traceback (most recent call last):
        fedmeta_crypto.errors.WrongSession: SFM-225 WrongSession at offer: another session's message...
    """
    head = _HEAD.pack(_MAGIC, kind, session, round_, len(payload))
    return b"".join((head, payload, identity.sign(_statement(head, payload))))


def unframe(
    message: bytes, kind: Kind, *, session: bytes, round_: int, people: AllowList, max_bytes: int
) -> memoryview:
    """The payload of a message of this kind, made by the decryptor for this session.

    Raises:     Oversized, Truncated, BadMessage, WrongRound, WrongSession, BadSignature.
    """
    where = kind.where
    if len(message) > max_bytes:
        raise Oversized(f"{len(message)} bytes, at most {max_bytes} expected", sender=DECRYPTOR, where=where)
    if len(message) < REST_BYTES:
        raise Truncated(f"{len(message)} bytes, fewer than a message has", sender=DECRYPTOR, where=where)
    magic, code, made_for, number, size = _HEAD.unpack_from(message)
    if magic != _MAGIC or code != kind or size != len(message) - _HEAD.size - SIGNATURE_BYTES:
        raise BadMessage("not the message of the decryptor that is due", sender=DECRYPTOR, where=where)
    if number != round_:
        raise WrongRound(f"round {number}, this is {round_}", sender=DECRYPTOR, where=where)
    if made_for != session:
        raise WrongSession("another session's message", sender=DECRYPTOR, where=where)
    payload = memoryview(message)[_HEAD.size : -SIGNATURE_BYTES]
    statement = _statement(message[: _HEAD.size], payload)
    if not people.verify(DECRYPTOR, statement, message[-SIGNATURE_BYTES:]):
        raise BadSignature("the signature does not verify", sender=DECRYPTOR, where=where)
    return payload


def _statement(head: bytes, payload: bytes | memoryview) -> bytes:
    return hashlib.sha256(_LABEL + head + hashlib.sha256(payload).digest()).digest()


@dataclass(frozen=True, slots=True)
class RoundKey:
    """The decryptor's public key for one round, as a proposal or an offer carries it.

    Attributes:
        hash: to stand in `RoundParameters.key_hash`.
    """

    scheme_digest: bytes
    public_key: bytes = field(repr=False)

    @property
    def hash(self) -> bytes:
        """`round_key_hash` of the two."""
        return round_key_hash(self.scheme_digest, self.public_key)

    def payload(self) -> bytes:
        """Canonical bytes."""
        return self.scheme_digest + self.public_key

    @classmethod
    def read(cls, payload: memoryview, *, scheme_digest: bytes, where: str) -> Self:
        """Parse; the key itself is left for the scheme's own parser.

        Raises:     WrongKey: made for another scheme.
        """
        found = cls(bytes(payload[:DIGEST_BYTES]), bytes(payload[DIGEST_BYTES:]))
        if found.scheme_digest != scheme_digest:
            raise WrongKey("a key of another scheme", sender=DECRYPTOR, where=where)
        return found


def opened_payload(survivors_digest: bytes, words: Words) -> bytes:
    """Payload of `Kind.OPENED`.

    Example:
        >>> payload = memoryview(opened_payload(bytes(32), np.array([3, 65536], np.uint64)))
        >>> read_opened(payload, survivors_digest=bytes(32), length=2, modulus=65537).tolist()
        [3, 65536]
    """
    return survivors_digest + words.astype("<u8", copy=False).tobytes()


def read_opened(payload: memoryview, *, survivors_digest: bytes, length: int, modulus: int) -> Words:
    """The words of an `opened` message, shape (length,), uint64, below the modulus.

    Raises:     WrongOpening: of other survivors, of another size, or not residues.
    """
    where = Kind.OPENED.where
    if payload[:DIGEST_BYTES] != survivors_digest:
        raise WrongOpening("opened for other survivors", sender=DECRYPTOR, where=where)
    if len(payload) != DIGEST_BYTES + 8 * length:
        raise WrongOpening(f"{len(payload)} bytes for {length} words", sender=DECRYPTOR, where=where)
    words = np.frombuffer(payload, "<u8", offset=DIGEST_BYTES).astype(np.uint64)
    if words.max(initial=0) >= modulus:
        raise WrongOpening("words that are not below the modulus", sender=DECRYPTOR, where=where)
    return words


def announcement(m0: bytes, offer: bytes) -> bytes:
    """M0 and the decryptor's offer in one message."""
    return _ANNOUNCED.pack(_ANNOUNCED_MAGIC, len(m0)) + m0 + offer


def is_announcement(message: bytes) -> bool:
    """Whether a message says that it announces a round with a decryptor; `announcement_parts` checks it."""
    return message[: len(_ANNOUNCED_MAGIC)] == _ANNOUNCED_MAGIC


def announcement_parts(message: bytes, *, max_bytes: int | None = None) -> tuple[bytes, bytes]:
    """M0 and the offer; neither is looked into.

    Args:       max_bytes: the most that M0 and offer could need together.
    Raises:     Truncated, Oversized, BadMessage.

    Example:
        >>> announcement_parts(announcement(b"M0", b"offer"))
        (b'M0', b'offer')
    """
    where = "announcement"
    if len(message) < _ANNOUNCED.size:
        raise Truncated("shorter than an announcement's head", sender=SERVER, where=where)
    magic, size = _ANNOUNCED.unpack_from(message)
    if magic != _ANNOUNCED_MAGIC:
        raise BadMessage("not an announcement with an offer", sender=SERVER, where=where)
    if max_bytes is not None and len(message) > _ANNOUNCED.size + max_bytes:
        raise Oversized("more bytes than an announcement could need", sender=SERVER, where=where)
    if size > len(message) - _ANNOUNCED.size:
        raise Truncated("the announcement is cut", sender=SERVER, where=where)
    at = _ANNOUNCED.size + size
    return message[_ANNOUNCED.size : at], message[at:]


NO_SESSION = bytes(SESSION_BYTES)


def read_proposal(proposal: bytes, *, scheme_digest: bytes, round_: int, people: AllowList, max_bytes: int) -> RoundKey:
    """The key that the decryptor proposes for a round, before there is a session.

    Raises:     as `unframe`; WrongKey: made for another scheme.
    """
    kind = Kind.PROPOSAL
    payload = unframe(proposal, kind, session=NO_SESSION, round_=round_, people=people, max_bytes=max_bytes)
    return RoundKey.read(payload, scheme_digest=scheme_digest, where=kind.where)
