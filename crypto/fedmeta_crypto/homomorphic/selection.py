# SPDX-License-Identifier: Apache-2.0
"""Which coordinates are encrypted and which travel in the clear, and what that shows to whom.

Users of homomorphic encryption ask for it since ciphertexts are long: only the coordinates thought sensitive are
encrypted (NVFLARE's `encrypt_layers`; Jin et al., FedML-HE, arXiv 2303.10837). What is left in the clear is seen of
every client one by one, and a model's coordinates tell of each other, so this gives up what the sum was for. `Leakage`
says it in the words and with the numbers that belong beside every result.
"""

import hashlib
import struct
from dataclasses import dataclass, field
from typing import Self

import numpy as np
from numpy.typing import NDArray

from fedmeta_crypto.homomorphic.errors import BadSelection
from fedmeta_crypto.homomorphic.trust import TrustModel
from fedmeta_crypto.ring import Residues
from fedmeta_crypto.secagg.parameters import MAX_LENGTH

_LABEL = b"secure-fedmeta selection/1"
_DIMENSION = struct.Struct("<Q")
_WHERE = "selection"


@dataclass(frozen=True, slots=True)
class Leakage:
    """What a round with a `Selection` shows of every single client, and which epsilon may stand beside it.

    Attributes:
        digest: of the selection, hexadecimal.
        encrypted, clear: how many coordinates are which.
        ranges: the clear coordinates as (first, last + 1), in order.
        trust: who could read the encrypted ones.
        view: whose epsilon may be claimed for the round: "server" only if nothing is in the clear and the trust model
            hides all but the sum, else "local".
    """

    digest: str
    encrypted: int
    clear: int
    ranges: tuple[tuple[int, int], ...] = field(repr=False)
    trust: TrustModel
    view: str

    @property
    def sentences(self) -> tuple[str, ...]:
        """What reports and notebooks print.

        Example:
            >>> leakage = Selection.of(np.array([True, False, False])).statement(TrustModel.THRESHOLD)
            >>> print(leakage.sentences[0])
            The server, and whoever sees the wire, reads 2 of 3 coordinates of each client one by one: 1 to 2.
        """
        if not self.clear:
            return (f"All {self.encrypted} coordinates are encrypted. {self.trust.who_could_read}",)
        shown = [f"{first}" if last == first + 1 else f"{first} to {last - 1}" for first, last in self.ranges[:_SHOWN]]
        more = f" and {len(self.ranges) - _SHOWN} more ranges" if len(self.ranges) > _SHOWN else ""
        total = self.encrypted + self.clear
        lines = [
            f"The server, and whoever sees the wire, reads {self.clear} of {total} coordinates of each client",
            f" one by one: {', '.join(shown)}{more}.\n",
            "For these only the local epsilon holds, that of the client's own noise. All of what one record changes ",
            "may lie in them, so no smaller epsilon may be claimed for the round as a whole.\n",
            "Clear coordinates tell of encrypted ones: gradients of one model depend on each other.\n",
            "The selection is public. Choosing it from private data (the size of gradients, a sensitivity map of ",
            "someone's records) is a release of its own, with an epsilon of its own, which is not counted here.\n",
            f"Of the {self.encrypted} encrypted coordinates: {self.trust.who_could_read}",
        ]
        return tuple("".join(lines).split("\n"))

    def __str__(self) -> str:
        return "\n".join(self.sentences)


_SHOWN = 6


