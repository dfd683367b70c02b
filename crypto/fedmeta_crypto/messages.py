# SPDX-License-Identifier: Apache-2.0
"""The messages of a round after its announcement (M0 is `secagg.parameters.RoundParameters`).

| M  | class              | direction        | payload                                                  |
|----|--------------------|------------------|----------------------------------------------------------|
| 1  | `KeyAdvertisement` | client to server | cipher key 32, mask key 32, commitment 32                |
| 2  | `Roster`           | server to client | count, (id, advertisement [, its signature 64])*         |
| 3  | `SealedShares`     | client to server | count, (receiver, size u16, box)*                        |
| 4  | `Delivery`         | server to client | count, (dealer, size u16, box)*; own box all zeros |
| 5  | `MaskedInput`      | client to server | attachment hash 32, view digest 32, count, b bits each * |
| 6  | `SurvivorList`     | server to client | count, (id, digest 32, signature size u16, M5's signature)* |
| 7  | `ConsistencyVote`  | client to server | digest 32 of session and survivors                       |
| 8  | `ConsistencyProof` | server to client | count, (id, digest 32, signature 64 of that M7)*         |
| 9  | `UnmaskingShares`  | client to server | count, (peer, kind u8, size u16, share)*                 |

Ids are strictly increasing in every list: that is the canonical form, and it excludes repetition. Signatures inside
lists, M7 and M8 belong to the signed strengths.
"""

import hashlib
import struct
from dataclasses import dataclass, field
from operator import lt
from typing import ClassVar, NamedTuple, Self

import numpy as np

from fedmeta_crypto.keys import DIGEST_BYTES, LABEL, PUBLIC_BYTES
from fedmeta_crypto.ring import MAX_BITS, Residues, from_wire, to_wire, wire_bytes
from fedmeta_crypto.sealed import BOX_BYTES, KINDS, SECRET_WORDS, SHARE_BYTES, SecretKind
from fedmeta_crypto.shamir import is_packed
from fedmeta_crypto.wire import FRAME_BYTES, SERVER, SIGNATURE_BYTES, MessageType, Reader

_U32 = struct.Struct("<I")
_ENTRY = struct.Struct("<I32s32s32s")
_BOX = struct.Struct(f"<IH{BOX_BYTES}s")
_SIGNED_ENTRY = struct.Struct("<I32s32s32s64s")
_SURVIVOR = struct.Struct("<I32sH")
_SIGNED_SURVIVOR = struct.Struct("<I32sH64s")
_VOTE = struct.Struct("<I32s64s")
_ANSWER = struct.Struct(f"<IBH{SHARE_BYTES}s")
_ITEM_BYTES = {
    MessageType.ROSTER: _ENTRY.size,
    MessageType.SHARES: _BOX.size,
    MessageType.DELIVERY: _BOX.size,
    MessageType.SURVIVORS: _SURVIVOR.size,
    MessageType.UNMASKING: _ANSWER.size,
}
_SIGNED_ITEM_BYTES = _ITEM_BYTES | {
    MessageType.ROSTER: _SIGNED_ENTRY.size,
    MessageType.SURVIVORS: _SIGNED_SURVIVOR.size,
    MessageType.CONSISTENCY_PROOF: _VOTE.size,
}
_FIXED_BYTES = {
    MessageType.ADVERTISEMENT: 2 * PUBLIC_BYTES + DIGEST_BYTES,
    MessageType.CONSISTENCY: DIGEST_BYTES,
}
_KIND = {kind.value: kind for kind in KINDS}


def view_digest(session: bytes, ids: tuple[int, ...]) -> bytes:
    """Digest of a set of ids as one party saw it."""
    return hashlib.sha256(LABEL + session + b"view" + np.array(ids, "<u4").tobytes()).digest()


def message_digest(message: bytes) -> bytes:
    """Digest by which a survivor list without signatures names a masked input: of all bytes before the trailer."""
    digest = hashlib.sha256(LABEL + b"message")
    digest.update(memoryview(message)[:-2])
    return digest.digest()


def survivors_digest(session: bytes, entries: tuple[tuple[int, bytes], ...]) -> bytes:
    """What clients sign about U3: its members and the digest of each one's masked input."""
    rows = b"".join(_U32.pack(id_) + digest for id_, digest in entries)
    return hashlib.sha256(LABEL + session + b"survivors" + rows).digest()


def masked_input_bytes(length: int, bits: int = MAX_BITS) -> int:
    """Size of an M5's payload."""
    return 2 * DIGEST_BYTES + _U32.size + wire_bytes(length, bits)


