# SPDX-License-Identifier: Apache-2.0
"""The messages of a round after its announcement (M0 is `secagg.parameters.RoundParameters`).

| M  | class              | direction        | payload                                                  |
|----|--------------------|------------------|----------------------------------------------------------|
| 1  | `KeyAdvertisement` | client to server | cipher key 32, mask key 32, commitment 32                |
| 2  | `Roster`           | server to client | count, (id, advertisement [, its signature 64])*         |
| 3  | `SealedShares`     | client to server | count, (receiver, size u16, box)* {, commitment 32 *}    |
| 4  | `Delivery`         | server to client | count, (dealer, size u16, box)*; own box all zeros       |
| 5  | `MaskedInput`      | client to server | attachment hash 32, view digest 32, count, b bits each * |
| 6  | `SurvivorList`     | server to client | count, (id [, digest 32 of its M5's payload])*           |
| 7  | `ConsistencyVote`  | client to server | digest 32 of session and survivors                       |
| 8  | `ConsistencyProof` | server to client | count, (id, type u8, digest 32, signature 64)*           |
| 9  | `UnmaskingShares`  | client to server | count, (peer, kind u8, size u16, share)*                 |
| 10 | `RoundRecord`      | server to client | the application's bytes, in `records`                    |
| 11 | `Countersignature` | client to server | digest 32 of session, survivors and record, in `records` |

M2 and M4 list the receiver and its neighbours, M6 and M8 every survivor. Ids are strictly increasing in every list:
that is the canonical form, and it excludes repetition. What stands in brackets, M7, M8, M10 and M11 belong
to the signed strengths. In a round with s surplus secrets M3 ends in s commitments, a box holds s more shares, and
M9 may have several rows of one peer, in increasing kind; without, a peer has one row and M3 no commitments.
"""

import hashlib
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from operator import lt
from typing import ClassVar, NamedTuple, Self

import numpy as np

from fedmeta_crypto.keys import DIGEST_BYTES, LABEL, PUBLIC_BYTES
from fedmeta_crypto.records import MAX_RECORD_BYTES, Countersignature, RoundRecord
from fedmeta_crypto.ring import MAX_BITS, Residues, from_wire, to_wire, wire_bytes
from fedmeta_crypto.sealed import KINDS, SECRET_WORDS, SHARE_BYTES, box_bytes
from fedmeta_crypto.shamir import is_packed
from fedmeta_crypto.wire import FRAME_BYTES, SERVER, SIGNATURE_BYTES, DigestPayload, MessageType, Reader

_U32 = struct.Struct("<I")
_ENTRY = struct.Struct("<I32s32s32s")
_SIGNED_ENTRY = struct.Struct("<I32s32s32s64s")
_SIGNED_SURVIVOR = struct.Struct("<I32s")
_EVIDENCE = struct.Struct("<IB32s64s")
_ANSWER = struct.Struct(f"<IBH{SHARE_BYTES}s")
_ITEM_BYTES = {
    MessageType.ROSTER: _ENTRY.size,
    MessageType.SURVIVORS: _U32.size,
}
_SIGNED_ITEM_BYTES = _ITEM_BYTES | {
    MessageType.ROSTER: _SIGNED_ENTRY.size,
    MessageType.SURVIVORS: _SIGNED_SURVIVOR.size,
    MessageType.CONSISTENCY_PROOF: _EVIDENCE.size,
}
_MOST_BYTES = {  # of a payload whose size hangs on nothing in the round
    MessageType.ADVERTISEMENT: 2 * PUBLIC_BYTES + DIGEST_BYTES,
    MessageType.CONSISTENCY: DIGEST_BYTES,
    MessageType.RECORD: MAX_RECORD_BYTES,
    MessageType.COUNTERSIGNATURE: DIGEST_BYTES,
}
_NO_HIGH_BITS = bytes(SHARE_BYTES - 2 * SECRET_WORDS)  # nearly every share: no word is 65536
_PROVES = {kind.value: kind for kind in (MessageType.MASKED_INPUT, MessageType.CONSISTENCY)}


