# SPDX-License-Identifier: Apache-2.0
"""Who sent what to whom, and how many bytes: a round on paper, for teaching and for the books.

Only headers are looked at; payloads, and so all ciphertexts, shares and masked vectors, are left out.
"""

from collections import Counter
from dataclasses import dataclass, field

from fedmeta_crypto.secagg.step import Step
from fedmeta_crypto.wire import SERVER, MessageType, unframe


@dataclass(frozen=True, slots=True)
class Sent:
    """One message on its way; ids as on the wire, `SERVER` for the server."""

    sender: int
    receiver: int
    kind: MessageType
    size: int


@dataclass(frozen=True, slots=True)
class Total:
    """All messages of one kind in one direction."""

    kind: MessageType
    to_server: bool
    messages: int
    size: int


@dataclass(slots=True)
class Transcript:
    """Collects the messages of steps as a shell sends them.

    Args:       signed: whether the round's strength is a signed one.

    Example:
        >>> from fedmeta_crypto import RoundParameters, ServerSession
        >>> server = ServerSession(RoundParameters(round=1, cohort=(3, 5, 8), threshold=2, min_survivors=3,
        ...     modulus_bits=32, length=4, behaviour_hash=bytes(32), server_nonce=bytes(32), body=b""))
        >>> transcript = Transcript()
        >>> transcript.note(SERVER, server.announce())
        >>> [(sent.receiver, sent.kind.name) for sent in transcript.sent]
        [(3, 'PARAMETERS'), (5, 'PARAMETERS'), (8, 'PARAMETERS')]
        >>> transcript.table().splitlines()[1].split()[:6]
        ['M0', 'PARAMETERS', 'server', '->', 'clients', '3']
    """

    sent: list[Sent] = field(default_factory=list)
    signed: bool = False

    def note(self, sender: int, step: Step) -> None:
        """Add the messages of a step.

        Raises:     PeerProtocolError: a message that is none of this protocol's, or of a round of the other kind.
        """
        for outgoing in step.send:
            message = outgoing.message
            kind = unframe(message, sender=sender, max_bytes=len(message), signed=self.signed)[0].type
            self.sent.append(Sent(sender, outgoing.to, kind, len(message)))

    def totals(self) -> list[Total]:
        """Messages and bytes by kind and direction, in the order of the protocol."""
        count: Counter[tuple[MessageType, bool]] = Counter()
        size: Counter[tuple[MessageType, bool]] = Counter()
        for sent in self.sent:
            key = (sent.kind, sent.receiver == SERVER)
            count[key] += 1
            size[key] += sent.size
        return [Total(kind, up, count[kind, up], size[kind, up]) for kind, up in sorted(count)]

    def upload_bytes(self, sender: int) -> int:
        """All bytes that one client sent."""
        return sum(sent.size for sent in self.sent if sent.sender == sender and sent.receiver == SERVER)

    def table(self) -> str:
        """The totals as text, a line each."""
        lines = ["    message            direction       messages      bytes"]
        for total in self.totals():
            way = "clients -> server" if total.to_server else "server -> clients"
            name = f"M{total.kind.value:<2} {total.kind.name:<18}"
            lines.append(f"{name} {way} {total.messages:>6} {total.size:>10}")
        return "\n".join(lines)
