# SPDX-License-Identifier: Apache-2.0
"""Noise in removable parts: the telescoping, in exact arithmetic, against whoever is corrupt and whoever drops out."""

import itertools
import math
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedmeta_privacy.budget import GdpFilter
from fedmeta_privacy.calibration import SAMPLER_VARIATION, Release, budget_shift
from fedmeta_privacy.errors import SurplusRefused
from fedmeta_privacy.events import SMALLEST_SCALE
from fedmeta_privacy.noise import LARGEST_SCALE
from fedmeta_privacy.surplus import GRID, SurplusNoise, samplers, surplus_noise

RELEASE = Release(1000.0, dimension=31, parties=10**4)


@st.composite
def noises(draw):
    n = draw(st.integers(1, 60))
    c = draw(st.integers(0, n - 1))
    d = draw(st.integers(0, n - c - 1))
    least = SMALLEST_SCALE * (n + 1)  # enough for the smallest part
    return SurplusNoise(n, c, d, draw(st.integers(math.ceil(16 * least), 2**20)) / 16)


def squares(noise):
    """The variances that are really drawn."""
    return [Fraction(scale) ** 2 for scale in noise.scales]


@given(noises())
@settings(max_examples=300, deadline=None)
def test_what_stays_telescopes_and_rounding_only_adds(noise):
    drawn, whole = squares(noise), Fraction(noise.honest_scale) ** 2
    m = noise.clients - noise.corrupt
    for d in range(noise.dropped + 1):
        kept = sum(drawn[: d + 1])
        assert (
            noise.kept(d)
            == whole / (m - d)
            == whole / m + sum(whole / ((m - k + 1) * (m - k)) for k in range(1, d + 1))
        )
        assert noise.kept(d) <= kept <= noise.kept(d) * Fraction(1 + 2.0**-15)


@given(noises())
@settings(deadline=None)
def test_scales_are_the_smallest_representable_ones(noise):
    for number, scale in enumerate(noise.scales):
        exact = noise._square(number)
        assert scale * GRID == int(scale * GRID) and SMALLEST_SCALE <= scale <= LARGEST_SCALE
        assert (Fraction(scale) - Fraction(1, GRID)) ** 2 < exact <= Fraction(scale) ** 2


def test_whoever_is_corrupt_and_whoever_drops_out_the_honest_noise_is_enough():
    """Every choice of c corrupt and of the dropped, among seven."""
    n = 7
    for c, most in ((0, 3), (1, 3), (2, 2), (3, 2)):
        noise = SurplusNoise(n, c, most, 100.0)
        drawn = squares(noise)
        for d in range(most + 1):
            for corrupt, gone in itertools.product(
                itertools.combinations(range(n), c), itertools.combinations(range(n), d)
            ):
                honest = [i for i in range(n) if i not in corrupt and i not in gone]
                found = len(honest) * sum(drawn[: d + 1])
                assert found >= 100**2
                if not set(corrupt) & set(gone):
                    assert found <= 100**2 * Fraction(1 + 2.0**-15)


@pytest.mark.parametrize(("d", "short"), [(0, 0.9), (30, 6 / 7)])
def test_parts_that_forget_the_corrupt_leave_too_little(d, short):
    """Those of the paper, c = 0, lose a tenth at c = 10 of 100, and more with dropouts."""
    forgetful = SurplusNoise(100, 0, 30, 1000.0)
    assert float((100 - d - 10) * forgetful.kept(d)) == pytest.approx(short * 1e6, rel=1e-12)
    right = SurplusNoise(100, 10, 30, 1000.0)
    assert (100 - d - 10) * right.kept(d) == 10**6


def test_a_lie_about_dropouts_is_worth_what_the_docstring_says():
    noise = SurplusNoise(20, 2, 6, 2000.0)
    for real, believed in itertools.product(range(7), repeat=2):
        left = noise.variance(honest=18 - real, dropped=believed)
        assert left == pytest.approx(2000**2 * (18 - real) / (18 - believed), rel=1e-12)
        assert (left < 2000**2 * (1 - 1e-9)) == (believed < real)