@dataclass(frozen=True, slots=True)
class Selection:
    """A public set of coordinates that are encrypted; all others travel in the clear.

    Every party takes it from its own copy of the plan, never from the server's message: a server that chose it could
    choose nothing. Its digest is part of what each upload is bound to.

    Args:       dimension: coordinates in all, 1 .. 2^28.  packed: one bit a coordinate, lowest first, 1 for encrypted.
    Raises:     BadSelection: nothing is encrypted, or another length.

    Example:
        >>> selection = Selection.of(np.array([True, False, True, False]))
        >>> secret, clear = selection.split(np.array([5, 6, 7, 8], np.uint32))
        >>> secret.tolist(), clear.tolist(), selection.join(secret, clear).tolist()
        ([5, 7], [6, 8], [5, 6, 7, 8])
    """

    dimension: int
    packed: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if not isinstance(self.dimension, int) or not 1 <= self.dimension <= MAX_LENGTH:
            raise BadSelection(f"{self.dimension!r} coordinates, 1 to {MAX_LENGTH} are possible", where=_WHERE)
        if not isinstance(self.packed, bytes) or len(self.packed) != -(-self.dimension // 8):
            raise BadSelection(f"not one bit for each of {self.dimension} coordinates", where=_WHERE)
        if self.packed[-1] >> (self.dimension % 8 or 8):
            raise BadSelection("bits are set beyond the last coordinate", where=_WHERE)
        if not any(self.packed):
            raise BadSelection("no coordinate is encrypted", where=_WHERE)

    @classmethod
    def of(cls, mask: NDArray[np.bool_]) -> Self:
        """From a mask of shape (d,), True where a coordinate is encrypted.

        Raises:     BadSelection: not boolean or not one-dimensional, or all False.
        """
        if not isinstance(mask, np.ndarray) or mask.dtype != np.bool_ or mask.ndim != 1:
            raise BadSelection("the mask is not a one-dimensional boolean array", where=_WHERE)
        return cls(mask.size, np.packbits(mask, bitorder="little").tobytes())

    @property
    def mask(self) -> NDArray[np.bool_]:
        """Shape (d,), True where a coordinate is encrypted; a new array at each use."""
        bits = np.unpackbits(np.frombuffer(self.packed, np.uint8), count=self.dimension, bitorder="little")
        return bits.view(np.bool_)

    @property
    def digest(self) -> bytes:
        """SHA-256 of dimension and mask; belongs into the plan's behaviour hash.

        Example:
            >>> Selection.of(np.array([True])).digest == Selection.of(np.array([True, False])).digest
            False
        """
        return hashlib.sha256(_LABEL + _DIMENSION.pack(self.dimension) + self.packed).digest()

    @property
    def encrypted(self) -> int:
        """How many coordinates are encrypted: the length of the inner round's vector."""
        return int.from_bytes(self.packed, "little").bit_count()

    @property
    def clear(self) -> int:
        """How many coordinates travel in the clear."""
        return self.dimension - self.encrypted

    def split(self, vector: Residues) -> tuple[Residues, Residues]:
        """(encrypted, clear) coordinates of a vector of shape (d,), each in order; copies.

        Raises:     BadSelection: another shape.
        """
        if vector.shape != (self.dimension,):
            raise BadSelection(f"a vector of shape {vector.shape}, the mask has ({self.dimension},)", where="split")
        mask = self.mask
        return vector[mask], vector[~mask]

    def join(self, encrypted: Residues, clear: Residues) -> Residues:
        """The inverse of `split`.

        Raises:     BadSelection: parts of other lengths or of two dtypes.
        """
        mask = self.mask
        if encrypted.shape != (self.encrypted,) or clear.shape != (self.clear,) or encrypted.dtype != clear.dtype:
            raise BadSelection(f"parts of shape {encrypted.shape} and {clear.shape} do not fit", where="join")
        whole = np.empty(self.dimension, encrypted.dtype)
        whole[mask], whole[~mask] = encrypted, clear
        return whole

    def statement(self, trust: TrustModel) -> Leakage:
        """What is shown of each client, and which epsilon may be claimed, under this trust model.

        Example:
            >>> Selection.of(np.array([True, False])).statement(TrustModel.SPLIT_MASKED).view
            'local'
        """
        edges = np.flatnonzero(np.diff(np.concatenate(([False], ~self.mask, [False])).astype(np.int8)))
        ranges = tuple((int(first), int(last)) for first, last in edges.reshape(-1, 2))
        view = "server" if trust.sum_only and not self.clear else "local"
        return Leakage(self.digest.hex(), self.encrypted, self.clear, ranges, trust, view)
