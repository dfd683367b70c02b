# SPDX-License-Identifier: Apache-2.0
"""Discrete Gaussians over the integers of standard deviation parameter 6.5, for secrets and errors.

P(x) is proportional to exp(-x^2 / (2 sigma^2)) on |x| <= 87. Inversion of the cumulative distribution, whose thresholds
are integers of 144 bits: 16 random bits choose a bucket; all but about 0.3 % of the buckets lie between two thresholds
and decide; in the others 128 further bits do. Statistical distance to the untruncated law, for each sample: the tail
beyond 87 (below 2^-129) and 174 thresholds rounded to 2^-144 (below 2^-136).

Time depends on the samples through the rare second step and the table look-ups: this is no constant-time code, and
whoever can time a client's process finely may learn something of its secret.
"""

from bisect import bisect_right
from decimal import Decimal, localcontext
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fedmeta_crypto.homomorphic.rlwe.presets import REACH, SIGMA
from fedmeta_crypto.prg import Keystream

_FIRST_BITS = 16
_MORE_BITS = 128
_UNDECIDED = -128


class _Table(NamedTuple):
    buckets: NDArray[np.int8]  # the sample that 16 bits decide, or _UNDECIDED
    thresholds: tuple[int, ...]  # 2^144 times the cumulative distribution at -87, -86, ...


@cache
def weights() -> tuple[Decimal, ...]:
    """P(x) for x = -87 .. 87, to 60 digits."""
    with localcontext() as context:
        context.prec = 60
        variance = 2 * Decimal(str(SIGMA)) ** 2
        raw = [(-Decimal(x * x) / variance).exp() for x in range(-REACH, REACH + 1)]
        total = sum(raw)
        return tuple(weight / total for weight in raw)


@cache
def _table() -> _Table:
    scale, below, thresholds = 1 << (_FIRST_BITS + _MORE_BITS), Decimal(0), []
    with localcontext() as context:
        context.prec = 60
        for weight in weights()[:-1]:
            below += weight
            thresholds.append(int(below * scale))
    buckets = np.empty(1 << _FIRST_BITS, np.int8)
    for bucket in range(buckets.size):
        first = bisect_right(thresholds, bucket << _MORE_BITS)
        last = bisect_right(thresholds, ((bucket + 1) << _MORE_BITS) - 1)
        buckets[bucket] = first - REACH if first == last else _UNDECIDED
    buckets.flags.writeable = False
    return _Table(buckets, tuple(thresholds))


def sample(stream: Keystream, n: int) -> NDArray[np.int8]:
    """Independent samples from a secret keystream, shape (n,), int8; the same stream gives the same samples.

    Source:     inversion (Devroye 1986, section II.2); the law and its width as in the module.

    Example:
        >>> drawn = sample(Keystream(bytes(16)), 100_000)
        >>> int(np.abs(drawn).max()) <= 87, round(float(drawn.std()), 1)
        (True, 6.5)
    """
    table = _table()
    first = np.frombuffer(stream.bytes(2 * n), "<u2")
    drawn: NDArray[np.int8] = table.buckets[first]
    for at in np.flatnonzero(drawn == _UNDECIDED).tolist():
        more = int.from_bytes(stream.bytes(_MORE_BITS // 8), "little")
        drawn[at] = bisect_right(table.thresholds, (int(first[at]) << _MORE_BITS) | more) - REACH
    return drawn
