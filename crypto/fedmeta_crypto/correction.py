# SPDX-License-Identifier: Apache-2.0
"""Shamir shares of which some are wrong: any r of them give the secret if at most (r - t) // 2 are.

Shares of one word at r points are a Reed-Solomon codeword of dimension t. Gao's decoder takes, per word,

    a(z) = prod_i (z - x_i)         b(z) = the polynomial through all points, bad ones included

and runs Euclid's algorithm on (a, b) until the remainder has degree below (r + t) / 2; the cofactor of b is
then zero at every bad point. Points where it is not zero are clean, so t of them interpolate the word and show
exactly which of the others are wrong. Polynomials are arrays of coefficients, constant first; all steps are
numpy operations of length r, so a word takes O(r^2). The decoder runs anew only for a word that the points found
clean for the word before do not explain.

Source: Gao, "A new algorithm for decoding Reed-Solomon codes", 2003.
"""

import numpy as np
from numpy.typing import NDArray

from fedmeta_crypto.shamir import MAX_POINT, PRIME, inverse, power_and_log

Polynomial = NDArray[np.int64]


def correct(
    points: tuple[int, ...], shares: NDArray[np.uint32], *, threshold: int
) -> tuple[bytes | None, tuple[int, ...]] | None:
    """The secret and the points whose shares are wrong, or None if no word sequence is near enough.

    Shapes:     shares (len(points), w), values below 65537; returns 2w bytes.
    Guarantee:  with at most (len(points) - threshold) // 2 wrong shares, the true secret and just those points.
                The secret is None if a word is 65536, which no secret holds. The caller checks a commitment:
                with more wrong shares any answer is possible.
    Args:       points: distinct, in 1 .. 65536, at least `threshold` of them.

    Example:
        >>> import os
        >>> from fedmeta_crypto.shamir import split
        >>> rows = split(b"keep", points=7, threshold=3, entropy=os.urandom)
        >>> rows[4] = (rows[4] + 1) % 65537
        >>> correct((1, 2, 4, 5, 7), rows[[0, 1, 3, 4, 6]], threshold=3)
        (b'keep', (5,))
    """
    x, y = np.array(points, np.int64), shares.astype(np.int64)
    most = (len(points) - threshold) // 2
    clean = np.arange(threshold)
    matrix = _extension(x, clean)
    bad = np.zeros(len(points), bool)
    words = []
    for column in y.T:
        values = _extended(matrix, column[clean])
        if np.count_nonzero(values[1:] != column) > most:
            found = np.flatnonzero(_evaluated(_locator(x, column, threshold), x))
            if found.size < threshold:
                return None
            clean = found[:threshold]
            matrix = _extension(x, clean)
            values = _extended(matrix, column[clean])
            if np.count_nonzero(values[1:] != column) > most:
                return None
        bad |= values[1:] != column
        words.append(values[0])
    secret = None if max(words) > 0xFFFF else np.array(words, "<u2").tobytes()
    return secret, tuple(x[bad].tolist())


def _extension(x: NDArray[np.int64], clean: NDArray[np.int64]) -> NDArray[np.float64]:
    """Lagrange's matrix from the values at x[clean] to those at zero and at all of x."""
    power, log = power_and_log()
    base, targets = x[clean], np.concatenate(([0], x))
    difference = (targets[:, None] - base[None, :]) % PRIME
    among = (base[:, None] - base[None, :]) % PRIME
    np.fill_diagonal(among, 1)
    logs = log[difference]
    exponents = (logs.sum(axis=1, keepdims=True) - logs - log[among].sum(axis=1)) % MAX_POINT
    matrix: NDArray[np.float64] = power[exponents].astype(np.float64)
    matrix[1 + clean] = np.eye(len(clean))  # a point that is its own base
    return matrix


def _extended(matrix: NDArray[np.float64], values: NDArray[np.int64]) -> NDArray[np.int64]:
    # Exact for the same reason as in `shamir`: sums of at most 2^16 products of at most 2^32.
    return (matrix @ values.astype(np.float64)).astype(np.int64) % PRIME


def _locator(x: NDArray[np.int64], y: NDArray[np.int64], threshold: int) -> Polynomial:
    """A polynomial that is zero at every bad point, if not too many are bad."""
    a, b = _vanishing(x), _interpolated(x, y)
    before, cofactor = np.zeros(1, np.int64), np.ones(1, np.int64)
    while 2 * (b.size - 1) >= len(x) + threshold:
        quotient, rest = _divided(a, b)
        product = np.convolve(quotient, cofactor) % PRIME
        product[: before.size] -= before
        a, b = b, rest
        before, cofactor = cofactor, -product % PRIME
    return cofactor


def _vanishing(x: NDArray[np.int64]) -> Polynomial:
    result = np.ones(1, np.int64)
    for root in x:
        result = _times_linear(result, root)
    return result


def _interpolated(x: NDArray[np.int64], y: NDArray[np.int64]) -> Polynomial:
    """Through all points, by Newton's divided differences."""
    newton = y.copy()
    for k in range(1, len(x)):
        newton[k:] = (newton[k:] - newton[k - 1 : -1]) % PRIME * inverse((x[k:] - x[:-k]) % PRIME) % PRIME
    result = newton[-1:].copy()
    for coefficient, root in zip(newton[-2::-1], x[-2::-1], strict=True):
        result = _times_linear(result, root)
        result[0] = (result[0] + coefficient) % PRIME
    return _trimmed(result)


def _times_linear(polynomial: Polynomial, root: np.int64) -> Polynomial:
    result = np.zeros(polynomial.size + 1, np.int64)
    result[1:] = polynomial
    result[:-1] -= root * polynomial
    return result % PRIME


def _divided(a: Polynomial, b: Polynomial) -> tuple[Polynomial, Polynomial]:
    """Quotient and remainder; b has a leading coefficient other than zero and no larger degree."""
    rest, leading = a.copy(), inverse(b[-1:])[0]
    quotient = np.zeros(a.size - b.size + 1, np.int64)
    for shift in range(quotient.size - 1, -1, -1):
        quotient[shift] = rest[shift + b.size - 1] * leading % PRIME
        window = slice(shift, shift + b.size)
        rest[window] = (rest[window] - quotient[shift] * b) % PRIME
    return quotient, _trimmed(rest)


def _trimmed(polynomial: Polynomial) -> Polynomial:
    """Without leading zeros; the zero polynomial is empty."""
    used = np.flatnonzero(polynomial)
    return polynomial[: used[-1] + 1] if used.size else polynomial[:0]


def _evaluated(polynomial: Polynomial, x: NDArray[np.int64]) -> NDArray[np.int64]:
    values = np.zeros(len(x), np.int64)
    for coefficient in polynomial[::-1]:
        values = (values * x + coefficient) % PRIME
    return values
