# SPDX-License-Identifier: Apache-2.0
"""The messages of a round after its announcement (M0 is `secagg.parameters.RoundParameters`).

| M  | class              | direction        | payload                                                  |
|----|--------------------|------------------|----------------------------------------------------------|
| 1  | `KeyAdvertisement` | client to server | cipher key 32, mask key 32, commitment 32                |
| 2  | `Roster`           | server to client | count, (id, advertisement [, its signature 64])*         |
| 3  | `SealedShares`     | client to server | count, (receiver, size u16, box)*                        |
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
to the signed strengths.
"""

import hashlib
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from operator import lt
from typing import ClassVar, NamedTuple, Self

import numpy as np

from fedmeta_crypto.keys import DIGEST_BYTES, LABEL, PUBLIC_BYTES
from fedmeta_crypto.records import MAX_RECORD_BYTES, Countersignature, RoundRecord
from fedmeta_crypto.ring import MAX_BITS, Residues, from_wire, to_wire, wire_bytes
from fedmeta_crypto.sealed import BOX_BYTES, KINDS, SECRET_WORDS, SHARE_BYTES, SecretKind
from fedmeta_crypto.shamir import is_packed
from fedmeta_crypto.wire import FRAME_BYTES, SERVER, SIGNATURE_BYTES, DigestPayload, MessageType, Reader

_U32 = struct.Struct("<I")
_ENTRY = struct.Struct("<I32s32s32s")
_BOX = struct.Struct(f"<IH{BOX_BYTES}s")
_SIGNED_ENTRY = struct.Struct("<I32s32s32s64s")
_SIGNED_SURVIVOR = struct.Struct("<I32s")
_EVIDENCE = struct.Struct("<IB32s64s")
_ANSWER = struct.Struct(f"<IBH{SHARE_BYTES}s")
_ITEM_BYTES = {
    MessageType.ROSTER: _ENTRY.size,
    MessageType.SHARES: _BOX.size,
    MessageType.DELIVERY: _BOX.size,
    MessageType.SURVIVORS: _U32.size,
    MessageType.UNMASKING: _ANSWER.size,
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
_KIND = {kind.value: kind for kind in KINDS}
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


def max_bytes(kind: MessageType, *, members: int, length: int, signed: bool = False) -> int:
    """The most bytes a message of this kind can need in a round of that size."""
    rest = FRAME_BYTES + (SIGNATURE_BYTES if signed else 0)
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
        rows = [_BOX.pack(id_, BOX_BYTES, box) for id_, box in self.boxes]
        return b"".join((_U32.pack(len(rows)), *rows))

    @classmethod
    def read(cls, reader: Reader) -> Self:
        """Parse, or raise a `PeerProtocolError`."""
        block = reader.view(reader.count(_BOX.size) * _BOX.size)
        reader.finish()
        ids, sizes, boxes = tuple(zip(*_BOX.iter_unpack(block), strict=True)) or ((), (), ())
        _check_ids(reader, ids)
        if sizes.count(BOX_BYTES) != len(sizes):
            raise reader.refuse("a box of another size")
        return cls(tuple(zip(ids, boxes, strict=True)))


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
            if share[2 * SECRET_WORDS :] != _NO_HIGH_BITS and not is_packed(share, SECRET_WORDS):
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
    | RoundRecord
    | Countersignature
)
