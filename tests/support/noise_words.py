# SPDX-License-Identifier: Apache-2.0
"""Words for samplers under test: from a seed, from a list, and counted."""

import numpy as np


def words(seed):
    generator = np.random.default_rng(seed)
    return lambda n: generator.integers(0, 2**64, n, dtype=np.uint64, endpoint=False)


class Queue:
    """Hands out the given words one after the other, and counts what was taken."""

    def __init__(self, stream):
        self.stream, self.taken = [int(w) for w in stream], 0

    def __call__(self, n):
        out = self.stream[self.taken : self.taken + n]
        assert len(out) == n, "more words were taken than prepared"
        self.taken += n
        return np.array(out, dtype=np.uint64)
