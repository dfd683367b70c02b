# SPDX-License-Identifier: Apache-2.0
"""The frame around every message, and a reader that never believes a length.

    magic "SFMS" | version u8 | suite u8 | type u8 | session 32 | round u64 | sender u32 | size u32
    payload (size bytes)
    signature size u16 | signature        (size 0 under the semi-honest strength, 64 under the signed ones)

A signature is Ed25519 over `statement`: SHA-256 of label, header and SHA-256 of the payload. With the payload's digest
in the place of the payload, a list can prove who sent what in this session without holding it: the reader rebuilds the
header himself, so that no signature made for another message type, round or session can stand in.

Little-endian. The form is canonical: one meaning has one byte string, so decode then encode gives the
same bytes. A length field is compared with the bytes really there before anything is made of it.
"""

import enum
import hashlib
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, Self

from fedmeta_crypto.errors import (
    BadMessage,
    BadSignature,
    Oversized,
    SpoofedSender,
    Truncated,
    Unsupported,
    WrongRound,
    WrongSession,
)
from fedmeta_crypto.keys import DIGEST_BYTES, LABEL

SERVER = 0xFFFFFFFF
DECRYPTOR = 0xFFFFFFFE  # in rounds whose masked words are encrypted; an ordinary id in all others
MAGIC = b"SFMS"
VERSION = 1
SUITE = 1
SESSION_BYTES = 32
MAX_ROUND = 2**63 - 1
_HEAD = struct.Struct("<4sBBB32sQII")
_SIGNATURE = struct.Struct("<H")
_U32 = struct.Struct("<I")
_TYPE_AT = 6
FRAME_BYTES = _HEAD.size + _SIGNATURE.size
SIGNATURE_BYTES = 64

Signer = Callable[[bytes], bytes]  # statement -> signature


class MessageType(enum.IntEnum):
    """Message numbers; any other number is refused as unsupported.

    Attributes:
        where: its name as a place in error texts.
    """

    where: str

    PARAMETERS = 0
    ADVERTISEMENT = 1
    ROSTER = 2
    SHARES = 3
    DELIVERY = 4
    MASKED_INPUT = 5
    SURVIVORS = 6
    CONSISTENCY = 7
    CONSISTENCY_PROOF = 8
    UNMASKING = 9
    RECORD = 10
    COUNTERSIGNATURE = 11

    def __init__(self, _: int) -> None:
        self.where = self.name.lower()


SIGNED_ONLY = frozenset(
    {
        MessageType.CONSISTENCY,
        MessageType.CONSISTENCY_PROOF,
        MessageType.RECORD,
        MessageType.COUNTERSIGNATURE,
    }
)
_KNOWN = {kind.value: kind for kind in MessageType}


class Header(NamedTuple):
    """Who says what in which session and round."""

    type: MessageType
    session: bytes
    round: int
    sender: int


def statement(header: Header, *, size: int, content: bytes) -> bytes:
    """What a signature is over.

    Args:       size: of the payload.  content: `content_digest` of the payload.
    """
    return hashlib.sha256(LABEL + _packed(header, size) + content).digest()


