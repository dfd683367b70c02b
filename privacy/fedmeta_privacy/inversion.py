# SPDX-License-Identifier: Apache-2.0
"""Inversion of a distribution function by 128-bit thresholds, with an exact index on the leading bits.

A law on 0, 1, ..., L is given by its L thresholds t_k = floor(2^128 P(X <= k)). A uniform 128-bit number w yields
the count of thresholds that are <= w (cumulative distribution table, Peikert 2010, section 4.1, CRYPTO 2010).
Two shortcuts, neither of which changes a single result:

* 64 bits decide unless the upper half of w equals the upper half of a threshold; only then are 64 more fetched.
* The G leading bits name a bucket of words. A bucket that holds no threshold has one answer, which is looked up;
  words of the other buckets (a per cent or so) are searched for. A threshold on either edge counts as in the bucket, so
  a tie is never looked up. (An index of this kind: Chen and Asau 1974, "guide table".)

Not protected: lookups are not constant time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
from numpy.typing import NDArray

Words = Callable[[int], NDArray[np.uint64]]

_SEARCH = np.int32(-1)


class ThresholdTable:
    """Thresholds of one law, ready to be inverted.

    Shapes: `high`, `low` (L,) uint64, the halves of the thresholds, ascending; L <= 2^31 - 1.

    Example:
        >>> fair = ThresholdTable.of([1 << 127])
        >>> fair.invert(np.array([2**63 - 1, 2**63 + 1], np.uint64), lambda n: np.zeros(n, np.uint64))
        array([0, 1], dtype=int32)
    """

    __slots__ = ("_guide", "_shift", "high", "low")

    def __init__(self, high: NDArray[np.uint64], low: NDArray[np.uint64]) -> None:
        self.high, self.low = high, low
        bits = min(18, max(12, high.size.bit_length() + 6))  # at most 2^18 entries, one megabyte
        self._shift = np.uint64(64 - bits)
        first = np.arange(1 << bits, dtype=np.uint64) << self._shift
        last = first | ((np.uint64(1) << self._shift) - np.uint64(1))
        below = np.searchsorted(high, first, side="left")
        settled = below == np.searchsorted(high, last, side="right")
        self._guide = np.where(settled, below, _SEARCH).astype(np.int32)

    @classmethod
    def of(cls, thresholds: Iterable[int]) -> ThresholdTable:
        """From whole numbers below 2^128, ascending."""
        packed = b"".join(threshold.to_bytes(16, "big") for threshold in thresholds)
        both = np.frombuffer(packed, dtype=">u8").reshape(-1, 2).astype(np.uint64)
        return cls(np.ascontiguousarray(both[:, 0]), np.ascontiguousarray(both[:, 1]))

    def invert(self, top: NDArray[np.uint64], words: Words) -> NDArray[np.int32]:
        """Count, for each word of `top`, the thresholds <= (word, further 64 bits). Shape (n,) to (n,).

        `words` is asked for one word per tie, in the order of `top`, and otherwise not at all.
        """
        counts: NDArray[np.int32] = self._guide[top >> self._shift]
        unsettled = np.flatnonzero(counts < 0)
        if unsettled.size:
            searched = top[unsettled]
            right = np.searchsorted(self.high, searched, side="right").astype(np.int32)
            # A tie is with the threshold before; at count 0 index -1 names the largest, which is a tie only if all are.
            tied = (right > 0) & (self.high[right - 1] == searched)
            for index in np.flatnonzero(tied):
                right[index] = self._refine(int(searched[index]), words)
            counts[unsettled] = right
        return counts

    def _refine(self, top: int, words: Words) -> int:
        """Settle a tie in the first 64 bits with the next 64."""
        left = int(np.searchsorted(self.high, np.uint64(top), side="left"))
        right = int(np.searchsorted(self.high, np.uint64(top), side="right"))
        bottom = int(words(1)[0])
        return left + sum(int(threshold) <= bottom for threshold in self.low[left:right])
