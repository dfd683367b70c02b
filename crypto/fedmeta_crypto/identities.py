# SPDX-License-Identifier: Apache-2.0
"""Who signs: long-lived Ed25519 keys (RFC 8032), and the list of those that a party accepts.

A signature is over `wire.statement`, a digest of a message's header and contents, never over bytes that a peer chose.
The list comes from outside the protocol, as an operator's file does: whoever may change it may be anyone.
"""

import hashlib
from collections.abc import Iterable, Mapping
from typing import Never

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from fedmeta_crypto.errors import BadArgument
from fedmeta_crypto.keys import LABEL, PUBLIC_BYTES, SECRET_BYTES
from fedmeta_crypto.wire import SERVER

_FIELD = 2**255 - 19
_WHERE = "identities"
# y-coordinates of the points whose order divides 8: under such a key anybody can sign anything.
_LOW_ORDER = frozenset(
    {
        0,
        1,
        _FIELD - 1,
        2707385501144840649318225287225658788936804267575313519463743609750303402022,
        55188659117513257062467267217118295137698188065244968500265048394206261417927,
    }
)


class Identity:
    """A party's signing key, made of a 32-byte secret that outlives the rounds.

    Guarantee:  the secret is in no text of this object, which refuses to be pickled or copied.
    Raises:     BadArgument: not 32 bytes.
    Source:     Ed25519, RFC 8032, section 5.1.

    Example:
        >>> Identity(bytes(32)).public.hex()[:8], Identity(bytes(32))
        ('3b6a27bc', Identity(public='3b6a27bc...'))
    """

    __slots__ = ("_private", "public")

    def __init__(self, secret: bytes | bytearray) -> None:
        if not isinstance(secret, bytes | bytearray) or len(secret) != SECRET_BYTES:
            raise BadArgument(f"the secret of an identity has {SECRET_BYTES} bytes", where=_WHERE)
        self._private = Ed25519PrivateKey.from_private_bytes(secret)
        self.public = self._private.public_key().public_bytes_raw()

    def __repr__(self) -> str:
        return f"Identity(public='{self.public.hex()[:8]}...')"

    def __reduce__(self) -> Never:
        """Refuse to be copied or pickled: the secret stays where it was put."""
        raise TypeError("an identity cannot be copied or pickled")

    def sign(self, statement: bytes) -> bytes:
        """The signature (64 bytes) over a digest made by `wire.statement`."""
        return self._private.sign(statement)


class AllowList:
    """The server's key and each client's: everyone whose signature counts.

    Args:       server: the server's public key.  clients: id -> public key.
    Raises:     BadArgument: an id out of range, or a key that is malformed, weak or listed twice.

    Example:
        >>> server, one = Identity(bytes(32)), Identity(bytes(31) + bytes([1]))
        >>> people = AllowList(server.public, {7: one.public})
        >>> people.verify(7, b"digest", one.sign(b"digest")), people.verify(7, b"digest", server.sign(b"digest"))
        (True, False)
    """

    __slots__ = ("_keys", "_publics")

    def __init__(self, server: bytes, clients: Mapping[int, bytes]) -> None:
        if SERVER in clients or not all(isinstance(id_, int) and 0 <= id_ < SERVER for id_ in clients):
            raise BadArgument(f"client ids are integers in 0 .. {SERVER - 1}", where=_WHERE)
        self._publics = {**clients, SERVER: server}
        for id_, public in self._publics.items():
            _check_public(public, "the server" if id_ == SERVER else f"client {id_}")
        if len(set(self._publics.values())) != len(self._publics):
            raise BadArgument("a key is listed twice", where=_WHERE)
        self._keys = {id_: Ed25519PublicKey.from_public_bytes(key) for id_, key in self._publics.items()}

    def __repr__(self) -> str:
        return f"AllowList({len(self._publics) - 1} clients)"

    def __contains__(self, id_: object) -> bool:
        return id_ in self._keys

    def public(self, id_: int) -> bytes | None:
        """The key of a client, or of the server (`SERVER`); None for a stranger."""
        return self._publics.get(id_)

    def verify(self, id_: int, statement: bytes, signature: bytes) -> bool:
        """Whether this party signed that; False for a stranger."""
        key = self._keys.get(id_)
        if key is None:
            return False
        try:
            key.verify(signature, statement)
        except InvalidSignature:
            return False
        return True

    def digest(self, cohort: Iterable[int]) -> bytes:
        """By which all parties know that they hold the same keys for a round; a stranger's key counts as empty."""
        rows = (id_.to_bytes(4, "little") + self._publics.get(id_, b"") for id_ in (SERVER, *cohort))
        return hashlib.sha256(LABEL + b"identities" + b"".join(rows)).digest()


def _check_public(public: bytes, whose: str) -> None:
    if not isinstance(public, bytes) or len(public) != PUBLIC_BYTES:
        raise BadArgument(f"the key of {whose} is not {PUBLIC_BYTES} bytes", where=_WHERE)
    y = int.from_bytes(public, "little") % 2**255  # the top bit is the sign of x
    if y >= _FIELD or y in _LOW_ORDER:
        raise BadArgument(f"the key of {whose} is weak or not canonical", where=_WHERE)