@given(noises(), st.data())
@settings(deadline=None)
def test_the_event_states_what_is_drawn_and_never_more(noise, data):
    d = data.draw(st.integers(0, noise.dropped))
    honest = data.draw(st.integers(1, noise.clients - d))
    event = noise.event(RELEASE, honest=honest, dropped=d)
    assert event.parties == honest * (d + 1)
    assert event.noise_variance <= honest * sum(squares(noise)[: d + 1])
    assert SMALLEST_SCALE <= event.smallest_scale <= min(noise.scales[: d + 1])
    assert event.sampler_variation == SAMPLER_VARIATION
    assert event.mu_squared >= RELEASE.l2_sensitivity**2 / (float(event.noise_variance) - 9)


@given(noises())
@settings(deadline=None)
def test_floor_plan_and_outcome_are_one_price(noise):
    m = noise.clients - noise.corrupt
    prices = {noise.shift(RELEASE, honest=m - d, dropped=d) for d in range(noise.dropped + 1)}
    assert prices == {noise.floor_shift(RELEASE)}


def test_more_honest_survivors_than_promised_cost_less():
    noise = SurplusNoise(10, 2, 3, 500.0)
    costs = [noise.shift(RELEASE, honest=honest, dropped=1) for honest in range(1, 10)]
    assert costs == sorted(costs, reverse=True) and len(set(costs)) == 9


@given(
    st.floats(0.1, 20),
    st.integers(1, 200),
    st.integers(2, 40).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n // 3), st.integers(0, n // 3))),
)
@settings(max_examples=60, deadline=None)
def test_the_planned_noise_is_the_smallest_that_fits(epsilon, rounds, counts):
    n, c, d = counts
    release = Release(3000.0, dimension=31, parties=n * (d + 1))
    limit = budget_shift(epsilon, 1e-4, release=release, rounds=rounds)
    noise = surplus_noise(limit, release=release, rounds=rounds, clients=n, corrupt=c, dropped=d)
    spent = GdpFilter(limit)
    for number in range(1, rounds + 1):
        spent.charge(round=number, shift=noise.floor_shift(release))
    assert spent.spent <= limit
    less = release.l2_sensitivity**2 / ((noise.honest_scale - 1 / 16) ** 2 - 9)
    assert rounds * less > limit * (1 - 1e-12)


REFUSED = {
    "nobody honest": (5, 2, 3, 1000.0),
    "negative": (5, -1, 1, 1000.0),
    "a flag": (5, True, 1, 1000.0),
    "no number": (5, 1, 1, math.nan),
    "infinite": (5, 1, 1, math.inf),
    "not in sixteenths": (5, 1, 1, 100.01),
    "no noise": (5, 1, 1, 0.0),
    "base too small": (1, 0, 0, 3.125),
    "first part too small": (100, 0, 30, 3.1875 * 99),
    "beyond the sampler": (4, 0, 1, 2.0**26),
}


@pytest.mark.parametrize("arguments", REFUSED.values(), ids=REFUSED)
def test_refused_with_a_number_and_a_remedy(arguments):
    with pytest.raises(SurplusRefused, match=r"SFM-320: .* Remedy: "):
        SurplusNoise(*arguments)


def test_the_smallest_part_decides():
    """The first part is the smallest: s*/sqrt(m (m - 1))."""
    most = SMALLEST_SCALE * math.sqrt(100 * 99)
    SurplusNoise(100, 0, 30, math.ceil(16 * most) / 16)
    with pytest.raises(SurplusRefused, match="part 1 of 30"):
        SurplusNoise(100, 0, 30, math.floor(16 * most) / 16)
    SurplusNoise(100, 0, 0, math.floor(16 * most) / 16)


@pytest.mark.parametrize("d", [-1, 4])
def test_more_dropouts_than_parts(d):
    with pytest.raises(SurplusRefused, match="dropped, the parts are made for 3"):
        SurplusNoise(10, 1, 3, 1000.0).kept(d)


def test_a_budget_that_no_sampler_serves():
    with pytest.raises(SurplusRefused, match="beyond"):
        surplus_noise(1e-14, release=RELEASE, rounds=1, clients=4, corrupt=0, dropped=1)
    with pytest.raises(SurplusRefused, match="part 0 of 3"):
        surplus_noise(1e6, release=RELEASE, rounds=1, clients=10, corrupt=0, dropped=3)


def test_parties_of_one_process_share_tables():
    noise = SurplusNoise(10, 1, 3, 1000.0)
    assert samplers(noise.scales) is samplers(SurplusNoise(10, 1, 3, 1000.0).scales)
    assert noise.reach == sum(sampler.reach for sampler in samplers(noise.scales))
