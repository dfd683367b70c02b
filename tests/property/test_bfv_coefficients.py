# SPDX-License-Identifier: Apache-2.0
"""Coefficients as bytes: one encoding each, and a check that nothing passes but that encoding."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedmeta_crypto.errors import ProtocolError
from fedmeta_crypto.homomorphic.seal.coefficients import checked, pack, packed_bytes, unpack

PAIRS = st.lists(st.tuples(*[st.integers(0, 2**60 - 1)] * 2), min_size=1, max_size=9)


@given(PAIRS)
def test_there_and_back_as_big_integers_say(pairs):
    flat = np.array(pairs, np.uint64).reshape(-1)
    data = pack(flat)
    assert data == b"".join((a + (b << 60)).to_bytes(15, "little") for a, b in pairs)
    assert len(data) == packed_bytes(flat.size)
    assert np.array_equal(unpack(data), flat)


@given(st.binary(max_size=80), st.integers(1, 2), st.integers(2, 2**60))
def test_whatever_passes_is_canonical_and_in_range(data, pairs, modulus):
    try:
        values = checked(data, count=2 * pairs, modulus=modulus, sender=3, where="here")
    except ProtocolError as error:
        assert error.sender == 3
        ints = [int.from_bytes(data[i : i + 15], "little") for i in range(0, len(data), 15)]
        halves = [half for pair in ints for half in (pair % 2**60, pair >> 60)]
        assert len(data) != 15 * pairs or max(halves) >= modulus
    else:
        assert pack(values) == data
        assert values.size == 2 * pairs
        assert int(values.max()) < modulus


@pytest.mark.parametrize("count", [2, 8192])
def test_the_largest_modulus_takes_every_value(count):
    data = b"\xff" * packed_bytes(count)
    assert (checked(data, count=count, modulus=2**60, sender=1, where="") == 2**60 - 1).all()
