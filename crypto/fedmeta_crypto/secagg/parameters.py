# SPDX-License-Identifier: Apache-2.0
"""What the server announces (M0) and what a client is willing to accept.

A client believes nothing in M0 because the server says so: it recomputes or bounds every number by its
own `ClientPolicy`, and every key of the round is bound to the hash of the whole message.
"""

import enum
import hashlib
import struct
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Self

import numpy as np

from fedmeta_crypto.errors import BadMessage, PlanRefused, Repeated, SpoofedSender, Unsupported, WrongRound
from fedmeta_crypto.graph import COMPLETE_UP_TO, GraphParameters, assured, counts
from fedmeta_crypto.identities import AllowList
from fedmeta_crypto.keys import DIGEST_BYTES
from fedmeta_crypto.ring import MAX_BITS, MIN_BITS
from fedmeta_crypto.wire import (
    FRAME_BYTES,
    MAX_ROUND,
    SERVER,
    SESSION_BYTES,
    SIGNATURE_BYTES,
    Header,
    MessageType,
    Reader,
    Signer,
    frame,
    unframe,
)

MIN_COHORT = 2
MAX_COHORT = 2048  # complete graph: every pair agrees keys
MAX_LENGTH = 2**28
MAX_BODY_BYTES = 2**31
_WHERE = "announcement"
_FIXED = struct.Struct("<BBBBIIIII32s32s")
_SIGNED = struct.Struct("<I32s")
_STRENGTH_AT = FRAME_BYTES - 2


class Strength(enum.IntEnum):
    """What the protocol withstands; this release runs `SEMI_HONEST` and `MALICIOUS` and refuses the other."""

    SEMI_HONEST = 1
    SEMI_MALICIOUS = 2
    MALICIOUS = 3

    @property
    def signed(self) -> bool:
        """Whether every message carries its author's signature."""
        return self is not Strength.SEMI_HONEST


class Graph(enum.IntEnum):
    """Which pairs mask each other; this release runs `COMPLETE` and refuses the others."""

    COMPLETE = 1
    CIRCULANT = 2
    RANDOM_HARARY = 3


def majority(n: int) -> int:
    """The smallest t with 2t > n: two disjoint sets of t holders cannot exist."""
    return n // 2 + 1