def view_digest(session: bytes, ids: tuple[int, ...]) -> bytes:
    """Digest of a set of ids as one party saw it."""
    return hashlib.sha256(LABEL + session + b"view" + np.array(ids, "<u4").tobytes()).digest()


def survivors_digest(session: bytes, entries: tuple[tuple[int, bytes], ...]) -> bytes:
    """What clients sign about U3: its members and the digest of each one's masked input."""
    rows = b"".join(_U32.pack(id_) + digest for id_, digest in entries)
    return hashlib.sha256(LABEL + session + b"survivors" + rows).digest()


def masked_input_bytes(length: int, bits: int = MAX_BITS) -> int:
    """Size of an M5's payload."""
    return 2 * DIGEST_BYTES + _U32.size + wire_bytes(length, bits)


@lru_cache(maxsize=8)
def _box_form(size: int) -> struct.Struct:
    return struct.Struct(f"<IH{size}s")


def max_bytes(kind: MessageType, *, members: int, length: int, signed: bool = False, surplus: int = 0) -> int:
    """The most bytes a message of this kind can need in a round of that size."""
    rest = FRAME_BYTES + (SIGNATURE_BYTES if signed else 0)
    if kind in (MessageType.SHARES, MessageType.DELIVERY):
        return rest + _U32.size + members * _box_form(box_bytes(surplus)).size + surplus * DIGEST_BYTES
    if kind is MessageType.UNMASKING:
        return rest + _U32.size + members * (1 + surplus) * _ANSWER.size
    if kind in _MOST_BYTES:
        return rest + _MOST_BYTES[kind]
    if kind is MessageType.MASKED_INPUT:
        return rest + masked_input_bytes(length)
    return rest + _U32.size + members * (_SIGNED_ITEM_BYTES if signed else _ITEM_BYTES)[kind]


def _check_ids(reader: Reader, ids: Sequence[int]) -> None:
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
        form = _box_form(len(self.boxes[0][1]) if self.boxes else 0)
        rows = [form.pack(id_, len(box), box) for id_, box in self.boxes]
        return b"".join((_U32.pack(len(rows)), *rows))

    @classmethod
    def read(cls, reader: Reader, *, surplus: int = 0) -> Self:
        """Parse, or raise a `PeerProtocolError`."""
        value = cls(_read_boxes(reader, box_bytes(surplus)))
        reader.finish()
        return value


def _read_boxes(reader: Reader, size: int) -> tuple[tuple[int, bytes], ...]:
    form = _box_form(size)
    block = reader.view(reader.count(form.size) * form.size)
    ids, sizes, boxes = tuple(zip(*form.iter_unpack(block), strict=True)) or ((), (), ())
    _check_ids(reader, ids)
    if sizes.count(size) != len(sizes):
        raise reader.refuse("a box of another size")
    return tuple(zip(ids, boxes, strict=True))


@dataclass(frozen=True, slots=True)
class SealedShares(_Boxes):
    """M3: one sealed box for every other advertised client, and a commitment to each surplus secret of the sender."""

    TYPE: ClassVar = MessageType.SHARES
    commitments: tuple[bytes, ...] = ()

    def payload(self) -> bytes:
        """Canonical bytes."""
        return b"".join((_Boxes.payload(self), *self.commitments))

    @classmethod
    def read(cls, reader: Reader, *, surplus: int = 0) -> Self:
        """Parse, or raise a `PeerProtocolError`."""
        boxes = _read_boxes(reader, box_bytes(surplus))
        value = cls(boxes, tuple([reader.take(DIGEST_BYTES) for _ in range(surplus)]))
        reader.finish()
        return value


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
    """M6: everyone whose masked input counts; under signatures each with the digest of that input's payload."""

    TYPE: ClassVar = MessageType.SURVIVORS
    ids: tuple[int, ...]
    digests: tuple[bytes, ...] = ()

    @property
    def entries(self) -> tuple[tuple[int, bytes], ...]:
        """(id, digest) of each."""
        return tuple(zip(self.ids, self.digests, strict=True))

    def payload(self) -> bytes:
        """Canonical bytes."""
        ids = np.array(self.ids, "<u4").tobytes()
        rows = [ids] if not self.digests else [_SIGNED_SURVIVOR.pack(*entry) for entry in self.entries]
        return b"".join((_U32.pack(len(self.ids)), *rows))

    @classmethod
    def read(cls, reader: Reader, *, signed: bool = False) -> Self:
        """Parse, or raise a `PeerProtocolError`."""
        form = _SIGNED_SURVIVOR if signed else _U32
        block = reader.view(reader.count(form.size) * form.size)
        reader.finish()
        rows = list(form.iter_unpack(block))
        ids = [row[0] for row in rows]
        _check_ids(reader, ids)
        return cls(tuple(ids), tuple([row[1] for row in rows]) if signed else ())