def content_digest(*parts: bytes | memoryview) -> bytes:
    """SHA-256 of a payload, given in one part or more, by which signatures and lists name it."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return digest.digest()


def frame(header: Header, payload: bytes, sign: Signer | None = None) -> bytes:
    """Header, payload and signature; the signature is empty without a signer."""
    content = b"" if sign is None else content_digest(payload)
    return frame_parts(header, (payload,), sign, content=content)


def frame_parts(header: Header, parts: tuple[bytes | memoryview, ...], sign: Signer | None, *, content: bytes) -> bytes:
    """`frame` of a payload in parts, which are copied once.

    Args:       content: `content_digest` of the parts; not looked at without a signer.
    """
    size = sum(map(len, parts))
    head = _packed(header, size)
    if sign is None:
        return b"".join((head, *parts, _SIGNATURE.pack(0)))
    signature = sign(statement(header, size=size, content=content))
    return b"".join((head, *parts, _SIGNATURE.pack(len(signature)), signature))


def payload_of(message: bytes) -> memoryview:
    """The payload of a signed message that this side framed."""
    return memoryview(message)[_HEAD.size : -(_SIGNATURE.size + SIGNATURE_BYTES)]


def signature_of(message: bytes) -> bytes:
    """The signature of a message that `unframe` accepted as signed."""
    return message[-SIGNATURE_BYTES:]


def _packed(header: Header, size: int) -> bytes:
    return _HEAD.pack(MAGIC, VERSION, SUITE, header.type, header.session, header.round, header.sender, size)


def claimed_type(message: bytes) -> int | None:
    """The type that a message states, with nothing checked; None if it is too short to state one."""
    return message[_TYPE_AT] if len(message) > _TYPE_AT else None


def unframe(message: bytes, *, sender: int, max_bytes: int, signed: bool = False) -> tuple[Header, memoryview]:
    """Split a message into header and payload, without copying the payload; a signature is not verified here.

    Args:       sender: whom the transport names; blamed in errors.  max_bytes: most this could need.
                signed: whether the round's strength demands a signature; without one it forbids it.
    Raises:     Oversized, Truncated, Unsupported, BadMessage, BadSignature.
    """
    where = "frame"
    if len(message) > max_bytes:
        raise Oversized(f"{len(message)} bytes, at most {max_bytes} expected", sender=sender, where=where)
    if len(message) < FRAME_BYTES:
        raise Truncated(f"{len(message)} bytes, a frame has {FRAME_BYTES}", sender=sender, where=where)
    magic, version, suite, code, session, round_, author, size = _HEAD.unpack_from(message)
    if magic != MAGIC:
        raise BadMessage("not a message of this protocol", sender=sender, where=where)
    if (version, suite) != (VERSION, SUITE):
        raise Unsupported(f"version {version} suite {suite}", sender=sender, where=where)
    kind = _KNOWN.get(code)
    if kind is None or (kind in SIGNED_ONLY and not signed):
        raise Unsupported(f"message type {code}", sender=sender, where=where)
    rest = len(message) - FRAME_BYTES
    if size > rest:
        raise Truncated(f"payload of {size} bytes announced, {rest} there", sender=sender, where=where)
    (signature,) = _SIGNATURE.unpack_from(message, _HEAD.size + size)
    if signature and not signed:
        raise Unsupported("a signature, where this strength has none", sender=sender, where=where)
    if signed and signature != SIGNATURE_BYTES:
        raise BadSignature(f"a signature of {signature} bytes", sender=sender, where=where)
    if size + signature > rest:
        raise Truncated("the signature is cut", sender=sender, where=where)
    if size + signature < rest:
        raise BadMessage(f"{rest - size - signature} trailing bytes", sender=sender, where=where)
    view = memoryview(message)[_HEAD.size : _HEAD.size + size]
    return Header(kind, session, round_, author), view


def check_header(header: Header, *, session: bytes, round_: int, sender: int) -> None:
    """Refuse what was made for another session or round, or by someone else than the transport says."""
    where = header.type.where
    if header.sender != sender:
        raise SpoofedSender(f"header names {header.sender}", sender=sender, where=where)
    if header.round != round_:
        raise WrongRound(f"round {header.round}, this is {round_}", sender=sender, where=where)
    if header.session != session:
        raise WrongSession("another session's message", sender=sender, where=where)


class Reader:
    """Reads a payload from the front; every complaint names the peer that wrote it."""

    __slots__ = ("_at", "_data", "_sender", "_where")

    def __init__(self, data: memoryview, *, sender: int, where: str) -> None:
        self._data = data
        self._at = 0
        self._sender = sender
        self._where = where

    @property
    def left(self) -> int:
        """Bytes not read yet."""
        return len(self._data) - self._at

    def view(self, n: int) -> memoryview:
        """The next n bytes, not copied."""
        if n > self.left:
            raise Truncated(f"{n} bytes wanted, {self.left} left", sender=self._sender, where=self._where)
        self._at += n
        return self._data[self._at - n : self._at]

    def take(self, n: int) -> bytes:
        """The next n bytes."""
        return bytes(self.view(n))

    def unpack(self, form: struct.Struct) -> tuple[int, ...]:
        """The next integers of a struct."""
        return form.unpack(self.view(form.size))

    def count(self, item_bytes: int) -> int:
        """A u32 count of items of at least `item_bytes` each, checked against the bytes left."""
        (count,) = self.unpack(_U32)
        if count * item_bytes > self.left:
            raise Truncated(f"{count} items announced, too few bytes", sender=self._sender, where=self._where)
        return count

    def refuse(self, what: str) -> BadMessage:
        """An error to raise for this message."""
        return BadMessage(what, sender=self._sender, where=self._where)

    def finish(self) -> None:
        """Refuse trailing bytes."""
        if self.left:
            raise self.refuse(f"{self.left} trailing bytes")


@dataclass(frozen=True, slots=True)
class DigestPayload:
    """A payload that is one digest: whoever sends it has signed what the digest is of."""

    digest: bytes

    def payload(self) -> bytes:
        """Canonical bytes."""
        return self.digest

    @classmethod
    def read(cls, reader: Reader) -> Self:
        """Parse, or raise a `PeerProtocolError`."""
        value = cls(reader.take(DIGEST_BYTES))
        reader.finish()
        return value