def max_bytes(kind: MessageType, *, members: int, length: int, signed: bool = False) -> int:
    """The most bytes a message of this kind can need in a round of that size."""
    rest = FRAME_BYTES + (SIGNATURE_BYTES if signed else 0)
    if kind in _FIXED_BYTES:
        return rest + _FIXED_BYTES[kind]
    if kind is MessageType.MASKED_INPUT:
        return rest + masked_input_bytes(length)
    return rest + _U32.size + members * (_SIGNED_ITEM_BYTES if signed else _ITEM_BYTES)[kind]


def _check_ids(reader: Reader, ids: list[int]) -> None:
    if not all(map(lt, ids, ids[1:])) or (ids and ids[-1] == SERVER):
        raise reader.refuse("ids are not strictly increasing client ids")


@dataclass(frozen=True, slots=True)
class KeyAdvertisement:
    """M1: two fresh public keys and the commitment to the self-mask seed."""

    TYPE: ClassVar = MessageType.ADVERTISEMENT
    cipher_public: bytes
    mask_public: bytes
    commitment: bytes

    def payload(self) -> bytes:
        """Canonical bytes."""
        return self.cipher_public + self.mask_public + self.commitment

    @classmethod
    def read(cls, reader: Reader) -> Self:
        """Parse, or raise a `PeerProtocolError`."""
        value = cls(reader.take(PUBLIC_BYTES), reader.take(PUBLIC_BYTES), reader.take(DIGEST_BYTES))
        reader.finish()
        return value


@dataclass(frozen=True, slots=True)
class Roster:
    """M2: the advertisements of everyone who advertised, own one included, each with its M1's signature if any."""

    TYPE: ClassVar = MessageType.ROSTER
    entries: tuple[tuple[int, KeyAdvertisement], ...]
    signatures: tuple[bytes, ...] = ()

    def payload(self) -> bytes:
        """Canonical bytes."""
        rows = [_U32.pack(id_) + advert.payload() for id_, advert in self.entries]
        if self.signatures:
            rows = [row + signature for row, signature in zip(rows, self.signatures, strict=True)]
        return b"".join((_U32.pack(len(rows)), *rows))

    @classmethod
    def read(cls, reader: Reader, *, signed: bool = False) -> Self:
        """Parse, or raise a `PeerProtocolError`."""
        form = _SIGNED_ENTRY if signed else _ENTRY
        block = reader.view(reader.count(form.size) * form.size)
        reader.finish()
        rows = list(form.iter_unpack(block))
        _check_ids(reader, [row[0] for row in rows])
        entries = tuple([(row[0], KeyAdvertisement(*row[1:4])) for row in rows])
        return cls(entries, tuple([row[4] for row in rows]) if signed else ())


@dataclass(frozen=True, slots=True)
class _Boxes:
    boxes: tuple[tuple[int, bytes], ...] = field(repr=False)

    def payload(self) -> bytes:
        """Canonical bytes."""
        rows = [_BOX.pack(id_, BOX_BYTES, box) for id_, box in self.boxes]
        return b"".join((_U32.pack(len(rows)), *rows))

    @classmethod
    def read(cls, reader: Reader) -> Self:
        """Parse, or raise a `PeerProtocolError`."""
        block = reader.view(reader.count(_BOX.size) * _BOX.size)
        reader.finish()
        rows = list(_BOX.iter_unpack(block))
        _check_ids(reader, [id_ for id_, _, _ in rows])
        if [size for _, size, _ in rows] != [BOX_BYTES] * len(rows):
            raise reader.refuse("a box of another size")
        return cls(tuple([(id_, box) for id_, _, box in rows]))


@dataclass(frozen=True, slots=True)
class SealedShares(_Boxes):
    """M3: one sealed box for every other advertised client."""

    TYPE: ClassVar = MessageType.SHARES


@dataclass(frozen=True, slots=True)
class Delivery(_Boxes):
    """M4: the mask set U2, with the box that each of its members sealed for the receiver."""

    TYPE: ClassVar = MessageType.DELIVERY


@dataclass(frozen=True, slots=True, eq=False)
class MaskedInput:
    """M5: the masked vector in native words, bound to an application's attachment and to the sender's mask set."""

    TYPE: ClassVar = MessageType.MASKED_INPUT
    attachment_hash: bytes
    view_digest: bytes
    vector: Residues = field(repr=False)
    bits: int = MAX_BITS

    def parts(self) -> tuple[bytes | memoryview, ...]:
        """The pieces of `payload`; the last may be the vector's own memory, so that framing copies it once."""
        body = to_wire(self.vector, bits=self.bits)
        return self.attachment_hash, self.view_digest, _U32.pack(self.vector.size), body

    def payload(self) -> bytes:
        """Canonical bytes."""
        return b"".join(self.parts())

    @classmethod
    def read(cls, reader: Reader, *, bits: int, length: int, sender: int) -> Self:
        """Parse, or raise a `PeerProtocolError`; the vector is a view of the message."""
        attachment, view = reader.take(DIGEST_BYTES), reader.take(DIGEST_BYTES)
        size = reader.count(1)  # a value is a byte at least
        if size != length:
            raise reader.refuse(f"{size} values, the round has {length}")
        words = reader.view(wire_bytes(length, bits))
        reader.finish()
        return cls(attachment, view, from_wire(words, bits=bits, length=length, sender=sender), bits)


