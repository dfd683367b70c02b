# SPDX-License-Identifier: Apache-2.0
"""What the server announces (M0): one round, with every number on which the parties must agree.

A client believes nothing in M0 because the server says so: it recomputes or bounds every number by its
own `policy.ClientPolicy`, and every key of the round is bound to the hash of the whole message.
"""

import enum
import hashlib
import struct
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Self

import numpy as np

from fedmeta_crypto.errors import BadMessage, PlanRefused, SpoofedSender, Unsupported
from fedmeta_crypto.graph import GraphParameters, majority_against, neighbours
from fedmeta_crypto.keys import DIGEST_BYTES
from fedmeta_crypto.modular import is_modulus
from fedmeta_crypto.ring import MAX_BITS, MIN_BITS
from fedmeta_crypto.sealed import MAX_SURPLUS, SecretKind, surplus_kind
from fedmeta_crypto.wire import (
    DECRYPTOR,
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
MAX_COHORT = 2**14
MAX_PAIRS = 2**22  # neighbours of all clients together, times 1 + surplus: a bound on the server's memory
MAX_LENGTH = 2**28
MAX_BODY_BYTES = 2**31
_WHERE = "announcement"
_FIXED = struct.Struct("<BBBBIIIIIII32s32s")  # strength, graph, b, surplus, then the rest
_DETACHED = struct.Struct("<Q32s")  # modulus and key hash, after the fixed part of a round with b = 0
_STRENGTH_AT = FRAME_BYTES - 2
# The most, without ids and body.
ANNOUNCEMENT_BYTES = FRAME_BYTES + _FIXED.size + _DETACHED.size + DIGEST_BYTES + SIGNATURE_BYTES


class Strength(enum.IntEnum):
    """What the protocol withstands.

    `SEMI_HONEST`: a server that follows the protocol and looks at everything.  `SEMI_MALICIOUS`: any server, if the
    graph was drawn honestly.  `MALICIOUS`: any server.
    """

    SEMI_HONEST = 1
    SEMI_MALICIOUS = 2
    MALICIOUS = 3

    @property
    def signed(self) -> bool:
        """Whether every message carries its author's signature."""
        return self is not Strength.SEMI_HONEST


class Graph(enum.IntEnum):
    """Which pairs mask each other: all; k neighbours by a rule that needs no luck; k neighbours on a random ring."""

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
                server that follows the protocol and any `threshold` - 1 clients that pool what they saw
                (on a random graph any `corrupt` clients, but for the graph's chance of failure).
                Under `MALICIOUS`, against any server together with any `corrupt` clients; under
                `SEMI_MALICIOUS` likewise, if `server_nonce` was drawn at random.
    Units:      length: ring elements; modulus_bits: bits.
    Args:       round: 1 .. 2^63 - 1.  cohort: ids, strictly increasing.  threshold: shares that open a
                secret.  min_survivors: fewest inputs a sum may hold; above threshold, since nobody
                holds a share of his own secrets.  behaviour_hash: binds model and configuration.
                server_nonce: fresh, makes the session unique.  body: the application's own bytes.
                neighbours: masks per client, even; 0 stands for all others.  corrupt: clients assumed to
                work with the server.  identities: `AllowList.digest` of the cohort under a signed
                strength, empty otherwise.  surplus: secrets 1 .. surplus of the application that every client
                deals besides; of each survivor the server gets those above the number of clients dropped.
                At most n - min_survivors, 253 and only on the complete graph: on any other one the server could
                open a part of the sum for which the survivors do not count.
                modulus: a prime t of 17 to 60 bits makes the round *detached*: modulus_bits is 0, inputs are words
                modulo t, and M5 carries none of them: the client gets its masked words to encrypt them, and the
                server opens the masks' residue modulo t instead of a sum. Signed strengths only.
                key_hash: in a detached round 32 bytes that name the public key it encrypts under.
    Raises:     PlanRefused: a value out of range, or a round that is unsound or could never be opened.
    Source:     Bonawitz et al., CCS 2017, section 4, and Bell et al., CCS 2020, section 3 (fewer
                neighbours); no share is kept for oneself (deviation).

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
    neighbours: int = 0
    corrupt: int = 0
    identities: bytes = b""
    surplus: int = 0
    modulus: int = 0
    key_hash: bytes = b""

    def __post_init__(self) -> None:
        n = len(self.cohort)
        _within("round", self.round, 1, MAX_ROUND)
        _within("cohort size", n, MIN_COHORT, MAX_COHORT)
        for id_ in self.cohort:
            _within("client id", id_, 0, SERVER - 1)
        if any(a >= b for a, b in pairwise(self.cohort)):
            raise PlanRefused("cohort ids are not strictly increasing", where=_WHERE)
        if self.neighbours == 0:
            object.__setattr__(self, "neighbours", n - 1)
        _within("neighbours", self.neighbours, 1, n - 1)
        _within("threshold", self.threshold, 1, self.neighbours)
        _within("min_survivors", self.min_survivors, self.threshold + 1, n)
        _within("surplus", self.surplus, 0, min(n - self.min_survivors, MAX_SURPLUS))
        _within("neighbours of all clients together", n * self.neighbours * (1 + self.surplus), 1, MAX_PAIRS)
        _within("corrupt", self.corrupt, 0, n - 1)
        self._check_ring()
        _within("length", self.length, 1, MAX_LENGTH)
        for name, value in (("behaviour_hash", self.behaviour_hash), ("server_nonce", self.server_nonce)):
            if not isinstance(value, bytes) or len(value) != DIGEST_BYTES:
                raise PlanRefused(f"{name} is not {DIGEST_BYTES} bytes", where=_WHERE)
        if not isinstance(self.body, bytes):
            raise PlanRefused("body is not bytes", where=_WHERE)
        _within("body size", len(self.body), 0, MAX_BODY_BYTES)
        size = DIGEST_BYTES if self.strength.signed else 0
        if not isinstance(self.identities, bytes) or len(self.identities) != size:
            raise PlanRefused(f"identities is not {size} bytes at this strength", where=_WHERE)
        self._check_graph()
        if self.surplus and self.graph is not Graph.COMPLETE:
            raise PlanRefused("surplus secrets on a graph that is not complete", where=_WHERE)

    def _check_ring(self) -> None:
        if not isinstance(self.key_hash, bytes) or len(self.key_hash) != (DIGEST_BYTES if self.modulus else 0):
            raise PlanRefused("key_hash is 32 bytes in a detached round and empty in any other", where=_WHERE)
        if not self.modulus:
            return _within("modulus_bits", self.modulus_bits, MIN_BITS, MAX_BITS)
        if not isinstance(self.modulus, int) or not is_modulus(self.modulus):
            raise PlanRefused("the modulus is not a prime of 17 to 60 bits", where=_WHERE)
        if self.modulus_bits or not self.strength.signed or DECRYPTOR in self.cohort:
            what = "a detached round is signed, has modulus_bits 0 and no client with the decryptor's id"
            raise PlanRefused(what, where=_WHERE)
        return None

    def _check_graph(self) -> None:
        k, t, lost = self.neighbours, self.threshold, self.corrupt + len(self.cohort) - self.min_survivors
        if self.graph is not Graph.COMPLETE and k % 2:
            raise PlanRefused(f"a circulant graph has an even number of neighbours, not {k}", where=_WHERE)
        if not self.strength.signed:
            if self.graph is Graph.COMPLETE and self.corrupt:
                raise PlanRefused("corrupt clients are counted by the threshold here", where=_WHERE)
            return
        if self.graph is Graph.CIRCULANT and k <= lost:
            raise PlanRefused(f"{k} neighbours can fall apart when {lost} clients are corrupt or gone", where=_WHERE)
        # On a random graph the policy's own t is above half; nobody's neighbours are all corrupt.
        right = k // 2 + 1 if self.graph is Graph.RANDOM_HARARY else majority_against(k, self.corrupt)
        if t < right or (t > right and self.graph is not Graph.RANDOM_HARARY):
            raise PlanRefused(f"threshold {t} with signatures, {right} is sound", where=_WHERE)

    @property
    def graph(self) -> Graph:
        """The rule behind `neighbours`."""
        if self.neighbours == len(self.cohort) - 1:
            return Graph.COMPLETE
        return Graph.CIRCULANT if self.strength is Strength.MALICIOUS else Graph.RANDOM_HARARY

    @property
    def detached(self) -> bool:
        """Whether masked inputs travel outside of M5, encrypted."""
        return self.modulus != 0

    @property
    def form(self) -> tuple[int, int]:
        """Number and bits of the values in an M5: none of a detached round's."""
        return (0, MAX_BITS) if self.detached else (self.length, self.modulus_bits)

    @property
    def numbers(self) -> GraphParameters:
        """k, t, A and D as announced."""
        return GraphParameters(self.neighbours, self.threshold, self.corrupt, len(self.cohort) - self.min_survivors)

    def surplus_open(self, survivors: int) -> range:
        """Numbers of the surplus secrets that the server gets of every survivor: those above the count of dropped.

        Example:
            >>> RoundParameters(round=1, cohort=(3, 5, 8, 9), threshold=1, min_survivors=2, modulus_bits=32, length=4,
            ...     behaviour_hash=bytes(32), server_nonce=bytes(32), body=b"", surplus=2).surplus_open(3)
            range(2, 3)
        """
        return range(len(self.cohort) - survivors + 1, self.surplus + 1)

    @property
    def fewest_votes(self) -> int:
        """Signatures on the survivors before a share leaves; on a circulant graph n - D, so that it stays connected.

        A server can make a client refuse the survivors by lying to it about the mask set; whoever did not vote may
        have masked with others than the list says, and is counted among the dropped.
        """
        return max(self.quorum, self.min_survivors) if self.graph is Graph.CIRCULANT else self.quorum

    def honest_among(self, survivors: int, votes: int) -> int:
        """Fewest honest clients, the reader included, in whatever is opened with so many proved survivors and votes.

        On the complete graph every opened client has all honest survivors with it. On a circulant one the honest
        voters are together. 0 without signatures, where the number of survivors is the server's word.
        """
        if not self.strength.signed:
            return 0
        match self.graph:
            case Graph.COMPLETE:
                return survivors - self.corrupt
            case Graph.CIRCULANT:
                return votes - self.corrupt
            case Graph.RANDOM_HARARY:
                return min(survivors - self.corrupt, self.numbers.fewest_honest)

    @property
    def fewest_near(self) -> int:
        """Neighbours of a client that are left whoever is dropped, within what was announced; t at least."""
        return max(self.threshold, self.neighbours + self.min_survivors - len(self.cohort))

    def neighbours_of(self, id_: int, session: bytes) -> tuple[int, ...]:
        """Who masks with a member of the cohort, in increasing id; `session` is this announcement's."""
        return neighbours(self.cohort, self.neighbours, of=id_, session=session)

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
            self.surplus,
            self.neighbours,
            self.threshold,
            self.min_survivors,
            self.corrupt,
            self.length,
            len(self.cohort),
            len(self.body),
            self.behaviour_hash,
            self.server_nonce,
        )
        ring = _DETACHED.pack(self.modulus, self.key_hash) if self.detached else b""
        payload = b"".join((fixed, ring, self.identities, np.array(self.cohort, "<u4").tobytes(), self.body))
        return frame(Header(MessageType.PARAMETERS, bytes(SESSION_BYTES), self.round, SERVER), payload, sign)

    @classmethod
    def from_message(cls, message: bytes, *, max_bytes: int) -> Self:
        """Parse M0, whose signature (if its strength has one) is not verified here.

        Raises:     Oversized, Truncated, BadMessage, SpoofedSender, Unsupported, BadSignature: the bytes are
                    at fault.  PlanRefused: well-formed, but no sound round.
        """
        code = message[_STRENGTH_AT] if len(message) > _STRENGTH_AT else 0
        signed = code in (Strength.SEMI_MALICIOUS, Strength.MALICIOUS)
        header, payload = unframe(message, sender=SERVER, max_bytes=max_bytes, signed=signed)
        reader = Reader(payload, sender=SERVER, where=_WHERE)
        if header.type is not MessageType.PARAMETERS or header.session != bytes(SESSION_BYTES):
            raise reader.refuse("not an announcement")
        if header.sender != SERVER:
            raise SpoofedSender(f"header names {header.sender}", sender=SERVER, where=_WHERE)
        strength, graph, bits, surplus, *numbers, behaviour, nonce = _FIXED.unpack(reader.view(_FIXED.size))
        k, threshold, survivors, corrupt, length, n, body_bytes = numbers
        if strength not in tuple(Strength) or graph not in tuple(Graph):
            raise Unsupported(f"strength {strength} on graph {graph}", sender=SERVER, where=_WHERE)
        modulus, key_hash = (0, b"") if bits else _DETACHED.unpack(reader.view(_DETACHED.size))
        if not bits and not modulus:
            raise BadMessage("a ring of no bits and no modulus", sender=SERVER, where=_WHERE)
        identities = reader.take(DIGEST_BYTES) if signed else b""
        if not k or n > MAX_COHORT or 4 * n + body_bytes != reader.left:
            raise BadMessage("sizes do not add up", sender=SERVER, where=_WHERE)
        cohort = tuple(np.frombuffer(reader.view(4 * n), "<u4").tolist())
        parameters = cls(
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
            neighbours=k,
            corrupt=corrupt,
            identities=identities,
            surplus=surplus,
            modulus=modulus,
            key_hash=key_hash,
        )
        if graph != parameters.graph:
            raise BadMessage("the graph's name does not fit its numbers", sender=SERVER, where=_WHERE)
        return parameters


def kinds_open(parameters: RoundParameters, survivors: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Kinds of the secrets that are opened of one who dropped out, and of a survivor, if there are so many of them."""
    surplus = tuple([surplus_kind(number) for number in parameters.surplus_open(survivors)])
    return (SecretKind.MASK_KEY,), (SecretKind.SELF_MASK, *surplus)


def session_of(announcement: bytes, *, signed: bool = False) -> bytes:
    """Session id of a round: SHA-256 of its announcement, with an empty trailer in the place of a signature."""
    trailer = 2 + (SIGNATURE_BYTES if signed else 0)
    digest = hashlib.sha256(memoryview(announcement)[: len(announcement) - trailer])
    digest.update(bytes(2))
    return digest.digest()


def _within(name: str, value: int, low: int, high: int) -> None:
    if not isinstance(value, int) or not low <= value <= high:
        raise PlanRefused(f"{name} must be an integer in {low} .. {high}, not {value!r}", where=_WHERE)