@dataclass(frozen=True, slots=True)
class ConsistencyVote(DigestPayload):
    """M7: the survivors that its author was shown; one per session."""

    TYPE: ClassVar = MessageType.CONSISTENCY


class Evidence(NamedTuple):
    """A survivor's own word that it sent its input: its vote, or else the masked input itself.

    `digest` is the one voted for, or that of the input's payload; `signature` is that message's.
    """

    id: int
    type: MessageType
    digest: bytes
    signature: bytes


@dataclass(frozen=True, slots=True)
class ConsistencyProof:
    """M8: of every survivor one signature, of at least a quorum of them on the survivors themselves."""

    TYPE: ClassVar = MessageType.CONSISTENCY_PROOF
    evidence: tuple[Evidence, ...]

    def payload(self) -> bytes:
        """Canonical bytes."""
        rows = [_EVIDENCE.pack(*item) for item in self.evidence]
        return b"".join((_U32.pack(len(rows)), *rows))

    @classmethod
    def read(cls, reader: Reader) -> Self:
        """Parse, or raise a `PeerProtocolError`."""
        block = reader.view(reader.count(_EVIDENCE.size) * _EVIDENCE.size)
        reader.finish()
        rows = list(_EVIDENCE.iter_unpack(block))
        _check_ids(reader, [row[0] for row in rows])
        if any(row[1] not in _PROVES for row in rows):
            raise reader.refuse("evidence of another type")
        return cls(tuple([Evidence(id_, _PROVES[code], digest, sign) for id_, code, digest, sign in rows]))


class Answer(NamedTuple):
    """One packed share of one peer's secret; `kind` is a `sealed.SecretKind` or a `sealed.surplus_kind`."""

    peer: int
    kind: int
    share: bytes


@dataclass(frozen=True, slots=True)
class UnmaskingShares:
    """M9: for each peer of the mask set, exactly one of its two secrets' shares, then those of surplus secrets."""

    TYPE: ClassVar = MessageType.UNMASKING
    answers: tuple[Answer, ...] = field(repr=False)

    def payload(self) -> bytes:
        """Canonical bytes."""
        rows = [_ANSWER.pack(peer, kind, SHARE_BYTES, share) for peer, kind, share in self.answers]
        return b"".join((_U32.pack(len(rows)), *rows))

    @classmethod
    def read(cls, reader: Reader, *, surplus: int = 0) -> Self:
        """Parse, or raise a `PeerProtocolError`."""
        answers = []
        block = reader.view(reader.count(_ANSWER.size) * _ANSWER.size)
        reader.finish()
        for peer, kind, size, share in _ANSWER.iter_unpack(block):
            if not 1 <= kind <= len(KINDS) + surplus or size != SHARE_BYTES:
                raise reader.refuse(f"an answer of kind {kind} with {size} bytes")
            if share[2 * SECRET_WORDS :] != _NO_HIGH_BITS and not is_packed(share, SECRET_WORDS):
                raise reader.refuse("a share that is not in packed form")
            answers.append(Answer(peer, kind, share))
        # One of its first two secrets opens each list about a peer.
        _check_ids(reader, [answer.peer for answer in answers if answer.kind <= len(KINDS)])
        if not all(map(lt, places := [answer[:2] for answer in answers], places[1:])):
            raise reader.refuse("answers are not in the order of peers and kinds")
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
    | RoundRecord
    | Countersignature
)
