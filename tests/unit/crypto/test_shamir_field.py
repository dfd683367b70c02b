# SPDX-License-Identifier: Apache-2.0
import os

import numpy as np
import pytest

from fedmeta_crypto import shamir
from fedmeta_crypto.errors import BadArgument


def test_against_python_integers():
    """Horner's rule with exact integers gives the same shares."""
    rows = shamir.split(b"\xff" * 32, points=40, threshold=30, entropy=lambda n: b"\xfe\xff\xfd\xff" * (n // 4))
    coefficient = 0xFFFDFFFE % shamir.PRIME
    for x in (1, 2, 39, 40):
        value = 0
        for c in reversed([0xFFFF] + [coefficient] * 29):
            value = (value * x + c) % shamir.PRIME
        assert set(rows[x - 1].tolist()) == {value}


def test_coefficients_are_drawn_again_above_the_last_multiple():
    draws = iter([b"\xff\xff\xff\xff" + b"\x05\x00\x00\x00", b"\xff\xff\xff\xff", b"\x07\x00\x00\x00"])
    assert shamir._uniform(2, lambda n: next(draws)).tolist() == [7, 5]


def test_fewer_than_threshold_say_nothing():
    """With t - 1 shares every secret word is equally possible: the two-share view of t = 2 is uniform."""
    seen = np.concatenate(
        [shamir.split(b"\x2a\x00" * 500, points=1 + 1, threshold=2, entropy=os.urandom)[0] for _ in range(40)]
    )
    counts = np.bincount(seen >> 12, minlength=17)[:16]
    assert (np.abs(counts - seen.size / 16) < 6 * np.sqrt(seen.size / 16)).all()  # false alarm below 1e-7


def test_a_wrong_share_gives_another_secret_or_none():
    rows = shamir.split(bytes(32), points=3, threshold=2, entropy=os.urandom)
    rows[0, 0] = (rows[0, 0] + 1) % shamir.PRIME
    assert shamir.reconstruct((1, 2), rows[:2]) != bytes(32)
    assert shamir.reconstruct((9,), np.array([[65536]], np.uint32)) is None


@pytest.mark.parametrize(("size", "points", "threshold"), [(3, 5, 2), (2, 2, 3), (2, 5, 0), (2, 65537, 2)])
def test_impossible_splits(size, points, threshold):
    with pytest.raises(BadArgument):
        shamir.split(bytes(size), points=points, threshold=threshold, entropy=os.urandom)


@pytest.mark.parametrize("points", [(), (1, 1), (0, 1), (1, 65537), (1, 2, 3)])
def test_impossible_points(points):
    with pytest.raises(BadArgument):
        shamir.reconstruct(points, np.zeros((2, 16), np.uint32))


def test_packed_form_is_strict():
    good = shamir.pack(np.array([[65536] + [1] * 15], np.uint32)).tobytes()
    assert len(good) == 34 and shamir.is_packed(good, 16)
    assert not shamir.is_packed(b"\x01" + good[1:], 16)  # 65537
    assert not shamir.is_packed(good + b"\x00", 16)
    assert shamir.packed_bytes(3) == 7 and not shamir.is_packed(bytes(6) + b"\x08", 3)  # a bit of padding
