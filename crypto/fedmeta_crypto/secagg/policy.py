# SPDX-License-Identifier: Apache-2.0
"""What a client is willing to accept: it recomputes or bounds every number of an announcement by itself."""

from dataclasses import dataclass

from fedmeta_crypto.errors import PlanRefused, Repeated, WrongRound
from fedmeta_crypto.graph import COMPLETE_UP_TO, GraphParameters, assured, counts, published
from fedmeta_crypto.identities import AllowList
from fedmeta_crypto.secagg.parameters import (
    ANNOUNCEMENT_BYTES,
    MAX_COHORT,
    Graph,
    RoundParameters,
    Strength,
    majority,
)
from fedmeta_crypto.wire import SERVER

_WHERE = "announcement"


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientPolicy:
    """A client's own limits; nothing the server says can loosen them.

    Args:       min_cohort: fewest clients announced.  min_threshold: fewest shares that may open a
                secret; None for a majority of the cohort on the unsigned complete graph.  max_length,
                max_body_bytes: most work and memory.  last_round: largest round ever begun, from durable
                memory (0 at first).  allowed_strengths: named by the caller, there is no silent default.
                known_ids: the ids to accept, or None for any.  allow_list: whose signatures count; a
                signed round is refused without one.  corrupt_fraction, colluders, dropout_fraction: what
                a round must withstand.  security_bits, correctness_bits: the chances of a graph that fails
                are 2^-security_bits (privacy) and 2^-correctness_bits (the round).  complete_up_to: the
                largest cohort whose graph is complete.  seen_sessions: of stored records.  surplus: exactly as
                many surplus secrets must be announced.  modulus: exactly this prime must be announced; 0 for a
                round modulo 2^b, so that no server can exchange one kind of round for the other.

    Example:
        >>> ClientPolicy(min_cohort=3, max_length=100, max_body_bytes=0, last_round=0,
        ...     allowed_strengths=frozenset({Strength.MALICIOUS}), colluders=2).graph(10, Strength.MALICIOUS)
        GraphParameters(neighbours=9, threshold=6, corrupt=2, dropped=1)
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
    security_bits: int = 40
    correctness_bits: int = 30
    complete_up_to: int = COMPLETE_UP_TO
    seen_sessions: frozenset[bytes] = frozenset()
    surplus: int = 0
    modulus: int = 0

    @property
    def max_announcement_bytes(self) -> int:
        """The most bytes of M0 this client will look at."""
        return ANNOUNCEMENT_BYTES + 4 * MAX_COHORT + self.max_body_bytes

    def graph(self, n: int, strength: Strength) -> GraphParameters:
        """k, t, A and D that this client demands of a round of n clients; a larger t is welcome without signatures.

        `MALICIOUS` takes `graph.assured`. The others take `graph.published` above `complete_up_to` clients, and the
        complete graph below or where no random graph does it.

        Raises:     PlanRefused: no round of n withstands what this policy assumes.
        """
        corrupt, dropped = counts(n, self.corrupt_fraction, self.dropout_fraction)
        corrupt = max(corrupt, self.colluders)
        if strength is not Strength.MALICIOUS and n > self.complete_up_to:
            try:
                return published(
                    n,
                    corrupt=corrupt,
                    dropped=dropped,
                    malicious=strength.signed,
                    security_bits=self.security_bits,
                    correctness_bits=self.correctness_bits,
                )
            except PlanRefused:
                pass  # the complete graph withstands more
        if not strength.signed:
            return GraphParameters(n - 1, majority(n), 0, min(dropped, n - majority(n) - 1))
        complete_up_to = self.complete_up_to if strength is Strength.MALICIOUS else n
        return assured(
            n,
            corrupt=corrupt,
            dropped=dropped,
            correctness_bits=self.correctness_bits,
            complete_up_to=complete_up_to,
        )

    def check(self, parameters: RoundParameters, *, client_id: int, session: bytes = b"") -> None:
        """Raise `PlanRefused`, `WrongRound` or `Repeated` unless this client may take part."""
        n = len(parameters.cohort)
        if session in self.seen_sessions:
            raise Repeated("this client took part in that session before", sender=SERVER, where=_WHERE)
        if parameters.round <= self.last_round:
            raise WrongRound(
                f"round {parameters.round} announced, {self.last_round} already begun",
                sender=SERVER,
                where=_WHERE,
            )
        # On every other graph `graph` says what is sound.
        free = not parameters.strength.signed and parameters.graph is Graph.COMPLETE
        least = majority(n) if free else 1
        floor = least if self.min_threshold is None else self.min_threshold
        refusals = (
            (parameters.strength not in self.allowed_strengths, "this strength is not allowed here"),
            (n < self.min_cohort, f"cohort of {n}, at least {self.min_cohort} wanted"),
            (parameters.threshold < floor, f"threshold {parameters.threshold}, at least {floor} wanted"),
            (parameters.length > self.max_length, f"length {parameters.length} above {self.max_length}"),
            (len(parameters.body) > self.max_body_bytes, f"body above {self.max_body_bytes} bytes"),
            (parameters.surplus != self.surplus, f"{parameters.surplus} surplus secrets, {self.surplus} wanted"),
            (parameters.modulus != self.modulus, f"modulus {parameters.modulus}, {self.modulus} wanted"),
            (client_id not in parameters.cohort, f"client {client_id} is not in the cohort"),
        )
        for refused, what in refusals:
            if refused:
                raise PlanRefused(what, where=_WHERE)
        if self.known_ids is not None and (strangers := set(parameters.cohort) - self.known_ids):
            raise PlanRefused(f"ids not on the allow-list: {sorted(strangers)[:5]}", where=_WHERE)
        if not free and (own := self.graph(n, parameters.strength)) != parameters.numbers:
            raise PlanRefused(f"announced {parameters.numbers}, this policy gives {own}", where=_WHERE)
