# SPDX-License-Identifier: Apache-2.0
"""The envelope in which shares travel through the server, and the typed secrets inside it.

AES-256-GCM (RFC 5116). The nonce is twelve zero bytes, always: a key seals once, in one direction,
in one session. Whoever must send again sends the same bytes again and never seals twice.

Inside:  count u8, then per secret: kind u8 | size u16 | packed share; first the two secrets of every round, then the
surplus secrets, if the round announced any.
"""

import enum
import struct
from collections.abc import Sequence
from functools import lru_cache

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from fedmeta_crypto.keys import LABEL, SECRET_BYTES
from fedmeta_crypto.shamir import is_packed, packed_bytes

TAG_BYTES = 16
SECRET_WORDS = SECRET_BYTES // 2
SHARE_BYTES = packed_bytes(SECRET_WORDS)
_NONCE = bytes(12)
_ITEM = struct.Struct("<BH")


class SecretKind(enum.IntEnum):
    """What a share is a share of; codes from 3 on are surplus secrets 1, 2, and so on (`surplus_kind`)."""

    SELF_MASK = 1
    MASK_KEY = 2


# The kinds that every envelope holds, in this order; those of surplus secrets follow.
KINDS = (SecretKind.SELF_MASK, SecretKind.MASK_KEY)
MAX_SURPLUS = 255 - len(KINDS)  # a kind is one byte


def surplus_kind(number: int) -> int:
    """Kind of surplus secret `number`, which counts from 1.

    Example:
        >>> surplus_kind(1), surplus_kind(MAX_SURPLUS)
        (3, 255)
    """
    return len(KINDS) + number


def box_bytes(surplus: int = 0) -> int:
    """Size of a sealed box in a round with that many surplus secrets."""
    return 1 + (len(KINDS) + surplus) * (_ITEM.size + SHARE_BYTES) + TAG_BYTES


BOX_BYTES = box_bytes()  # where there are none


@lru_cache(maxsize=8)
def no_box(surplus: int = 0) -> bytes:
    """What stands where a client would have sealed to himself."""
    return bytes(box_bytes(surplus))


NO_BOX = no_box()


@lru_cache(maxsize=8)
def _heads(count: int) -> tuple[bytes, ...]:
    return tuple(_ITEM.pack(kind, SHARE_BYTES) for kind in range(1, count + 1))


def associated_data(session: bytes, sender: bytes, receiver: bytes) -> bytes:
    """What the tag binds besides the key: session and both ids (4 bytes each)."""
    return LABEL + session + sender + receiver


def pack_secrets(shares: Sequence[bytes]) -> bytes:
    """One packed share per kind, in the order of their codes."""
    parts = [bytes([len(shares)])]
    for head, share in zip(_heads(len(shares)), shares, strict=True):
        parts += (head, share)
    return b"".join(parts)


def unpack_secrets(text: bytes, surplus: int = 0) -> tuple[bytes, ...] | None:
    """The packed shares, or None if the dealer wrote anything but the canonical form."""
    count = len(KINDS) + surplus
    if len(text) != box_bytes(surplus) - TAG_BYTES or text[0] != count:
        return None
    shares = []
    at = 1
    for head in _heads(count):
        share = text[at + _ITEM.size : at + _ITEM.size + SHARE_BYTES]
        if text[at : at + _ITEM.size] != head or not is_packed(share, SECRET_WORDS):
            return None
        shares.append(share)
        at += _ITEM.size + SHARE_BYTES
    return tuple(shares)


def seal(key: bytes, text: bytes, associated: bytes) -> bytes:
    """Encrypt once under a key that is then thrown away."""
    return AESGCM(key).encrypt(_NONCE, text, associated)


def open_sealed(key: bytes | bytearray, box: bytes, associated: bytes) -> bytes | None:
    """Decrypt, or None: a bad tag says nothing but "no share from this dealer"."""
    try:
        return AESGCM(key).decrypt(_NONCE, box, associated)
    except InvalidTag:
        return None
