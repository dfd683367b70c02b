# SPDX-License-Identifier: Apache-2.0
"""What the server states about a round, and the signatures of those who checked it.

| M  | class              | direction        | payload                                                  |
|----|--------------------|------------------|----------------------------------------------------------|
| 10 | `RoundRecord`      | server to client | 1 .. `MAX_RECORD_BYTES` bytes of the application's own   |
| 11 | `Countersignature` | client to server | digest 32 of session, survivors and record               |

Both belong to the signed strengths. To this room a record is bytes: what it claims, an application recomputes before
it countersigns. The signature of M11's frame is the countersignature; `verify_countersignature` needs no session.
"""

import hashlib
from dataclasses import dataclass, field
from typing import ClassVar, Self

from fedmeta_crypto.errors import BadArgument
from fedmeta_crypto.identities import AllowList
from fedmeta_crypto.keys import DIGEST_BYTES, LABEL
from fedmeta_crypto.wire import (
    MAX_ROUND,
    SERVER,
    SESSION_BYTES,
    DigestPayload,
    Header,
    MessageType,
    Reader,
    content_digest,
    statement,
)

MAX_RECORD_BYTES = 2**18  # what a round of 2000 clients has to say fits


@dataclass(frozen=True, slots=True)
class RoundRecord:
    """M10: one statement about the round, the same for everybody who answered; the frame names session and round.

    Raises:     BadArgument: not bytes, empty, or more than `MAX_RECORD_BYTES`.
    """

    TYPE: ClassVar = MessageType.RECORD
    record: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if not isinstance(self.record, bytes) or not 1 <= len(self.record) <= MAX_RECORD_BYTES:
            raise BadArgument(f"a record is 1 .. {MAX_RECORD_BYTES} bytes", where=self.TYPE.where)

    def payload(self) -> bytes:
        """Canonical bytes."""
        return self.record

    @classmethod
    def read(cls, reader: Reader) -> Self:
        """Parse, or raise a `PeerProtocolError`."""
        if not 1 <= reader.left <= MAX_RECORD_BYTES:
            raise reader.refuse(f"a record of {reader.left} bytes")
        return cls(reader.take(reader.left))


@dataclass(frozen=True, slots=True)
class Countersignature(DigestPayload):
    """M11: its author was shown a record with this digest, and its application agreed; one per session."""

    TYPE: ClassVar = MessageType.COUNTERSIGNATURE


def record_digest(session: bytes, survivors: bytes, record: bytes) -> bytes:
    """What M11 carries: this record, of these survivors (`messages.survivors_digest`), in this session.

    Raises:     BadArgument: the session or the digest of the survivors has not 32 bytes.
    """
    # The record is last and all before it has a fixed size: no two triples give the same bytes.
    if len(session) != SESSION_BYTES or len(survivors) != DIGEST_BYTES:
        raise BadArgument("a session and a digest of survivors have 32 bytes each", where="record_digest")
    return hashlib.sha256(LABEL + session + b"record" + survivors + record).digest()


def verify_countersignature(
    signature: bytes,
    *,
    allow_list: AllowList,
    id_: int,
    session: bytes,
    round_: int,
    survivors: bytes,
    record: bytes,
) -> bool:
    """Whether a client countersigned this record of these survivors, in this round's session; needs no secret.

    Guarantee:  True only if the holder of the client's key signed an M11 on exactly these values. False for a
                stranger, and for the server: its word on its own record counts for nothing.
    Args:       signature, id_: an entry of `RecordCountersigned.signatures`.  survivors: its `survivors_digest`.
                session, round_: of the round.  record: the bytes that were published.
    Raises:     BadArgument: the session or the survivors have not 32 bytes, or there can be no such round.
    Source:     Ed25519, RFC 8032, over `wire.statement`.

    Example:
        >>> from fedmeta_crypto.identities import Identity
        >>> from fedmeta_crypto.wire import frame, signature_of
        >>> server, client = Identity(bytes(32)), Identity(bytes(31) + b"1")
        >>> people = AllowList(server.public, {7: client.public})
        >>> session, survivors = b"s" * 32, b"u" * 32
        >>> header = Header(MessageType.COUNTERSIGNATURE, session, 1, 7)
        >>> m11 = frame(header, record_digest(session, survivors, b"epsilon 1.5"), client.sign)
        >>> [verify_countersignature(signature_of(m11), allow_list=people, id_=7, session=session, round_=1,
        ...     survivors=survivors, record=record) for record in (b"epsilon 1.5", b"epsilon 0.5")]
        [True, False]
    """
    if not 1 <= round_ <= MAX_ROUND:
        raise BadArgument(f"rounds are 1 .. {MAX_ROUND}", where="verify_countersignature")
    digest = record_digest(session, survivors, record)
    if id_ == SERVER or id_ not in allow_list:
        return False
    header = Header(MessageType.COUNTERSIGNATURE, session, round_, id_)
    return allow_list.verify(id_, statement(header, size=len(digest), content=content_digest(digest)), signature)
