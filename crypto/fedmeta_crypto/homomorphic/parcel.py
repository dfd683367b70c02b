# SPDX-License-Identifier: Apache-2.0
"""A ciphertext and the masked input (M5) that vouches for it, in one transport message.

    magic 8 | length of M5 u32 | length of the ciphertext u64 | commitment 32 | M5 | ciphertext

M5's attachment hash is the `attachment_digest` of the commitment and the ciphertext, so M5's signature covers both,
bound to session, round and sender; a parcel has no signature of its own and needs none. The commitment is the
application's own 32 bytes, which a round without ciphertexts puts into M5 directly.
"""

import hashlib
import struct
from dataclasses import dataclass, field
from typing import Self

from fedmeta_crypto.errors import BadArgument, BadMessage, Oversized, Truncated
from fedmeta_crypto.keys import DIGEST_BYTES

_MAGIC = b"sfmpar/1"
_HEAD = struct.Struct(f"<8sIQ{DIGEST_BYTES}s")
_LABEL = b"secure-fedmeta attachment/1"
_WHERE = "parcel"
PARCEL_BYTES = _HEAD.size  # beside M5 and ciphertext


def is_parcel(message: bytes) -> bool:
    """Whether a message says that it is a parcel; `Parcel.read` checks it.

    Example:
        >>> is_parcel(b"sfmpar/1..."), is_parcel(b"")
        (True, False)
    """
    return message[: len(_MAGIC)] == _MAGIC


def attachment_digest(scheme_digest: bytes, commitment: bytes, ciphertext: bytes | memoryview) -> bytes:
    """What M5 carries in the place of the commitment: SHA-256 over a label, the scheme, commitment and ciphertext.

    Args:       scheme_digest: 32 bytes that name scheme, parameters and, where there is one, the round's public key.
                commitment: 32 bytes.  ciphertext: hashed on its own first.
    Raises:     BadArgument: a digest or commitment of another length.
    """
    if len(scheme_digest) != DIGEST_BYTES or len(commitment) != DIGEST_BYTES:
        raise BadArgument(f"scheme digest and commitment are {DIGEST_BYTES} bytes each", where=_WHERE)
    return hashlib.sha256(_LABEL + scheme_digest + commitment + hashlib.sha256(ciphertext).digest()).digest()


@dataclass(frozen=True, slots=True)
class Parcel:
    """M5, the application's commitment and a ciphertext.

    Example:
        >>> parcel = Parcel(b"M5", bytes(32), b"ciphertext")
        >>> Parcel.read(parcel.to_bytes(), sender=3, input_bytes=2, ciphertext_bytes=10).masked_input
        b'M5'
    """

    masked_input: bytes = field(repr=False)
    commitment: bytes = field(repr=False)
    ciphertext: bytes | memoryview = field(repr=False)

    def to_bytes(self) -> bytes:
        """Canonical bytes."""
        head = _HEAD.pack(_MAGIC, len(self.masked_input), len(self.ciphertext), self.commitment)
        return b"".join((head, self.masked_input, self.ciphertext))

    @classmethod
    def read(cls, message: bytes, *, sender: int, input_bytes: int, ciphertext_bytes: int) -> Self:
        """Parse a parcel whose two parts have the most bytes that this round could need.

        The ciphertext is a view of the message; neither part is looked into.

        Raises:     Truncated, Oversized, BadMessage.
        """
        if len(message) < _HEAD.size:
            raise Truncated("shorter than a parcel's head", sender=sender, where=_WHERE)
        magic, first, second, commitment = _HEAD.unpack_from(message)
        if magic != _MAGIC:
            raise BadMessage("not a parcel of this release", sender=sender, where=_WHERE)
        if first > input_bytes or second > ciphertext_bytes or len(message) > _HEAD.size + first + second:
            raise Oversized("more bytes than this round could need", sender=sender, where=_WHERE)
        if len(message) < _HEAD.size + first + second:
            raise Truncated("the parcel's parts are missing bytes", sender=sender, where=_WHERE)
        at = _HEAD.size + first
        return cls(message[_HEAD.size : at], commitment, memoryview(message)[at:])
