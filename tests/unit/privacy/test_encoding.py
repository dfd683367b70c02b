import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from fedmeta_privacy.encoding import IntegerEncoding, choose_step
from fedmeta_privacy.errors import EncodingOverflow, PlanError

vectors = arrays(np.float64, 8, elements=st.floats(-100, 100))


@given(vectors, vectors, st.integers(-20, 4))
def test_two_rounded_neighbours_are_within_the_stated_sensitivity(x, y, exponent):
    encoding = IntegerEncoding(2.0**exponent, 8, 32)
    apart = np.linalg.norm(encoding.encode(x) - encoding.encode(y))
    assert apart <= encoding.l2_sensitivity(float(np.linalg.norm(x - y))) * (1 + 1e-12)


@given(vectors, st.integers(-16, 4))
def test_decoding_undoes_encoding_up_to_half_a_step(x, exponent):
    encoding = IntegerEncoding(2.0**exponent, 8, 32)
    assert np.abs(encoding.decode(encoding.encode(x)) - x).max() <= encoding.step / 2


@given(st.integers(8, 32), st.data())
def test_ring_round_trip(bits, data):
    encoding = IntegerEncoding(1.0, 4, bits)
    half = 1 << (bits - 1)
    values = data.draw(arrays(np.int64, 4, elements=st.integers(-half, half - 1)))
    ring = encoding.to_ring(values)
    assert ring.dtype == np.uint32 and int(ring.max()) < 1 << bits
    assert (encoding.from_ring(ring) == values).all()


@given(arrays(np.int64, (5, 4), elements=st.integers(-1000, 1000)))
def test_sums_commute_with_the_ring(values):
    encoding = IntegerEncoding(1.0, 4, 16)
    total = np.zeros(4, np.uint32)
    for row in values:
        total = (total + encoding.to_ring(row)) & np.uint32(0xFFFF)
    assert (encoding.from_ring(total) == values.sum(axis=0)).all()


@given(st.floats(1e-4, 1e3), st.integers(1, 10**6))
def test_chosen_step_costs_at_most_a_thousandth(sensitivity, dimension):
    step = choose_step(sensitivity, dimension)
    assert math.frexp(step)[0] == 0.5
    assert IntegerEncoding(step, dimension, 32).l2_sensitivity(sensitivity) * step <= sensitivity * (1.001 + 1e-12)


def test_room_is_checked_to_the_last_step():
    encoding = IntegerEncoding(1.0, 1, 8)  # holds -128 .. 127
    encoding.check_room(parties=1, largest_coordinate=100, noise_reach=26)
    with pytest.raises(EncodingOverflow, match="SFM-305"):
        encoding.check_room(parties=1, largest_coordinate=100, noise_reach=27)


@pytest.mark.parametrize("value", [np.nan, np.inf, 2.0**60])
def test_unencodable_values(value):
    with pytest.raises(EncodingOverflow):
        IntegerEncoding(1.0, 1, 32).encode(np.array([value]))


@pytest.mark.parametrize(
    ("step", "dimension", "bits"), [(0.3, 1, 32), (0.0, 1, 32), (1.0, 0, 32), (1.0, 1, 33), (1.0, 1, 7)]
)
def test_unsound_encodings(step, dimension, bits):
    with pytest.raises(PlanError):
        IntegerEncoding(step, dimension, bits)
