# SPDX-License-Identifier: Apache-2.0
"""Noise drawn twice from one key: the difference of two releases is free of noise, so a key is single-use."""

import numpy as np
import pytest

from fedmeta_crypto.prg import Keystream
from fedmeta_privacy.dp_sgd import ClippedNoisySum
from fedmeta_privacy.encoding import IntegerEncoding
from fedmeta_privacy.noise import DiscreteGaussian

ENCODING = IntegerEncoding(2.0**-10, 8, 32)
ROWS = np.random.default_rng(0).normal(size=(5, 8))
SCALE = 4000.0


def release(rows, stream):
    return ClippedNoisySum(clip_norm=1.0, encoding=ENCODING, noise=DiscreteGaussian(SCALE))(rows, stream)


def test_one_key_for_two_releases_gives_a_record_away():
    key = bytes(16)
    with_record, without = release(ROWS, Keystream(key).words), release(ROWS[1:], Keystream(key).words)
    exposed = ENCODING.decode(with_record - without)
    clipped = ROWS[0] / max(1.0, np.linalg.norm(ROWS[0]))
    assert np.abs(exposed - clipped).max() <= 2 * ENCODING.step  # the record, to the last step


def test_a_stream_that_goes_on_gives_nothing_away():
    stream = Keystream(bytes(16)).words
    difference = release(ROWS, stream) - release(ROWS[1:], stream)
    # Two independent noises: deviation sqrt(2) * 4000 steps, where the record is some hundreds.
    assert 0.3 * SCALE < np.sqrt(np.mean(difference.astype(float) ** 2)) < 4 * SCALE


def test_the_same_noise_on_every_coordinate_is_told_apart_from_ours():
    noise = DiscreteGaussian(64.0).sample(100_000, Keystream(bytes(16)).words).astype(float)
    neighbours = np.corrcoef(noise[:-1], noise[1:])[0, 1]
    assert abs(neighbours) < 5 / np.sqrt(noise.size)
    one_draw = np.full(noise.size, noise[0])
    assert one_draw.std() == 0 < noise.std()


def test_a_call_without_words_is_refused_and_does_not_fall_back():
    with pytest.raises(RuntimeError, match="keystream"):
        release(ROWS, None)
