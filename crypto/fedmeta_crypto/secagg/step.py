# SPDX-License-Identifier: Apache-2.0
"""What a session hands to its shell: things to store, messages to send, events to act on.

The order is a promise: store all of `persist` durably, then send `send`, then act on `events`.
A shell that sends first could, after a crash, answer a second time in a round it forgot.
"""

import enum
import struct
from dataclasses import dataclass, field
from typing import Self

import numpy as np
from numpy.typing import NDArray

from fedmeta_crypto.errors import BadArgument


class Phase(enum.IntEnum):
    """Where a round is, seen from the server.

    Only the signed strengths pass through `CONSISTENCY`, and only they go on from `DONE`, if a record is published.
    `DECRYPT` lies between `UNMASK` and `DONE` where a decryptor opens the masked sum; its number is no place in time.
    """

    ANNOUNCE = 0
    ADVERTISE_KEYS = 1
    SHARE_KEYS = 2
    MASK_INPUT = 3
    CONSISTENCY = 4
    UNMASK = 5
    DONE = 6
    FAILED = 7
    COUNTERSIGN = 8
    RECORDED = 9
    DECRYPT = 10


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message and the id it is for; `wire.SERVER` (0xFFFFFFFF) is the server."""

    to: int
    message: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class InputWanted:
    """Client: keys are agreed with `mask_set`; now call `mask_input` with `length` values below 2^b.

    In a detached round `modulus_bits` is 0, and it is `mask_detached` that is called.

    `surplus` are the client's own surplus secrets, 32 fresh random bytes each, which the others hold in shares. The
    application uses them and forgets them.
    """

    length: int
    modulus_bits: int
    mask_set: tuple[int, ...]
    surplus: tuple[bytes, ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class SharesMissing:
    """Client: these dealers gave me no share that opens; the round goes on without their shares."""

    dealers: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class SurvivorsAnnounced:
    """Client: whose inputs the sum will hold; an accountant uses this set, not the cohort.

    Attributes:
        survivors: the members of U3; the server's bare word unless the strength is a signed one.
        honest_guaranteed: fewest honest clients, this one included, in whatever the server can open
            (`RoundParameters.honest_among`): survivors less A on the complete graph, voters less A on a circulant
            one, at most k - t + 2 on a random one, and 0 without signatures.
    """

    survivors: tuple[int, ...]
    honest_guaranteed: int = 0


@dataclass(frozen=True, slots=True)
class PhaseClosed:
    """Server: a phase ended with these members; `missing` were expected and did not answer."""

    phase: Phase
    members: tuple[int, ...]
    missing: tuple[int, ...]


@dataclass(frozen=True, slots=True, eq=False)
class SumOpened:
    """Server: the sum of the survivors' vectors modulo 2^b, shape (length,), uint32.

    `dropped` is the rest of the cohort, at whatever phase each was lost. `surplus` has, of each survivor in order, the
    surplus secrets with numbers above `len(dropped)`, each as its owner committed to it.
    """

    total: NDArray[np.uint32]
    survivors: tuple[int, ...]
    dropped: tuple[int, ...]
    surplus: tuple[tuple[bytes, ...], ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True, eq=False)
class ResidueOpened:
    """Server of a detached round: what is left of the masks in the sum of the survivors' masked words, modulo t.

    `residue` has shape (length,), uint64, values below t; the rest is as in `SumOpened`.
    """

    residue: NDArray[np.uint64]
    survivors: tuple[int, ...]
    dropped: tuple[int, ...]
    surplus: tuple[tuple[bytes, ...], ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class SharesCorrected:
    """Server: the sum is exact, but some shares were wrong.

    Attributes:
        pairs: (dealer, holder) of each wrong share found: one of the two lied, if at most A clients are corrupt.
        dealers: those against whom more holders testify than can be corrupt, so that they dealt badly.
        holders: those against whom more dealers testify than can be corrupt, so that they answered wrongly.
        unproved: further pairs of shares that do not fit, which A lying holders could have arranged between honest
            dealers and honest holders.
    """

    pairs: tuple[tuple[int, int], ...]
    dealers: tuple[int, ...]
    holders: tuple[int, ...]
    unproved: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, slots=True)
class RecordShown:
    """Client: the server states this about the round; `countersign` if it is true, else do nothing or `abort`.

    Attributes:
        record: the application's bytes, at most `records.MAX_RECORD_BYTES`, which nobody has checked yet.
        survivors_digest: of the survivors that this client signed, to store with the record.
    """

    record: bytes = field(repr=False)
    survivors_digest: bytes


@dataclass(frozen=True, slots=True)
class RecordCountersigned:
    """Server: the collection of countersignatures is over; how many are enough is the application's rule.

    Attributes:
        signatures: (id, signature 64), for `records.verify_countersignature`.
        missing: those who were sent the record and did not countersign: they refused, or were not there.
        survivors_digest: what the signatures are bound to, with session, round and record; store all of them.
    """

    signatures: tuple[tuple[int, bytes], ...]
    missing: tuple[int, ...]
    survivors_digest: bytes


Event = (
    InputWanted
    | SharesMissing
    | SurvivorsAnnounced
    | PhaseClosed
    | SharesCorrected
    | SumOpened
    | ResidueOpened
    | RecordShown
    | RecordCountersigned
)


@dataclass(frozen=True, slots=True)
class Step:
    """One move of a session: store `persist`, then send `send`, then act on `events`."""

    persist: tuple[bytes, ...] = ()
    send: tuple[Outgoing, ...] = ()
    events: tuple[Event, ...] = ()


class RecordKind(enum.IntEnum):
    """What a stored record says."""

    ROUND_BEGUN = 1
    ANSWERED = 2
    SURVIVORS_SIGNED = 3
    COUNTERSIGNED = 4


_RECORD = struct.Struct("<4sBBQ32s")
_MAGIC = b"SFMR"
_VERSION = 1


@dataclass(frozen=True, slots=True)
class Record:
    """A line of a client's durable memory: it began a round, or in it signed survivors, answered or countersigned.

    After a restart the largest `round` found is the policy's `last_round` and the `session` of every record is one
    of its `seen_sessions`; a round that was begun is never begun again, since its secrets are gone.

    Example:
        >>> Record.from_bytes(Record(RecordKind.ANSWERED, 7, bytes(32)).to_bytes()).round
        7
    """

    kind: RecordKind
    round: int
    session: bytes

    def to_bytes(self) -> bytes:
        """Fixed-size canonical form."""
        return _RECORD.pack(_MAGIC, _VERSION, self.kind, self.round, self.session)

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Parse one record; raises `BadArgument` if it is not one."""
        if len(data) != _RECORD.size:
            raise BadArgument(f"a stored record has {_RECORD.size} bytes, not {len(data)}")
        magic, version, kind, round_, session = _RECORD.unpack(data)
        if (magic, version) != (_MAGIC, _VERSION) or kind not in tuple(RecordKind):
            raise BadArgument("not a stored record of this release")
        return cls(RecordKind(kind), round_, session)
