# SPDX-License-Identifier: Apache-2.0
"""One party's way to frame what it sends and to believe what it takes, under every strength.

Under a signed strength each message carries its author's signature, and lists carry the signatures of those they speak
for. Under `SEMI_HONEST` there are none, and the sender is whom the transport names.
"""

from typing import Never

from fedmeta_crypto.errors import BadArgument, BadSignature, PlanRefused, ProtocolError
from fedmeta_crypto.identities import AllowList, Identity
from fedmeta_crypto.messages import MaskedInput, Message
from fedmeta_crypto.secagg.parameters import RoundParameters
from fedmeta_crypto.wire import (
    SERVER,
    Header,
    MessageType,
    check_header,
    content_digest,
    frame,
    frame_parts,
    signature_of,
    statement,
    unframe,
)


class Authenticator:
    """Frames, signs and verifies for one party in one session.

    Args:       me: the party's id, `SERVER` for the server.  identity, allow_list: both under a signed
                strength, where the list must hold every member and this party's own key.
    Raises:     PlanRefused: a signed round without them, or with others than the announcement's.
    """

    __slots__ = ("_identity", "_me", "_people", "_round", "session", "signed")

    def __init__(
        self,
        parameters: RoundParameters,
        *,
        session: bytes,
        me: int,
        identity: Identity | None,
        allow_list: AllowList | None,
    ) -> None:
        self.session = session
        self.signed = parameters.strength.signed
        self._me, self._round = me, parameters.round
        self._identity = self._people = None
        if self.signed:
            self._identity, self._people = _checked(parameters, me, identity, allow_list)

    def __repr__(self) -> str:
        return f"Authenticator(round={self._round}, signed={self.signed})"

    def __reduce__(self) -> Never:
        """Refuse to be copied or pickled: it holds an identity."""
        raise TypeError("an authenticator cannot be copied or pickled")

    def frame(self, message: Message) -> bytes:
        """A message in canonical bytes, signed if the strength says so."""
        header = Header(message.TYPE, self.session, self._round, self._me)
        return frame(header, message.payload(), None if self._identity is None else self._identity.sign)

    def unframe(self, message: bytes, *, sender: int, max_bytes: int) -> tuple[Header, memoryview]:
        """Header and payload of a message made for this session; its signature is left for `verify`."""
        header, payload = unframe(message, sender=sender, max_bytes=max_bytes, signed=self.signed)
        check_header(header, session=self.session, round_=self._round, sender=sender)
        return header, payload

    def verify(self, message: bytes, header: Header, payload: memoryview) -> bytes:
        """The payload's digest, after its author's signature was verified; empty under no signatures.

        Raises:     BadSignature: it is not the author's on this message.
        """
        if self._people is None:
            return b""
        content = content_digest(payload)
        words = statement(header, size=len(payload), content=content)
        if not self._people.verify(header.sender, words, signature_of(message)):
            raise BadSignature("the signature does not verify", sender=header.sender, where=header.type.where)
        return content

    def frame_input(self, masked: MaskedInput) -> tuple[bytes, bytes]:
        """A masked input as `frame` gives it, and how a survivor list names it; empty under no signatures.

        The vector is copied once, and hashed at most once.
        """
        header, parts = Header(masked.TYPE, self.session, self._round, self._me), masked.parts()
        if self._identity is None:
            return frame_parts(header, parts, None, content=b""), b""
        content = content_digest(*parts)
        return frame_parts(header, parts, self._identity.sign, content=content), content

    def recalled_input(self, message: bytes) -> bytes:
        """How a survivor list names a masked input that this party has sent, from the message itself.

        Raises:     BadArgument: it is not this party's masked input of this session.
        """
        try:
            header, payload = unframe(message, sender=self._me, max_bytes=len(message), signed=self.signed)
        except ProtocolError:
            header, payload = None, memoryview(b"")
        if header != Header(MessageType.MASKED_INPUT, self.session, self._round, self._me):
            raise BadArgument("not this party's masked input of this session", where="recall_input")
        return content_digest(payload) if self.signed else b""

    def has_signed(self, id_: int, kind: MessageType, *, size: int, content: bytes, signature: bytes) -> bool:
        """Whether a client signed a message of this kind and payload digest, in this very session."""
        header = Header(kind, self.session, self._round, id_)
        words = statement(header, size=size, content=content)
        return self._people is not None and self._people.verify(id_, words, signature)


def _checked(
    parameters: RoundParameters, me: int, identity: Identity | None, allow_list: AllowList | None
) -> tuple[Identity, AllowList]:
    where = "identities"
    if identity is None or allow_list is None:
        raise PlanRefused("a signed round needs an identity and an allow-list", where=where)
    if strangers := [id_ for id_ in parameters.cohort if id_ not in allow_list]:
        raise PlanRefused(f"ids not on the allow-list: {strangers[:5]}", where=where)
    if allow_list.public(me) != identity.public:
        raise PlanRefused("the allow-list holds another key for this party", where=where)
    if allow_list.digest(parameters.cohort) != parameters.identities:
        raise PlanRefused("the round was announced for other identity keys", where=where)
    return identity, allow_list


def verify_announcement(announcement: bytes, *, allow_list: AllowList | None, signed: bool) -> None:
    """Check the server's signature on M0, which `RoundParameters.from_message` has parsed.

    Raises:     PlanRefused: no allow-list to check it by.  BadSignature: not the server's.
    """
    if not signed:
        return
    if allow_list is None:
        raise PlanRefused("a signed round needs an identity and an allow-list", where="identities")
    header, payload = unframe(announcement, sender=SERVER, max_bytes=len(announcement), signed=True)
    words = statement(header, size=len(payload), content=content_digest(payload))
    if not allow_list.verify(SERVER, words, signature_of(announcement)):
        raise BadSignature("the signature does not verify", sender=SERVER, where="announcement")
