# SPDX-License-Identifier: Apache-2.0
"""Products in Z[x] / (x^N + 1) modulo 2^k, exact, by floating-point FFT.

A polynomial of N real coefficients is folded to N/2 complex ones, x_j + i x_(j + N/2), twisted by exp(i pi j / N): a
cyclic product of length N/2 of such vectors is the negacyclic product of the polynomials. Rounding to the nearest
integer is exact when every coefficient is off by less than 1/2. For x and s with integer coefficients

    error <= B |x| |s|    (Euclidean norms),    B = (1 + v)^(6 L) (1 + sqrt5 v)^(3 L + 1) - 1,    v = 2^-53,

with L = log2(N/2) + 2: Percival, Rapid multiplication modulo the sum and difference of highly composite numbers, Math.
Comp. 72 (2003); restated in Brent, Percival and Zimmermann, Error bounds on complex floating-point multiplication,
Math. Comp. 76 (2007). Two levels are added for the twist and its inverse. B is evaluated through log1p, since 1 + 2^-53
is 1 in floating point. The theorem is about the radix-2 algorithm with correctly rounded roots of unity; numpy's
transform uses larger radices too, with fewer operations, and is checked against big integers by the tests.

`a` is cut into centred limbs, as few as bring the bound, with the *actual* norms of this very product, below `SAFE`;
so every rounding that is done has its bound checked first.
"""

import math
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedmeta_crypto.errors import BadArgument

SAFE = 0.45
_MOST_LIMBS = 4
_UNIT = 2.0**-53
_WHERE = "rlwe product"

Coefficients = NDArray[np.unsignedinteger[Any]]  # modulo 2^k in uint32 or uint64, shape (polynomials, N)


@cache
def error_factor(degree: int) -> float:
    """B of the module's bound, rounded up.

    Example:
        >>> round(error_factor(2048) / 2**-53), round(error_factor(4096) / 2**-53)
        (155, 167)
    """
    levels = int(math.log2(degree // 2)) + 2
    exponent = 6 * levels * math.log1p(_UNIT) + (3 * levels + 1) * math.log1p(math.sqrt(5) * _UNIT)
    return math.expm1(exponent) * (1 + 2.0**-30)


@cache
def _twist(degree: int) -> NDArray[np.complex128]:
    angle = np.arange(degree // 2, dtype=np.float64) * (math.pi / degree)
    twist: NDArray[np.complex128] = np.cos(angle) + 1j * np.sin(angle)
    twist.flags.writeable = False
    return twist


def _fold(rows: NDArray[np.float64]) -> NDArray[np.complex128]:
    """Transform of real polynomials.  Shapes: (..., N) to (..., N/2)."""
    half = rows.shape[-1] // 2
    folded = np.empty((*rows.shape[:-1], half), np.complex128)
    folded.real, folded.imag = rows[..., :half], rows[..., half:]
    folded *= _twist(2 * half)
    transformed: NDArray[np.complex128] = np.fft.fft(folded, axis=-1)
    return transformed


class Multiplier:
    """Multiplies by one small polynomial s, exactly.

    Shapes:     secret (N,), integers, N a power of two.
    Raises:     BadArgument: another shape.
    """

    def __init__(self, secret: NDArray[np.signedinteger[Any]]) -> None:
        degree = secret.size
        if secret.shape != (degree,) or degree < 4 or degree & (degree - 1):
            raise BadArgument(f"a secret of shape {secret.shape} is no polynomial of this ring", where=_WHERE)
        own = secret.astype(np.float64)
        self.degree = degree
        self._norm = math.sqrt(float(own @ own)) * (1 + 2.0**-40)
        self._transformed = _fold(own)
        self._untwist = np.conj(_twist(degree))

    def __repr__(self) -> str:
        return f"Multiplier(degree={self.degree})"

    def wipe(self) -> None:
        """Overwrite the secret's transform."""
        self._transformed.fill(0)
        self._norm = 0.0

    def times(self, a: Coefficients) -> Coefficients:
        """The product a s modulo x^N + 1 and 2^k.  Shapes: (polynomials, N) to the same; k is the width of a's type.

        Raises:     BadArgument: no cut into limbs is proved exact for these norms.

        Example:
            >>> s = np.zeros(8, np.int64); s[1] = 2  # 2 x
            >>> Multiplier(s).times(np.arange(8, dtype=np.uint32)[None])
            array([[4294967282,          0,          2,          4,          6,
                             8,         10,         12]], dtype=uint32)
        """
        bits = 8 * a.itemsize
        for limbs in range(self._fewest_limbs(bits), _MOST_LIMBS + 1):
            width = -(-bits // limbs)
            cut = [limb.astype(np.float64) for limb in _cut(a, width, limbs)]
            if all(self._bound(limb) < SAFE for limb in cut):
                break
        else:
            raise BadArgument(f"products of these sizes are not proved exact with {_MOST_LIMBS} limbs", where=_WHERE)
        total = self._rounded(cut[0], a.dtype)
        for place, limb in enumerate(cut[1:], 1):
            total += self._rounded(limb, a.dtype) << a.dtype.type(place * width)
        return total

    def _fewest_limbs(self, bits: int) -> int:
        """Where to begin: with fewer, limbs of uniform coefficients would be too long. Only speed hangs on it."""
        for limbs in range(1, _MOST_LIMBS):
            width = -(-bits // limbs)
            typical = 2.0**width * math.sqrt(self.degree / 12)
            if width <= 52 and error_factor(self.degree) * typical * self._norm < SAFE:
                return limbs
        return _MOST_LIMBS

    def _bound(self, limb: NDArray[np.float64]) -> float:
        """The largest error of any coefficient of any row."""
        longest = math.sqrt(float(np.einsum("ij,ij->i", limb, limb).max())) * (1 + 2.0**-40)
        return error_factor(self.degree) * longest * self._norm

    def _rounded(self, limb: NDArray[np.float64], dtype: np.dtype[Any]) -> Coefficients:
        spectrum = _fold(limb)
        spectrum *= self._transformed
        folded = np.fft.ifft(spectrum, axis=-1)
        folded *= self._untwist
        flat = np.rint(folded.view(np.float64), out=folded.view(np.float64)).astype(np.int64)
        product = np.empty(limb.shape, dtype)
        half = self.degree // 2
        product[:, :half], product[:, half:] = flat[:, 0::2], flat[:, 1::2]
        return product


def _cut(a: Coefficients, width: int, limbs: int) -> list[NDArray[np.signedinteger[Any]]]:
    """Centred limbs with a = sum of limb_l 2^(l width) modulo 2^k."""
    signed = np.dtype(f"i{a.itemsize}")
    if limbs == 1:
        return [a.view(signed)]
    half, mask = a.dtype.type(1 << (width - 1)), a.dtype.type((1 << width) - 1)
    cut, rest = [], a
    for _ in range(limbs - 1):
        low = ((rest + half) & mask) - half  # wraps below zero, as the signed view reads it
        cut.append(low.view(signed))
        rest = (rest - low) >> a.dtype.type(width)
    top = 8 * a.itemsize - width * (limbs - 1)
    half = a.dtype.type(1 << (top - 1))
    last = ((rest + half) & a.dtype.type((1 << top) - 1)) - half
    return [*cut, last.view(signed)]
