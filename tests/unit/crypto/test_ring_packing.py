"""The packed form against its definition: one large integer, b bits a value, lowest first."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedmeta_crypto.errors import BadMessage
from fedmeta_crypto.ring import from_wire, ring_mask, to_wire, wire_bytes


def by_definition(values, bits):
    whole = sum(int(value) << (bits * place) for place, value in enumerate(values))
    return whole.to_bytes(wire_bytes(len(values), bits), "little")


@given(st.integers(8, 32), st.lists(st.integers(0, 2**32 - 1), max_size=40))
def test_packing_is_one_large_integer(bits, values):
    vector = np.array(values, np.uint32) & ring_mask(bits)
    data = to_wire(vector, bits=bits)
    assert data == by_definition(vector, bits)
    assert np.array_equal(from_wire(data, bits=bits, length=len(values), sender=1), vector)


@pytest.mark.parametrize("bits", range(8, 33))
def test_every_stray_bit_and_every_other_size_is_refused(bits):
    data = to_wire(np.full(5, ring_mask(bits), np.uint32), bits=bits)
    for wrong in (data[:-1], data + b"\0", b""):
        with pytest.raises(BadMessage):
            from_wire(wrong, bits=bits, length=5, sender=1)
    used = 5 * bits % 8
    for bit in range(used, 8) if used else ():
        with pytest.raises(BadMessage, match="beyond the last value"):
            from_wire(data[:-1] + bytes([data[-1] | 1 << bit]), bits=bits, length=5, sender=1)


def test_sixteen_bits_halve_the_upload():
    assert wire_bytes(10**6, 16) * 2 == wire_bytes(10**6, 32) == 4 * 10**6