@dataclass(frozen=True, slots=True)
class SurvivorList:
    """M6: everyone whose masked input counts, each with that input's digest and, if any, its signature.

    The digest is `message_digest` without signatures and that of the payload (`wire.content_digest`) with them.
    """

    TYPE: ClassVar = MessageType.SURVIVORS
    entries: tuple[tuple[int, bytes], ...]
    signatures: tuple[bytes, ...] = ()

    def payload(self) -> bytes:
        """Canonical bytes."""
        if self.signatures:
            pairs = zip(self.entries, self.signatures, strict=True)
            rows = [_SIGNED_SURVIVOR.pack(*entry, SIGNATURE_BYTES, signature) for entry, signature in pairs]
        else:
            rows = [_SURVIVOR.pack(id_, digest, 0) for id_, digest in self.entries]
        return b"".join((_U32.pack(len(rows)), *rows))

    @classmethod
    def read(cls, reader: Reader, *, signed: bool = False) -> Self:
        """Parse, or raise a `PeerProtocolError`."""
        form = _SIGNED_SURVIVOR if signed else _SURVIVOR
        block = reader.view(reader.count(form.size) * form.size)
        reader.finish()
        rows = list(form.iter_unpack(block))
        _check_ids(reader, [row[0] for row in rows])
        if any(row[2] != (SIGNATURE_BYTES if signed else 0) for row in rows):
            raise reader.refuse("a signature of a size that this strength has not")
        entries = tuple([(row[0], row[1]) for row in rows])
        return cls(entries, tuple([row[3] for row in rows]) if signed else ())


@dataclass(frozen=True, slots=True)
class ConsistencyVote:
    """M7: the survivors that its author was shown; one per session."""

    TYPE: ClassVar = MessageType.CONSISTENCY
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


@dataclass(frozen=True, slots=True)
class ConsistencyProof:
    """M8: who voted, for which digest, and the signature of that M7."""

    TYPE: ClassVar = MessageType.CONSISTENCY_PROOF
    votes: tuple[tuple[int, bytes, bytes], ...]

    def payload(self) -> bytes:
        """Canonical bytes."""
        rows = [_VOTE.pack(*vote) for vote in self.votes]
        return b"".join((_U32.pack(len(rows)), *rows))

    @classmethod
    def read(cls, reader: Reader) -> Self:
        """Parse, or raise a `PeerProtocolError`."""
        block = reader.view(reader.count(_VOTE.size) * _VOTE.size)
        reader.finish()
        votes = tuple(_VOTE.iter_unpack(block))
        _check_ids(reader, [id_ for id_, _, _ in votes])
        return cls(votes)


class Answer(NamedTuple):
    """One packed share of one peer's secret."""

    peer: int
    kind: SecretKind
    share: bytes


@dataclass(frozen=True, slots=True)
class UnmaskingShares:
    """M9: for each peer of the mask set, exactly one of its two secrets' shares."""

    TYPE: ClassVar = MessageType.UNMASKING
    answers: tuple[Answer, ...] = field(repr=False)

    def payload(self) -> bytes:
        """Canonical bytes."""
        rows = [_ANSWER.pack(peer, kind, SHARE_BYTES, share) for peer, kind, share in self.answers]
        return b"".join((_U32.pack(len(rows)), *rows))

    @classmethod
    def read(cls, reader: Reader) -> Self:
        """Parse, or raise a `PeerProtocolError`."""
        answers = []
        block = reader.view(reader.count(_ANSWER.size) * _ANSWER.size)
        reader.finish()
        for peer, code, size, share in _ANSWER.iter_unpack(block):
            kind = _KIND.get(code)
            if kind is None or size != SHARE_BYTES:
                raise reader.refuse(f"an answer of kind {code} with {size} bytes")
            if not is_packed(share, SECRET_WORDS):
                raise reader.refuse("a share that is not in packed form")
            answers.append(Answer(peer, kind, share))
        _check_ids(reader, [answer.peer for answer in answers])
        return cls(tuple(answers))


Message = (
    KeyAdvertisement
    | Roster
    | SealedShares
    | Delivery
    | MaskedInput
    | SurvivorList
    | ConsistencyVote
    | ConsistencyProof
    | UnmaskingShares
)
