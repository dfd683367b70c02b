"""The packed form against its definition: one large integer, b bits a value, lowest first."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedmeta_crypto import ring
from fedmeta_crypto.errors import BadMessage, OutOfRing
from fedmeta_crypto.ring import checked_copy, from_wire, ring_mask, to_wire, wire_bytes, word


def by_definition(values, bits):
    whole = sum(int(value) << (bits * place) for place, value in enumerate(values))
    return whole.to_bytes(wire_bytes(len(values), bits), "little")


@given(st.integers(8, 32), st.lists(st.integers(0, 2**32 - 1), max_size=40))
def test_packing_is_one_large_integer(bits, values):
    vector = np.array(values, np.uint32) & ring_mask(bits)
    data = bytes(to_wire(vector, bits=bits))
    assert data == by_definition(vector, bits) == bytes(to_wire(vector.astype(word(bits)), bits=bits))
    again = from_wire(data, bits=bits, length=len(values), sender=1)
    assert np.array_equal(again, vector) and again.dtype == word(bits)


@pytest.mark.parametrize("bits", range(8, 33))
@pytest.mark.parametrize("length", [64, 999])
def test_block_by_block(bits, length, monkeypatch):
    monkeypatch.setattr(ring, "_BLOCK", 64)
    vector = np.random.default_rng(bits).integers(0, 2**bits, length, np.uint64).astype(np.uint32)
    data = bytes(to_wire(vector, bits=bits))
    assert data == by_definition(vector, bits)
    # At an odd address too, as in a frame.
    assert np.array_equal(from_wire(memoryview(b"\0" + data)[1:], bits=bits, length=length, sender=1), vector)


@pytest.mark.parametrize("bits", range(8, 33))
def test_every_stray_bit_and_every_other_size_is_refused(bits):
    data = bytes(to_wire(np.full(5, ring_mask(bits), np.uint32), bits=bits))
    for wrong in (data[:-1], data + b"\0", b""):
        with pytest.raises(BadMessage):
            from_wire(wrong, bits=bits, length=5, sender=1)
    used = 5 * bits % 8
    for bit in range(used, 8) if used else ():
        with pytest.raises(BadMessage, match="beyond the last value"):
            from_wire(data[:-1] + bytes([data[-1] | 1 << bit]), bits=bits, length=5, sender=1)


def test_sixteen_bits_halve_the_upload():
    assert wire_bytes(10**6, 16) * 2 == wire_bytes(10**6, 32) == 4 * 10**6


@pytest.mark.parametrize("bits", range(8, 33))
def test_vectors_are_copied_into_native_words(bits):
    own = np.array([0, 1, ring_mask(bits)], np.uint32)
    for given_ in (own, own.astype(word(bits)), np.repeat(own, 2)[::2]):
        copy = checked_copy(given_, bits=bits, length=3)
        assert copy.dtype == word(bits) and copy.flags.c_contiguous and copy.tolist() == own.tolist()
        assert not np.shares_memory(copy, given_)


@pytest.mark.parametrize("bits", range(17, 33))
def test_sixteen_bit_words_are_not_taken_for_larger_rings(bits):
    with pytest.raises(OutOfRing):
        checked_copy(np.zeros(3, np.uint16), bits=bits, length=3)


@pytest.mark.parametrize("bits", range(8, 32))
@pytest.mark.parametrize("dtype", [np.uint16, np.uint32])
def test_values_beyond_the_ring_are_refused(bits, dtype):
    if bits < 8 * np.dtype(dtype).itemsize:
        with pytest.raises(OutOfRing):
            checked_copy(np.array([1, 2**bits, 0], dtype), bits=bits, length=3)
