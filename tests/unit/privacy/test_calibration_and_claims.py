import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedmeta_privacy import gdp
from fedmeta_privacy.calibration import SAMPLER_VARIATION, Release, budget_shift, noise_scale
from fedmeta_privacy.errors import PlanError
from fedmeta_privacy.noise import LARGEST_SCALE, DiscreteGaussian


@given(
    st.floats(0.2, 10),
    st.sampled_from([1e-3, 1e-5, 1e-7]),
    st.integers(1, 200),
    st.integers(2, 20),
    st.data(),
)
@settings(max_examples=60)
def test_noise_for_a_target_never_exceeds_it(epsilon, delta, rounds, honest, data):
    floor = data.draw(st.integers(1, honest))
    release = Release(2000.0, dimension=31, parties=honest)
    limit = budget_shift(epsilon, delta, release=release, rounds=rounds)
    scale = noise_scale(limit, release=release, rounds=rounds, planned_honest=honest, floor_honest=floor)
    spent = (rounds - 1) * release.shift(scale, honest) + release.shift(scale, floor)
    assert spent <= limit
    assert gdp.epsilon_upper(spent**0.5, delta, total_variation=release.variation(rounds)) <= epsilon
    if scale > 3.3:  # and it is the smallest of its grid
        less = scale - 1 / 16
        assert (rounds - 1) * release.shift(less, honest) + release.shift(less, floor) > limit * (1 - 1e-12)


def test_impossible_targets():
    release = Release(1e6, dimension=31, parties=10)
    with pytest.raises(PlanError, match="beyond"):
        noise_scale(1e-6, release=release, rounds=100, planned_honest=10, floor_honest=6)
    for planned, floor in ((10, 0), (5, 6)):
        with pytest.raises(PlanError, match="noise floor"):
            noise_scale(1.0, release=release, rounds=1, planned_honest=planned, floor_honest=floor)


def test_stated_sampler_variation_covers_the_largest_table():
    for scale in (3.2, 5000.0, 2.0**14 + 1, LARGEST_SCALE):
        assert DiscreteGaussian(scale).total_variation < SAMPLER_VARIATION / 16