@dataclass(frozen=True, slots=True)
class RoundParameters:
    """One round as announced; everything that all parties must agree on.

    Guarantee:  no one learns a vector, only the sum over at least `min_survivors` clients, against a
                server that follows the protocol and any `threshold` - 1 clients that pool what they saw.
                Under `MALICIOUS`, against any server together with any `corrupt` clients.
    Units:      length: ring elements; modulus_bits: bits.
    Args:       round: 1 .. 2^63 - 1.  cohort: ids, strictly increasing.  threshold: shares that open a
                secret.  min_survivors: fewest inputs a sum may hold; above threshold, since nobody
                holds a share of his own secrets.  behaviour_hash: binds model and configuration.
                server_nonce: fresh, makes the session unique.  body: the application's own bytes.
                corrupt, identities: under `MALICIOUS` only, the clients assumed to work with the server
                and `AllowList.digest` of the cohort; threshold is then `graph.assured`'s.
    Raises:     PlanRefused: a value out of range, or a round that could never be opened.
    Source:     Bonawitz et al., CCS 2017, section 4; no share is kept for oneself (deviation).

    Example:
        >>> RoundParameters(round=1, cohort=(3, 5, 8), threshold=2, min_survivors=3, modulus_bits=32,
        ...     length=4, behaviour_hash=bytes(32), server_nonce=bytes(32), body=b"").threshold
        2
    """

    round: int
    cohort: tuple[int, ...]
    threshold: int
    min_survivors: int
    modulus_bits: int
    length: int
    behaviour_hash: bytes
    server_nonce: bytes
    body: bytes = field(repr=False)
    strength: Strength = Strength.SEMI_HONEST
    graph: Graph = Graph.COMPLETE
    corrupt: int = 0
    identities: bytes = b""

    def __post_init__(self) -> None:
        n = len(self.cohort)
        _within("round", self.round, 1, MAX_ROUND)
        _within("cohort size", n, MIN_COHORT, MAX_COHORT)
        for id_ in self.cohort:
            _within("client id", id_, 0, SERVER - 1)
        if any(a >= b for a, b in pairwise(self.cohort)):
            raise PlanRefused("cohort ids are not strictly increasing", where=_WHERE)
        _within("threshold", self.threshold, 1, n - 1)
        _within("min_survivors", self.min_survivors, self.threshold + 1, n)
        _within("modulus_bits", self.modulus_bits, MIN_BITS, MAX_BITS)
        _within("length", self.length, 1, MAX_LENGTH)
        for name, value in (("behaviour_hash", self.behaviour_hash), ("server_nonce", self.server_nonce)):
            if not isinstance(value, bytes) or len(value) != DIGEST_BYTES:
                raise PlanRefused(f"{name} is not {DIGEST_BYTES} bytes", where=_WHERE)
        if not isinstance(self.body, bytes):
            raise PlanRefused("body is not bytes", where=_WHERE)
        _within("body size", len(self.body), 0, MAX_BODY_BYTES)
        if self.strength is Strength.SEMI_MALICIOUS or self.graph is not Graph.COMPLETE:
            raise PlanRefused("only semi-honest and malicious on the complete graph are run", where=_WHERE)
        self._check_strength(n)

    def _check_strength(self, n: int) -> None:
        if not self.strength.signed:
            if self.corrupt or self.identities:
                raise PlanRefused("corrupt clients and identities belong to the signed strengths", where=_WHERE)
            return
        _within("cohort size under signatures", n, MIN_COHORT, COMPLETE_UP_TO)
        _within("corrupt", self.corrupt, 0, n - 1)
        if not isinstance(self.identities, bytes) or len(self.identities) != DIGEST_BYTES:
            raise PlanRefused(f"identities is not {DIGEST_BYTES} bytes", where=_WHERE)
        right = assured(n, corrupt=self.corrupt, dropped=n - self.min_survivors).threshold
        if self.threshold != right:
            raise PlanRefused(f"threshold {self.threshold} with signatures, {right} is sound", where=_WHERE)

    @property
    def quorum(self) -> int:
        """Signatures on one survivor digest after which no honest client can be shown a proof of another.

        Two quorums share more than `corrupt` clients, so an honest one, who signs once.
        """
        return (len(self.cohort) + self.corrupt) // 2 + 1

    @property
    def session(self) -> bytes:
        """SHA-256 of the whole announcement without its signature; computed at each use."""
        return hashlib.sha256(self.to_message()).digest()

    def to_message(self, sign: Signer | None = None) -> bytes:
        """M0 in canonical bytes, signed if a signer is given."""
        fixed = _FIXED.pack(
            self.strength,
            self.graph,
            self.modulus_bits,
            0,
            self.threshold,
            self.min_survivors,
            self.length,
            len(self.cohort),
            len(self.body),
            self.behaviour_hash,
            self.server_nonce,
        )
        more = _SIGNED.pack(self.corrupt, self.identities) if self.strength.signed else b""
        payload = b"".join((fixed, more, np.array(self.cohort, "<u4").tobytes(), self.body))
        return frame(Header(MessageType.PARAMETERS, bytes(SESSION_BYTES), self.round, SERVER), payload, sign)

    @classmethod
    def from_message(cls, message: bytes, *, max_bytes: int) -> Self:
        """Parse M0, whose signature (if its strength has one) is not verified here.

        Raises:     Oversized, Truncated, BadMessage, SpoofedSender, Unsupported, BadSignature: the bytes are
                    at fault.  PlanRefused: well-formed, but no sound round.
        """
        signed = message[_STRENGTH_AT : _STRENGTH_AT + 1] == bytes([Strength.MALICIOUS])
        header, payload = unframe(message, sender=SERVER, max_bytes=max_bytes, signed=signed)
        reader = Reader(payload, sender=SERVER, where=_WHERE)
        if header.type is not MessageType.PARAMETERS or header.session != bytes(SESSION_BYTES):
            raise reader.refuse("not an announcement")
        if header.sender != SERVER:
            raise SpoofedSender(f"header names {header.sender}", sender=SERVER, where=_WHERE)
        strength, graph, bits, zero, threshold, survivors, length, n, body_bytes, behaviour, nonce = _FIXED.unpack(
            reader.view(_FIXED.size)
        )
        if strength not in (Strength.SEMI_HONEST, Strength.MALICIOUS) or graph != Graph.COMPLETE:
            raise Unsupported(f"strength {strength} on graph {graph}", sender=SERVER, where=_WHERE)
        corrupt, identities = _SIGNED.unpack(reader.view(_SIGNED.size)) if signed else (0, b"")
        if zero or n > MAX_COHORT or 4 * n + body_bytes != reader.left:
            raise BadMessage("sizes do not add up", sender=SERVER, where=_WHERE)
        cohort = tuple(np.frombuffer(reader.view(4 * n), "<u4").tolist())
        return cls(
            round=header.round,
            cohort=cohort,
            threshold=threshold,
            min_survivors=survivors,
            modulus_bits=bits,
            length=length,
            behaviour_hash=behaviour,
            server_nonce=nonce,
            body=reader.take(body_bytes),
            strength=Strength(strength),
            corrupt=corrupt,
            identities=identities,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientPolicy:
    """A client's own limits; nothing the server says can loosen them.

    Args:       min_cohort: fewest clients announced.  min_threshold: fewest shares that may open a
                secret; None for a majority of the cohort.  max_length, max_body_bytes: most work and
                memory.  last_round: largest round ever begun, from durable memory (0 at first).
                allowed_strengths: named by the caller, there is no silent default.  known_ids: the
                ids to accept, or None for any.  allow_list: whose signatures count; a signed round is
                refused without one.  corrupt_fraction, colluders, dropout_fraction: what a signed round
                must withstand; its numbers must be `assured` of these.  seen_sessions: of stored records.

    Example:
        >>> ClientPolicy(min_cohort=3, max_length=100, max_body_bytes=0, last_round=0,
        ...     allowed_strengths=frozenset({Strength.SEMI_HONEST})).max_announcement_bytes
        8337
    """

    min_cohort: int
    max_length: int
    max_body_bytes: int
    last_round: int
    allowed_strengths: frozenset[Strength]
    min_threshold: int | None = None
    known_ids: frozenset[int] | None = None
    allow_list: AllowList | None = None
    corrupt_fraction: float = 0.1
    colluders: int = 0
    dropout_fraction: float = 0.1
    seen_sessions: frozenset[bytes] = frozenset()

    @property
    def max_announcement_bytes(self) -> int:
        """The most bytes of M0 this client will look at."""
        signed = any(strength.signed for strength in self.allowed_strengths)
        rest = _SIGNED.size + SIGNATURE_BYTES if signed else 0
        return FRAME_BYTES + _FIXED.size + 4 * MAX_COHORT + self.max_body_bytes + rest

    def assured(self, n: int) -> GraphParameters:
        """k, t, A and D that this client demands of a signed round of n clients.

        Raises:     PlanRefused: no round of n withstands what this policy assumes.

        Example:
            >>> ClientPolicy(min_cohort=3, max_length=100, max_body_bytes=0, last_round=0,
            ...     allowed_strengths=frozenset({Strength.MALICIOUS}), colluders=2).assured(10)
            GraphParameters(neighbours=9, threshold=6, corrupt=2, dropped=1)
        """
        corrupt, dropped, _ = counts(n, self.corrupt_fraction, self.dropout_fraction)
        return assured(n, corrupt=max(corrupt, self.colluders), dropped=dropped)

    def check(self, parameters: RoundParameters, *, client_id: int, session: bytes = b"") -> None:
        """Raise `PlanRefused`, `WrongRound` or `Repeated` unless this client may take part."""
        n = len(parameters.cohort)
        signed = parameters.strength.signed
        least = 1 if signed else majority(n)  # with signatures `assured` says what is sound
        floor = least if self.min_threshold is None else self.min_threshold
        if session in self.seen_sessions:
            raise Repeated("this client took part in that session before", sender=SERVER, where=_WHERE)
        if parameters.round <= self.last_round:
            raise WrongRound(
                f"round {parameters.round} announced, {self.last_round} already begun",
                sender=SERVER,
                where=_WHERE,
            )
        refusals = (
            (parameters.strength not in self.allowed_strengths, "this strength is not allowed here"),
            (n < self.min_cohort, f"cohort of {n}, at least {self.min_cohort} wanted"),
            (parameters.threshold < floor, f"threshold {parameters.threshold}, at least {floor} wanted"),
            (parameters.length > self.max_length, f"length {parameters.length} above {self.max_length}"),
            (len(parameters.body) > self.max_body_bytes, f"body above {self.max_body_bytes} bytes"),
            (client_id not in parameters.cohort, f"client {client_id} is not in the cohort"),
        )
        for refused, what in refusals:
            if refused:
                raise PlanRefused(what, where=_WHERE)
        if self.known_ids is not None and (strangers := set(parameters.cohort) - self.known_ids):
            raise PlanRefused(f"ids not on the allow-list: {sorted(strangers)[:5]}", where=_WHERE)
        if signed:
            self._check_assured(parameters, n)

    def _check_assured(self, parameters: RoundParameters, n: int) -> None:
        own = self.assured(n)
        stated = GraphParameters(n - 1, parameters.threshold, parameters.corrupt, n - parameters.min_survivors)
        if stated != own:
            raise PlanRefused(f"announced {stated}, this policy gives {own}", where=_WHERE)


def session_of(announcement: bytes, *, signed: bool = False) -> bytes:
    """Session id of a round: SHA-256 of its announcement, with an empty trailer in the place of a signature."""
    trailer = 2 + (SIGNATURE_BYTES if signed else 0)
    digest = hashlib.sha256(memoryview(announcement)[: len(announcement) - trailer])
    digest.update(bytes(2))
    return digest.digest()


def _within(name: str, value: int, low: int, high: int) -> None:
    if not isinstance(value, int) or not low <= value <= high:
        raise PlanRefused(f"{name} must be an integer in {low} .. {high}, not {value!r}", where=_WHERE)
