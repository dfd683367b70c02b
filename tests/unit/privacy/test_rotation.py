# SPDX-License-Identifier: Apache-2.0
"""The rotation against scipy's matrix and exact rationals; norm, inverse, and the error that enters sensitivity."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.linalg import hadamard

from fedmeta_privacy.errors import PlanError
from fedmeta_privacy.rotation import HadamardRotation, _hadamard

SEED = bytes(range(32))
vectors = arrays(np.float64, 13, elements=st.floats(-1e9, 1e9))


@pytest.mark.parametrize("size", [1, 2, 4, 8, 64])
def test_the_transform_is_scipys_matrix(size):
    vector = np.random.default_rng(size).normal(size=size)
    assert np.allclose(_hadamard(vector.copy()), hadamard(size) @ vector / math.sqrt(size), atol=1e-13)


@given(vectors)
def test_the_inverse_undoes_the_rotation_up_to_the_stated_error(vector):
    rotation = HadamardRotation(13, SEED)
    back = rotation.invert(rotation.rotate(vector))
    norm = float(np.linalg.norm(vector))
    assert np.linalg.norm(back - vector) <= 2.01 * rotation.relative_error * norm + 1e-300


def exact_squared_error(rotation, vector):
    """|computed * sqrt(p) - exact|^2 / p in rationals, for p a square: no rounding anywhere."""
    p = rotation.padded
    signs = rotation._signs.astype(int).tolist()
    values = [Fraction(float(x)) * s for x, s in zip(vector, signs, strict=True)] + [Fraction(0)] * (p - len(vector))
    matrix = hadamard(p).tolist()
    exact = [sum(m * v for m, v in zip(row, values, strict=True)) / math.isqrt(p) for row in matrix]
    computed = [Fraction(float(x)) for x in rotation.rotate(vector)]
    return sum((a - b) ** 2 for a, b in zip(exact, computed, strict=True)), sum(v**2 for v in values)


@given(vectors)
def test_the_float_error_is_within_the_bound_in_exact_arithmetic(vector):
    rotation = HadamardRotation(13, SEED)  # p = 16, sqrt(p) = 4
    error, square = exact_squared_error(rotation, vector)
    subnormal = Fraction(1, 2**2000)  # `l2_sensitivity` pays for it
    assert error <= Fraction(rotation.relative_error) ** 2 * square + subnormal


def test_the_bound_is_not_idle():
    rotation = HadamardRotation(256, SEED)
    vector = np.random.default_rng(0).normal(size=256)
    error, square = exact_squared_error(rotation, vector)
    assert error > (Fraction(rotation.relative_error) / 60) ** 2 * square


@given(vectors, vectors)
def test_two_neighbours_stay_within_the_stated_sensitivity(x, y):
    rotation = HadamardRotation(13, SEED)
    largest = max(float(np.linalg.norm(x)), float(np.linalg.norm(y)), 1e-100)
    before = max(float(np.linalg.norm(x - y)), 1e-200) * (1 + 1e-14)
    if before <= 2 * largest:
        after = np.linalg.norm(rotation.rotate(x) - rotation.rotate(y))
        assert after <= rotation.l2_sensitivity(before, largest_norm=largest) * (1 + 1e-14)


def test_a_spike_is_spread_evenly():
    spike = np.zeros(1000)
    spike[7] = 1.0
    rotated = HadamardRotation(1000, SEED).rotate(spike)
    assert rotated.shape == (1024,) and np.allclose(np.abs(rotated), 1 / 32)


def test_seeds_differ_and_the_signs_are_fixed_for_ever():
    first, second = HadamardRotation(64, SEED), HadamardRotation(64, bytes(32))
    assert (first._signs != second._signs).any()
    assert "".join("-+"[s > 0] for s in HadamardRotation(16, bytes(32))._signs.tolist()) == SIGNS_OF_ZERO_SEED


SIGNS_OF_ZERO_SEED = "+--++--+----+-+-"


@pytest.mark.parametrize(("dimension", "seed"), [(0, SEED), (2**28 + 1, SEED), (4, b"short")])
def test_refused_settings(dimension, seed):
    with pytest.raises(PlanError, match="SFM-301"):
        HadamardRotation(dimension, seed)


def test_refused_vectors():
    rotation = HadamardRotation(5, SEED)
    for bad in (np.zeros(4), np.zeros(5, np.float32)):
        with pytest.raises(PlanError):
            rotation.rotate(bad)
    with pytest.raises(PlanError):
        rotation.invert(np.zeros(5))
    with pytest.raises(PlanError):
        rotation.l2_sensitivity(3.0, largest_norm=1.0)
