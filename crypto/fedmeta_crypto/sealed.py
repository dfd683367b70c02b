# SPDX-License-Identifier: Apache-2.0
"""The envelope in which shares travel through the server, and the typed secrets inside it.

AES-256-GCM (RFC 5116). The nonce is twelve zero bytes, always: a key seals once, in one direction,
in one session. Whoever must send again sends the same bytes again and never seals twice.

Inside:  count u8, then per secret: kind u8 | size u16 | packed share.
"""

import enum
import struct
from collections.abc import Sequence

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
    """What a share is a share of. Codes from 3 on are kept for seeds of surplus noise."""

    SELF_MASK = 1
    MASK_KEY = 2


# The kinds that every envelope of this version holds, in this order.
KINDS = (SecretKind.SELF_MASK, SecretKind.MASK_KEY)
_HEADS = tuple(_ITEM.pack(kind, SHARE_BYTES) for kind in KINDS)
_TEXT_BYTES = 1 + len(KINDS) * (_ITEM.size + SHARE_BYTES)
BOX_BYTES = _TEXT_BYTES + TAG_BYTES
NO_BOX = bytes(BOX_BYTES)  # stands where a client would have sealed to himself


def associated_data(session: bytes, sender: bytes, receiver: bytes) -> bytes:
    """What the tag binds besides the key: session and both ids (4 bytes each)."""
    return LABEL + session + sender + receiver


def pack_secrets(shares: Sequence[bytes]) -> bytes:
    """One packed share per kind, in the order of `KINDS`."""
    parts = [bytes([len(KINDS)])]
    for head, share in zip(_HEADS, shares, strict=True):
        parts += (head, share)
    return b"".join(parts)


def unpack_secrets(text: bytes) -> tuple[bytes, ...] | None:
    """The packed shares, or None if the dealer wrote anything but the canonical form."""
    if len(text) != _TEXT_BYTES or text[0] != len(KINDS):
        return None
    shares = []
    at = 1
    for head in _HEADS:
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
