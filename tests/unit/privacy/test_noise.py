"""The sampler against its definition: exact thresholds, the tie path, tails, and the law of many draws."""

import math
from fractions import Fraction

import numpy as np
import pytest
from scipy import stats

from fedmeta_privacy.errors import PlanError
from fedmeta_privacy.noise import DiscreteGaussian, _exp_minus, _thresholds, split_scale


def words_from(*batches):
    """A `Words` function that hands out the given batches in turn."""
    iterator = iter(batches)
    return lambda n: np.resize(np.array(next(iterator), dtype=np.uint64), n)


def words(seed):
    generator = np.random.default_rng(seed)
    return lambda n: generator.integers(0, 2**64, n, dtype=np.uint64, endpoint=False)


@pytest.mark.parametrize("scale", [3.2, 4.0, 17.5, 100.0])
def test_thresholds_are_the_exact_distribution_function(scale):
    import mpmath

    high, low = _thresholds(scale)
    with mpmath.workprec(400):
        weights = [mpmath.exp(-(mpmath.mpf(k) ** 2) / (2 * mpmath.mpf(scale) ** 2)) for k in range(len(high) + 1)]
        total = 2 * sum(weights) - weights[0]
        cumulative = mpmath.mpf(0)
        for k in range(len(high)):
            cumulative += weights[k] * (1 if k == 0 else 2)
            exact = int(mpmath.floor(cumulative / total * 2**128))
            assert abs((int(high[k]) << 64 | int(low[k])) - exact) <= 1


def test_exponential_against_mpmath():
    import mpmath

    with mpmath.workprec(400):
        for x in (Fraction(1, 3), Fraction(1, 10**12), Fraction(999, 1000)):
            exact = mpmath.exp(-mpmath.mpf(x.numerator) / x.denominator) * mpmath.mpf(2) ** 256
            assert abs(_exp_minus(x) - int(exact)) <= 2


def test_extreme_words_hit_both_ends():
    noise = DiscreteGaussian(4.0)
    assert noise.sample(1, words_from([0], [0])).tolist() == [0]
    top = 2**64 - 1
    # All ones: beyond the last threshold, or a tie with it that the second word settles.
    drawn = noise.sample(1, words_from([top], [top], [top]))
    assert abs(int(drawn[0])) == noise.reach


def test_tie_in_the_first_word_is_settled_by_the_second():
    noise = DiscreteGaussian(4.0)
    high, low = _thresholds(4.0)
    k = 3
    below = noise.sample(1, words_from([high[k]], [int(low[k]) - 1], [0]))
    above = noise.sample(1, words_from([high[k]], [low[k]], [0]))
    assert abs(int(below[0])) == k and abs(int(above[0])) == k + 1


def test_table_ends_where_the_proof_says():
    for scale in (3.2, 64.0, 3000.0):
        noise = DiscreteGaussian(scale)
        assert noise.reach >= 13.3 * scale
        assert noise.total_variation < 2.0**-105


@pytest.mark.parametrize("scale", [4.0, 64.0, 1024.0, 2.0**14 + 0.3, 40_000.7])
def test_law_of_many_draws(scale):
    # Fixed seed; a correct sampler fails a chi-square at p < 1e-6 once in a million seeds.
    noise = DiscreteGaussian(scale)
    drawn = noise.sample(200_000, words(int(scale)))
    edges = np.unique(np.round(stats.norm.ppf(np.linspace(0, 1, 41)[1:-1]) * scale).astype(int))
    support = np.arange(-noise.reach, noise.reach + 1, dtype=np.int64)
    mass = np.exp(-(support**2) / (2 * scale**2))
    mass /= mass.sum()
    observed = np.bincount(np.searchsorted(edges, drawn), minlength=len(edges) + 1)
    expected = np.bincount(np.searchsorted(edges, support), weights=mass, minlength=len(edges) + 1) * drawn.size
    assert stats.chisquare(observed, expected).pvalue > 1e-6
    assert abs(np.mean(drawn > 0) - np.mean(drawn < 0)) < 0.01
    assert drawn.std() == pytest.approx(scale, rel=0.02)


@pytest.mark.parametrize("scale", [0.0, 3.1, -5.0, math.nan, math.inf, 2.0**25])
def test_scales_without_a_proof_are_refused(scale):
    with pytest.raises(PlanError, match="SFM-301"):
        DiscreteGaussian(scale)


def test_representation_shows_no_noise():
    assert repr(DiscreteGaussian(5.0)) == "DiscreteGaussian(scale=5.0)"


@pytest.mark.parametrize("scale", [2.0**14 + 0.1, 3e4, 2.0**17, 1234567.8, 2.0**24])
def test_a_wide_scale_is_split_into_no_less_noise_and_smooth_enough(scale):
    factor, narrow, wide = split_scale(scale)
    together = Fraction(narrow) ** 2 + (factor * Fraction(wide)) ** 2
    assert Fraction(scale) ** 2 <= together <= Fraction(scale) ** 2 * (1 + Fraction(1, 2**50))
    assert (narrow * factor * wide / scale) / factor > 3  # t/k of the proof
    assert max(narrow, wide) <= 2.0**14 and min(narrow, wide) >= 3.2
    noise = DiscreteGaussian(scale)
    assert noise.reach == math.ceil(13.3 * scale) and noise.total_variation < 2.0**-109


def convolution(factor, narrow, wide):
    """Exact law of X + factor * Y over a window, in floats, and that of the discrete Gaussian of the same variance."""

    def law(scale):
        k = np.arange(-int(12 * scale) - 1, int(12 * scale) + 2)
        mass = np.exp(-(k**2) / (2 * scale**2))
        return mass / mass.sum()

    spread = np.zeros((len(law(wide)) - 1) * factor + 1)
    spread[::factor] = law(wide)
    total = np.convolve(law(narrow), spread)
    k = np.arange(len(total)) - len(total) // 2
    mass = np.exp(-(k**2) / (2 * (narrow**2 + (factor * wide) ** 2)))
    return np.abs(total - mass / mass.sum()).sum() / 2


def test_the_convolution_is_the_discrete_gaussian_if_it_is_smooth():
    for factor in (2, 4, 8):
        assert convolution(factor, 3.25 * factor, 16.0) < 1e-14
    # A narrow part that does not smooth the wide one's lattice is visible, by about e = 2 exp(-2 pi^2 (t/k)^2).
    assert 1e-9 < convolution(4, 1.0 * 4, 16.0) < 1e-7
    assert convolution(4, 0.5 * 4, 16.0) > 1e-3


def test_extremes_of_a_wide_scale_stay_within_its_reach():
    noise = DiscreteGaussian(2.0**20)
    top = 2**64 - 1
    for signs in (0, top):
        drawn = noise.sample(1, words_from(*([word] for word in (top, top, signs, top, top, signs))))
        assert abs(int(drawn[0])) == noise.reach
