# SPDX-License-Identifier: Apache-2.0
"""Clipping rules: bounds in exact arithmetic, the adaptive norm's accounting and update, broken rows."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from fedmeta_privacy.claims import Unit
from fedmeta_privacy.clipping import (
    AdaptiveClip,
    FlatClip,
    PerLayerClip,
    clip,
    count_unusable,
    l2_sensitivity,
    require_one_row,
    row_slack,
)
from fedmeta_privacy.errors import PlanError, UnsupportedClaim

D = 7
RULES = [
    FlatClip(0.7),
    PerLayerClip((3, 1, 3), (0.5, 0.1, 2.0)),
    AdaptiveClip(clip_norm=0.7, count_weight=0.3),
]
ids = ["flat", "layers", "adaptive"]
anything = arrays(np.float64, (4, D), elements=st.floats(allow_nan=True, allow_infinity=True))
ordinary = arrays(np.float64, (4, D), elements=st.floats(-3, 3))


def square(row):
    return sum(Fraction(float(x)) ** 2 for x in row)


@pytest.mark.parametrize("rule", RULES, ids=ids)
@given(rows=anything | ordinary)
def test_no_row_exceeds_the_bound_it_carries(rule, rows):
    clipped = clip(rows, rule)
    assert clipped.row_bound <= rule.row_bound * (1 + 1e-14)
    assert np.isfinite(clipped.values).all()
    for row in clipped.values:
        assert square(row) <= Fraction(clipped.row_bound) ** 2


@given(anything | ordinary)
def test_each_layer_keeps_its_own_bound(rows):
    rule = RULES[1]
    values = clip(rows, rule).values
    for part, norm in zip(np.split(values, [3, 4], axis=1), rule.clip_norms, strict=True):
        assert all(square(row) <= Fraction(norm * row_slack(3)) ** 2 for row in part)


def test_short_rows_pass_as_they_are_and_long_ones_keep_their_direction():
    rows = np.array([[0.1] * D, [1e200, -1e200, *[0.0] * (D - 2)]])
    values = clip(rows, FlatClip(1.0)).values
    assert (values[0] == rows[0]).all()
    assert values[1, :2] == pytest.approx([math.sqrt(0.5), -math.sqrt(0.5)])


@pytest.mark.parametrize("rule", RULES, ids=ids)
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_broken_row_vanishes_whole_and_its_number_is_not_carried(rule, bad):
    rows = np.full((3, D), 0.05)
    rows[1, 2] = bad
    clipped = clip(rows, rule)
    assert (clipped.values[1] == 0).all() and (clipped.values[[0, 2]] != 0).all()
    assert "0.05" not in repr(clipped) and "1" not in repr(clipped).split("clipping")[0]
    assert count_unusable(rows) == 1


def test_division_by_a_small_public_norm_may_break_a_row():
    rule = AdaptiveClip(clip_norm=2.0**-20, count_weight=1.0)
    assert (clip(np.full((1, D), 1e305), rule).values == 0).all()


def test_the_count_is_one_coordinate():
    rows = np.vstack([np.full(D, 0.01), np.full(D, 10.0), np.full(D, np.nan)])
    assert clip(rows, RULES[2]).values[:, -1].tolist() == [0.15, -0.15, 0.0]


@pytest.mark.parametrize("norm", [1e-3, 1.0, 1e3])
def test_the_adaptive_bound_does_not_depend_on_the_norm(norm):
    rule = AdaptiveClip(clip_norm=norm, count_weight=0.3)
    assert l2_sensitivity(rule, slots=50, dimension=D) == l2_sensitivity(RULES[2], slots=50, dimension=D)
    rows = np.random.default_rng(1).normal(size=(50, D)) * norm
    largest = max(math.sqrt(square(row)) for row in clip(rows, rule).values)
    assert math.hypot(1, 0.15) * (1 - 1e-12) < largest <= math.hypot(1, 0.15) * (1 + 1e-12)  # attained


@pytest.mark.parametrize(("weight", "noise"), [(0.1, 5.0), (1.0, 3.0), (2.0, 0.7)])
def test_the_joint_sensitivity_is_theorem_one(weight, noise):
    # Andrew et al. 2021, Theorem 1: z_delta = (z^-2 - (2 sigma_b)^-2)^(-1/2), here from z and sigma_b to our noise.
    rule = AdaptiveClip(clip_norm=1.0, count_weight=weight)
    z = noise / rule.row_bound
    sigma_b = noise / weight
    assert (z**-2 - (2 * sigma_b) ** -2) ** -0.5 == pytest.approx(noise, rel=1e-12)


def test_the_norm_finds_the_quantile_and_never_asks_how_many_rows_there_are():
    rule = AdaptiveClip(clip_norm=20.0, count_weight=0.5, target_quantile=0.7)
    rows = np.random.default_rng(3).normal(size=(400, D))
    for _ in range(200):
        total = clip(rows, rule).values.sum(axis=0)
        _, count = rule.split(total)
        rule = rule.after(count, slots=400)
    assert (np.linalg.norm(rows, axis=1) <= rule.clip_norm).mean() == pytest.approx(0.7, abs=0.02)
    half_empty = rule.after(clip(rows[:200], rule).values.sum(axis=0)[-1], slots=400)
    # An empty slot counts as half: fraction (0.7 * 200 + 0.5 * 200)/400 = 0.6, so the norm grows.
    assert half_empty.clip_norm == pytest.approx(rule.clip_norm * math.exp(0.2 * 0.1), rel=0.01)


@given(st.floats(-1e300, 1e300), st.integers(1, 10**6))
def test_no_noise_drives_the_norm_out_of_its_limits(count, slots):
    rule = AdaptiveClip(clip_norm=1.0, count_weight=0.1, smallest=0.5, largest=2.0, learning_rate=10.0)
    assert 0.5 <= rule.after(count, slots=slots).clip_norm <= 2.0


def test_split_gives_the_gradient_in_its_own_units():
    gradient, count = AdaptiveClip(clip_norm=3.0, count_weight=0.1).split(np.array([1.0, 2.0, 7.5]))
    assert gradient.tolist() == [3.0, 6.0] and count == 7.5


@pytest.mark.parametrize("rule", RULES, ids=ids)
def test_the_sensitivity_covers_the_float_sum(rule):
    # Exact rationals of the float sums of two neighbours, in an order that rounds badly.
    rng = np.random.default_rng(5)
    rows = rng.normal(size=(300, D)) * 10.0 ** rng.uniform(-8, 3, (300, 1))
    bound = l2_sensitivity(rule, slots=300, dimension=D)
    values = clip(rows, rule).values
    for index in (0, 150, 299):
        less = values.copy()
        less[index] = 0
        moved = [Fraction(float(a)) - Fraction(float(b)) for a, b in zip(values.sum(0), less[::-1].sum(0), strict=True)]
        assert sum(x**2 for x in moved) <= Fraction(bound) ** 2
    assert bound > rule.row_bound


def test_a_float_sum_can_move_by_more_than_the_clip_norm():
    # Why the slack of the sum exists: 1 + u + ... in two orders.
    rows = np.full((4097, 1), 1.0 / 3)
    exact = Fraction(1.0 / 3) * 4097
    sequential = 0.0
    for value in rows[:, 0]:
        sequential += float(value)
    assert Fraction(sequential) != exact
    moved = abs(Fraction(sequential) - exact) + Fraction(1.0 / 3)
    assert Fraction(1.0 / 3) < moved <= Fraction(l2_sensitivity(FlatClip(1.0 / 3), slots=4097, dimension=1))


def test_adaptive_counts_are_refused_where_a_record_moves_other_rows():
    with pytest.raises(UnsupportedClaim, match=r"SFM-302.*support record"):
        require_one_row(RULES[2], Unit.RECORD, adapts_on_private_rows=True)
    require_one_row(RULES[2], Unit.TASK, adapts_on_private_rows=True)
    require_one_row(RULES[2], Unit.RECORD, adapts_on_private_rows=False)
    require_one_row(RULES[0], Unit.RECORD, adapts_on_private_rows=True)


@pytest.mark.parametrize(
    "make",
    [
        lambda: FlatClip(0.0),
        lambda: FlatClip(math.nan),
        lambda: FlatClip(math.inf),
        lambda: PerLayerClip((), ()),
        lambda: PerLayerClip((2,), (1.0, 1.0)),
        lambda: PerLayerClip((0,), (1.0,)),
        lambda: PerLayerClip((1,), (-1.0,)),
        lambda: AdaptiveClip(clip_norm=1.0, count_weight=0.0),
        lambda: AdaptiveClip(clip_norm=1.0, count_weight=1.0, target_quantile=1.0),
        lambda: AdaptiveClip(clip_norm=1.0, count_weight=1.0, smallest=2.0),
        lambda: RULES[2].at(math.nan),
        lambda: RULES[2].after(math.nan, slots=3),
        lambda: RULES[2].after(1.0, slots=0),
        lambda: clip(np.zeros((2, D), np.float32), RULES[0]),
        lambda: clip(np.zeros(D), RULES[0]),
        lambda: clip(np.zeros((2, D + 1)), RULES[1]),
        lambda: l2_sensitivity(RULES[0], slots=0, dimension=1),
        lambda: l2_sensitivity(RULES[0], slots=2**21, dimension=1),
    ],
)
def test_refused(make):
    with pytest.raises(PlanError, match="SFM-301"):
        make()
