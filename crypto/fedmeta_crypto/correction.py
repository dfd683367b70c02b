# SPDX-License-Identifier: Apache-2.0
"""Finding false shares among more than enough: Reed-Solomon decoding over GF(65537).

Shares of one word at points x_1 .. x_r are a codeword of length r and dimension t, so up to floor((r - t)/2) false
ones are found, wherever they are. A holder's words are true or false together, so one random combination of all words
is decoded instead of each word by itself; the coefficients come from a hash of the shares, which no holder can foresee.

Polynomials are arrays of coefficients, lowest first, reduced modulo 65537.

Source: Gao, "A new algorithm for decoding Reed-Solomon codes", 2003; sharing as a code: McEliece and Sarwate, CACM
24(9), 1981.
"""

import hashlib

import numpy as np
from numpy.typing import NDArray

from fedmeta_crypto.errors import BadArgument
from fedmeta_crypto.shamir import MAX_POINT, PRIME, inverse

_COMBINATIONS = 8  # a false row escapes one combination with probability 1/65537, eight with 2^-128

Poly = NDArray[np.int64]


def false_rows(points: tuple[int, ...], shares: NDArray[np.uint32], *, threshold: int) -> tuple[int, ...] | None:
    """Which rows are not shares of one and the same secret.

    Shapes:     shares (r, w), values below 65537, row i at points[i].
    Guarantee:  if at most floor((r - t)/2) rows are false, exactly these are returned (but for a chance of 2^-128);
                if more are, None, or rows that a commitment to the secret will expose.
    Raises:     BadArgument: fewer rows than the threshold, or points repeated or out of range.

    Example:
        >>> import os
        >>> from fedmeta_crypto.shamir import split
        >>> rows = split(b"keep", points=7, threshold=3, entropy=os.urandom)
        >>> rows[4] = rows[4] ^ 1
        >>> false_rows((1, 2, 3, 4, 5, 6, 7), rows, threshold=3)
        (4,)
    """
    r = len(points)
    if shares.ndim != 2 or shares.shape[0] != r or not 1 <= threshold <= r:
        raise BadArgument(f"{r} points, threshold {threshold}, shares of shape {shares.shape}")
    if len(set(points)) != r or not 1 <= min(points) <= max(points) <= MAX_POINT:
        raise BadArgument("points of shares must be distinct and in 1 .. 65536")
    x, words = np.array(points, np.int64), shares.astype(np.int64) % PRIME
    bad: set[int] = set()
    for coefficients in _coefficients(shares):
        found = _decode(x, words @ coefficients % PRIME, threshold)
        if found is None:
            return None
        bad |= found
        if len(bad) > (r - threshold) // 2:
            return None
        good = np.array([row for row in range(r) if row not in bad])
        if _on_one_curve(x[good], words[good], threshold):
            return tuple(sorted(bad))
    return None


def _coefficients(shares: NDArray[np.uint32]) -> NDArray[np.int64]:
    """Rows of field elements that depend on every share; 32 bits each, so the bias is below 2^-15."""
    width = shares.shape[1]
    seed = hashlib.shake_256(b"sfm-correction/1" + shares.astype("<u4").tobytes())
    drawn = np.frombuffer(seed.digest(4 * width * _COMBINATIONS), "<u4").astype(np.int64) % PRIME
    return drawn.reshape(_COMBINATIONS, width)


def _decode(x: Poly, y: Poly, t: int) -> set[int] | None:
    """Gao's decoder: positions where y is off the polynomial of degree < t, if at most (r - t)/2 are."""
    r = len(x)
    previous, current = _vanishing(x), _interpolate(x, y)
    before, now = np.zeros(1, np.int64), np.ones(1, np.int64)
    while 2 * _degree(current) >= r + t:
        quotient, rest = _divide(previous, current)
        previous, current = current, rest
        before, now = now, _subtract(before, np.convolve(quotient, now) % PRIME)
    message, rest = _divide(current, now)
    if rest.any() or _degree(message) >= t:
        return None
    return {int(i) for i in np.flatnonzero(_evaluate(message, x) != y)}


def _on_one_curve(x: Poly, words: Poly, t: int) -> bool:
    """Whether all rows lie on polynomials of degree < t: interpolate the first t, look at the others."""
    if len(x) < t:
        return False
    if len(x) == t:
        return True
    # Lagrange: the value at x_j is sum_i y_i prod_{m != i} (x_j - x_m)/(x_i - x_m).
    base, rest = x[:t], x[t:]
    gaps = (rest[:, None] - base[None, :]) % PRIME
    full = _product(gaps)
    within = (base[:, None] - base[None, :]) % PRIME
    np.fill_diagonal(within, 1)
    weights = full[:, None] * inverse(gaps) % PRIME * inverse(_product(within))[None, :] % PRIME
    return bool((weights @ words[:t] % PRIME == words[t:]).all())


def _product(rows: Poly) -> Poly:
    result = np.ones(len(rows), np.int64)
    for column in rows.T:
        result = result * column % PRIME
    return result


def _vanishing(x: Poly) -> Poly:
    """The product of (z - x_i)."""
    poly = np.ones(1, np.int64)
    for point in x:
        poly = _times_linear(poly, int(point))
    return poly


def _interpolate(x: Poly, y: Poly) -> Poly:
    """The polynomial of degree < r through all points: Newton's divided differences, then Horner."""
    newton = y.copy()
    for step in range(1, len(x)):
        gap = (x[step:] - x[:-step]) % PRIME
        newton[step:] = (newton[step:] - newton[step - 1 : -1]) % PRIME * inverse(gap) % PRIME
    poly = newton[-1:].copy()
    for point, value in zip(x[-2::-1], newton[-2::-1], strict=True):
        poly = _times_linear(poly, int(point))
        poly[0] = (poly[0] + value) % PRIME
    return poly


def _times_linear(poly: Poly, point: int) -> Poly:
    longer = np.zeros(len(poly) + 1, np.int64)
    longer[1:] = poly
    longer[:-1] -= poly * point % PRIME
    return longer % PRIME


def _degree(poly: Poly) -> int:
    """-1 for the zero polynomial."""
    nonzero = np.flatnonzero(poly)
    return int(nonzero[-1]) if nonzero.size else -1


def _subtract(a: Poly, b: Poly) -> Poly:
    result = np.zeros(max(len(a), len(b)), np.int64)
    result[: len(a)] = a
    result[: len(b)] -= b
    return result % PRIME


def _divide(a: Poly, b: Poly) -> tuple[Poly, Poly]:
    """Quotient and remainder; b is not zero."""
    top, low = _degree(a), _degree(b)
    if top < low:
        return np.zeros(1, np.int64), a
    rest, divisor = a[: top + 1].copy(), b[: low + 1]
    lead = int(inverse(divisor[-1:])[0])
    quotient = np.zeros(top - low + 1, np.int64)
    for place in range(top - low, -1, -1):
        factor = int(rest[place + low]) * lead % PRIME
        quotient[place] = factor
        if factor:
            rest[place : place + low + 1] = (rest[place : place + low + 1] - factor * divisor) % PRIME
    return quotient, rest[: max(low, 1)] if low else np.zeros(1, np.int64)


def _evaluate(poly: Poly, x: Poly) -> Poly:
    value = np.zeros(len(x), np.int64)
    for coefficient in poly[::-1]:
        value = (value * x + coefficient) % PRIME
    return value
