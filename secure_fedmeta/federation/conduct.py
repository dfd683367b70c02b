# SPDX-License-Identifier: Apache-2.0
"""Who broke the protocol, as far as the server can know it, and whom it asks no more.

A site is convicted by its own signature under a message that no honest site sends, or by more other sites than can be
corrupt. Everything else names a pair, one of whom lied, or nobody. Who is convicted is no longer asked and counts among
the dropped; never more than D, since a round without n - D survivors opens nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from fedmeta_crypto import RoundParameters
from fedmeta_crypto.errors import BadKey, BadMessage, BadShare, PeerProtocolError, Truncated
from fedmeta_crypto.identities import AllowList
from fedmeta_crypto.messages import UnmaskingShares
from fedmeta_crypto.secagg.opening import blame
from fedmeta_crypto.wire import (
    MessageType,
    Reader,
    check_header,
    claimed_type,
    content_digest,
    payload_of,
    signature_of,
    statement,
    unframe,
)

from ..hiding import Hiding

# What is wrong with the contents; the rest may be the network's doing: late, repeated, misdirected.
_GUILTY = (BadKey, BadMessage, Truncated)
Pair = tuple[int, int]


class Conduct:
    """What the server holds against sites, over the rounds of one run.

    Attributes:
        excluded: id -> why, in the order of exclusion; D at most.
        findings: sentences about the round in hand.
    """

    def __init__(self, hiding: Hiding, people: AllowList | None) -> None:
        self._hiding, self._people = hiding, people
        self.excluded: dict[int, str] = {}
        self.findings: list[str] = []
        self._told: set[int] = set()

    def restore(self, excluded: Mapping[int, str]) -> None:
        """Go on with those that the ledger says are excluded; what they did is not weighed again."""
        self.excluded.update(excluded)
        self._told.update(excluded)

    def take_findings(self) -> tuple[str, ...]:
        """The sentences since the last call."""
        taken, self.findings = tuple(self.findings), []
        return taken

    def refused(self, message: bytes, error: PeerProtocolError, parameters: RoundParameters, session: bytes) -> None:
        """A message of `error.sender` was refused; it convicts its author if the author signed it for this round.

        `message` is what the author's signature covers (`sessions.signed_part`).
        """
        if isinstance(error, _GUILTY) and self._wrote(message, error.sender, parameters, session):
            self._convict(error.sender, f"it signed a message that no honest site sends: {error.what}")

    def shares(self, pairs: Iterable[Pair], parameters: RoundParameters) -> None:
        """Of each pair (dealer, holder) one lied: a share was wrong, or the holder says that it got none."""
        found = sorted(set(pairs))
        if not found:
            return
        verdict = blame(found, parameters)
        for dealer in verdict.dealers:
            self._convict(dealer, "more sites than can be corrupt hold no good share of its secrets")
        for holder in verdict.holders:
            self._convict(holder, "it gave no good share of more sites' secrets than can be corrupt")
        named = {*verdict.dealers, *verdict.holders}
        self.findings += [
            f"pair (dealer {dealer}, holder {holder}): one of the two lied"
            for dealer, holder in found
            if not named.intersection((dealer, holder))
        ]

    def doubt(self, pairs: Iterable[Pair]) -> None:
        """Shares that do not fit, where nothing proves that either of the two lied."""
        self.findings += [
            f"pair (dealer {dealer}, holder {holder}): the share does not fit, and nothing proves who lied"
            for dealer, holder in pairs
        ]

    def lost(self, error: BadShare, parameters: RoundParameters) -> None:
        """A secret did not open. Its dealer alone is to blame if so many lying holders would have been corrected."""
        spare = (len(error.holders) - parameters.threshold) // 2
        if self._hiding.signed and spare >= max(parameters.corrupt, 1):
            self._convict(error.sender, "its secret does not open, whichever of the corrupt sites may have lied")
        else:
            self.findings.append(
                f"the secret of {error.sender} did not open: it dealt badly, or more than {spare} of those who "
                "answered lied; nobody can be named alone"
            )

    def _wrote(self, message: bytes, sender: int, parameters: RoundParameters, session: bytes) -> bool:
        if self._people is None or not self._hiding.signed:
            return False
        try:
            header, payload = unframe(message, sender=sender, max_bytes=len(message), signed=True)
            check_header(header, session=session, round_=parameters.round, sender=sender)
        except PeerProtocolError:
            return False
        words = statement(header, size=len(payload), content=content_digest(payload))
        return self._people.verify(sender, words, signature_of(message))

    def _convict(self, site: int, why: str) -> None:
        if site in self._told:
            return
        self._told.add(site)
        most = self._hiding.graph.dropped
        if len(self.excluded) < most:
            self.excluded[site] = why
            self.findings.append(f"site {site} is excluded from now on: {why}")
        else:
            self.findings.append(f"site {site} broke the protocol: {why}; still asked, since D = {most} bars more")


def answered_dealers(message: bytes, sender: int, *, surplus: int = 0) -> frozenset[int] | None:
    """Whose shares an M9 holds; None for any other message or one that cannot be read."""
    if claimed_type(message) != MessageType.UNMASKING:
        return None
    try:
        shares = UnmaskingShares.read(Reader(payload_of(message), sender=sender, where="unmasking"), surplus=surplus)
    except PeerProtocolError:
        return None
    return frozenset(peer for peer, _, _ in shares.answers)


def missing_shares(
    answers: Mapping[int, frozenset[int]], mask_set: Iterable[int], parameters: RoundParameters, session: bytes
) -> list[Pair]:
    """(dealer, holder) of each share that a dealer signed for and that a holder who answered did not give."""
    there = frozenset(mask_set)
    return [
        (dealer, holder)
        for holder, given in answers.items()
        for dealer in there.intersection(parameters.neighbours_of(holder, session)) - given
    ]
