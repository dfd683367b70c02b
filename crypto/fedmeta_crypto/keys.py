# SPDX-License-Identifier: Apache-2.0
"""Key agreement, key derivation and commitments of suite 1.

    secret    = X25519(own private, peer public)                       RFC 7748, section 6.1
    key       = HKDF-SHA256(secret, no salt, info)[:size]              RFC 5869
    info      = LABEL | session | purpose | what the key is bound to

Purposes "mask", "self", "enc" and "commit" are never a prefix of one another and everything after
them has a fixed size, so no two uses share an HKDF input. Binding both public keys to a derived key
is RFC 7748's own advice (section 6.1).
"""

import hashlib
from functools import lru_cache

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from fedmeta_crypto.errors import BadKey
from fedmeta_crypto.prg import KEY_BYTES, Entropy, draw

LABEL = b"sfm-secagg/1"
PUBLIC_BYTES = 32
SECRET_BYTES = 32
DIGEST_BYTES = 32
SEAL_KEY_BYTES = 32

End = tuple[bytes, bytes]  # of a pair: public key, id as 4 bytes

_SHA256 = SHA256()
_FIELD = 2**255 - 19
# u-coordinates whose order divides 8: the agreed secret would be zero whatever the private key.
_LOW_ORDER = frozenset(
    {
        0,
        1,
        325606250916557431795983626356110631294008115727848805560023387167927233504,
        39382357235489614581723060781553021112529911719440698176882885853963445705823,
        _FIELD - 1,
    }
)


class KeyPair:
    """An X25519 key pair for one purpose in one session.

    Example:
        >>> import os
        >>> one, two = KeyPair(os.urandom(32)), KeyPair(os.urandom(32))
        >>> one.agree(two.public, peer=2) == two.agree(one.public, peer=1)
        True
        >>> one
        KeyPair(...)
    """

    __slots__ = ("_private", "public")

    def __init__(self, secret: bytes | bytearray) -> None:
        self._private = X25519PrivateKey.from_private_bytes(secret)
        self.public = self._private.public_key().public_bytes_raw()

    def __repr__(self) -> str:
        return "KeyPair(...)"

    def agree(self, public: bytes, *, peer: int) -> bytes:
        """The secret shared with a peer, for `derive` alone; raises `BadKey` if it is zero."""
        try:
            return self._private.exchange(_parsed(public))
        except ValueError:
            raise BadKey("key agreement gave zero", sender=peer, where="key agreement") from None


# Parsing takes a tenth of an agreement, and whoever plays several parties meets each key once for each of them.
@lru_cache(maxsize=4096)
def _parsed(public: bytes) -> X25519PublicKey:
    return X25519PublicKey.from_public_bytes(public)


def fresh_secret(entropy: Entropy) -> bytearray:
    """32 secret bytes in memory that can be overwritten."""
    return bytearray(draw(entropy, SECRET_BYTES))


def check_public(public: bytes, *, sender: int, where: str) -> None:
    """Refuse a public key that is not canonical (so a copy could look new) or has low order.

    Example:
        >>> check_public(bytes(32), sender=4, where="roster")
        Traceback (most recent call last):
        fedmeta_crypto.errors.BadKey: SFM-232 BadKey at roster: public key of low order...
    """
    u = int.from_bytes(public, "little")
    if u >= _FIELD:
        raise BadKey("public key is not reduced modulo 2^255 - 19", sender=sender, where=where)
    if u in _LOW_ORDER:
        raise BadKey("public key of low order", sender=sender, where=where)


def derive(secret: bytes | bytearray, info: bytes, size: int) -> bytes:
    """HKDF-SHA256 without salt (RFC 5869)."""
    return HKDF(_SHA256, size, None, info).derive(secret)


def pair_mask_key(secret: bytes, *, session: bytes, behaviour_hash: bytes, publics: tuple[bytes, bytes]) -> bytes:
    """Key of the mask that two clients cancel; equal only if both run the same behaviour."""
    info = LABEL + session + b"mask" + behaviour_hash + min(publics) + max(publics)
    return derive(secret, info, KEY_BYTES)


def self_mask_key(seed: bytes | bytearray, *, session: bytes) -> bytes:
    """Key of a client's own mask, from its seed b_u."""
    return derive(seed, LABEL + session + b"self", KEY_BYTES)


def seal_keys(secret: bytes, *, session: bytes, mine: End, theirs: End) -> tuple[bytes, bytes]:
    """Keys for shares from me to a peer, and from the peer to me.

    Both come of one derivation: its first half seals from the end with the smaller public key to the other.
    """
    first, second = sorted((mine, theirs))
    both = derive(secret, LABEL + session + b"enc" + first[0] + first[1] + second[0] + second[1], 2 * SEAL_KEY_BYTES)
    forth, back = both[:SEAL_KEY_BYTES], both[SEAL_KEY_BYTES:]
    return (forth, back) if first == mine else (back, forth)


def commitment(seed: bytes | bytearray, *, session: bytes) -> bytes:
    """SHA-256 commitment to a self-mask seed: hiding because the seed has 256 bits of entropy."""
    return hashlib.sha256(LABEL + session + b"commit" + seed).digest()


def surplus_commitment(number: int, secret: bytes | bytearray, *, session: bytes) -> bytes:
    """SHA-256 commitment to surplus secret `number`, 1 .. 253; hiding as `commitment` is, and never equal to one."""
    return hashlib.sha256(LABEL + session + b"surplus" + bytes([number]) + secret).digest()
