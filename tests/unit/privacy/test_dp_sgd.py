"""The Opacus adapter: clipping is Opacus', noise is ours, and nothing is left behind."""

import logging
import subprocess
import sys

import numpy as np
import pytest

from fedmeta_privacy.dp_sgd import ClippedNoisySum
from fedmeta_privacy.encoding import IntegerEncoding
from fedmeta_privacy.noise import DiscreteGaussian

ENCODING = IntegerEncoding(2.0**-16, 5, 32)


def words(seed=1):
    generator = np.random.default_rng(seed)
    return lambda n: generator.integers(0, 2**64, n, dtype=np.uint64, endpoint=False)


def release(clip=1.0, noise=None):
    return ClippedNoisySum(clip_norm=clip, encoding=ENCODING, noise=noise)


def test_clipping_matches_its_definition():
    rows = np.random.default_rng(0).normal(size=(20, 5)) * 3
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    expected = (rows * np.minimum(1, 0.7 / (norms + 1e-6))).sum(axis=0)
    assert np.abs(ENCODING.decode(release(0.7)(rows, None)) - expected).max() <= ENCODING.step


def test_each_record_moves_the_sum_by_at_most_the_clip():
    rows = np.random.default_rng(0).normal(size=(6, 5)) * 100
    whole = ENCODING.decode(release(0.5)(rows, None))
    for index in range(len(rows)):
        less = rows.copy()
        less[index] = 0
        moved = np.linalg.norm(whole - ENCODING.decode(release(0.5)(less, None)))
        assert moved <= 0.5 + ENCODING.step * 5**0.5


def test_empty_site_still_sends_noise():
    noise = DiscreteGaussian(50.0)
    drawn = release(noise=noise)(np.empty((0, 5)), words())
    assert (drawn == noise.sample(5, words())).all() and drawn.any()


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_broken_record_counts_as_zero_and_leaves_the_others(bad):
    rows = np.full((2, 5), 0.1)
    rows[0, 3] = bad
    assert (release()(rows, None) == release()(rows[1:], None)).all()


def test_noise_is_the_samplers_and_used_once():
    adapter = release(noise=DiscreteGaussian(50.0))
    rows = np.full((3, 5), 0.01)
    quiet = release()(rows, None)
    first = adapter(rows, words(7))
    assert (first - quiet == DiscreteGaussian(50.0).sample(5, words(7))).all()
    with pytest.raises(RuntimeError, match="keystream"):
        adapter(rows, None)


def test_repeated_use_starts_from_zero():
    adapter = release()
    rows = np.full((3, 5), 0.01)
    assert (adapter(rows, None) == adapter(rows, None)).all()


def test_importing_opacus_leaves_the_root_logger_alone():
    code = "import logging, fedmeta_privacy.dp_sgd; assert not logging.getLogger().handlers"
    subprocess.run([sys.executable, "-c", code], check=True)
    assert logging.getLogger("opacus") is not None
