# SPDX-License-Identifier: Apache-2.0
"""The integer sums that sites release: two neighbours are never further apart than the event is told."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from noise_words import words

from fedmeta_privacy.clipping import AdaptiveClip, FlatClip, PerLayerClip, l2_sensitivity
from fedmeta_privacy.dp_sgd import ClippedNoisySum
from fedmeta_privacy.encoding import IntegerEncoding, choose_encoding
from fedmeta_privacy.noise import DiscreteGaussian

D, M = 4, 6
RULES = [FlatClip(0.7), PerLayerClip((1, 3), (0.2, 1.5)), AdaptiveClip(clip_norm=0.7, count_weight=0.8)]
ids = ["flat", "layers", "adaptive"]
values = st.floats(-2, 2) | st.sampled_from([0.0, 0.7, 1e-300, 1e200, -1e308, math.inf, math.nan])
tables = arrays(np.float64, (M, D), elements=values)


def released(rule, encoding, rows, cuts):
    return ClippedNoisySum(clipping=rule, encoding=encoding, noise=None, slots=M)(np.split(rows, sorted(cuts)), None)


@pytest.mark.parametrize("rule", RULES, ids=ids)
@settings(deadline=None)
@given(
    rows=tables,
    index=st.integers(0, M - 1),
    cuts=st.tuples(*[st.sets(st.integers(0, M - 1))] * 2),
    exponent=st.integers(-20, 0),
    gone=st.booleans(),
)
def test_one_slot_emptied_moves_the_integer_sum_by_no_more_than_stated(rule, rows, index, cuts, exponent, gone):
    encoding = IntegerEncoding(2.0**exponent, D + rule.extra_coordinates, 32)
    less = np.delete(rows, index, axis=0)  # an emptied slot has no row,
    if not gone:
        less = rows.copy()
        less[index] = math.nan  # or one that counts as none: both are the same world
    moved = released(rule, encoding, rows, cuts[0]) - released(rule, encoding, less, {c for c in cuts[1] if c < M - 1})
    bound = encoding.l2_sensitivity(l2_sensitivity(rule, slots=M, dimension=D))
    assert math.sqrt(sum(int(x) ** 2 for x in moved)) <= bound


@pytest.mark.parametrize("rule", RULES, ids=ids)
def test_the_bound_is_attained_but_for_rounding(rule):
    encoding = IntegerEncoding(2.0**-26, D + rule.extra_coordinates, 32)
    rows = np.full((1, D), 0.0)
    rows[0, 0] = rows[0, 1] = 1e6
    if isinstance(rule, AdaptiveClip):
        rows *= 1e3
    moved = released(rule, encoding, rows, set()).astype(float)
    assert np.linalg.norm(moved) * encoding.step > rule.row_bound * (1 - 1e-5)


def test_a_run_with_adaptive_clipping_finds_the_quantile_through_the_noise():
    """The wiring of `clipping`, five sites, whole rounds: one plan, one sensitivity, a norm that moves."""
    sites, slots, d = 5, 40, 6
    rng = np.random.default_rng(0)
    rows = [rng.normal(size=(slots - 5 * (i == 0), d)) * 3 for i in range(sites)]  # one site has empty slots
    rule = AdaptiveClip(clip_norm=0.1, count_weight=0.5, target_quantile=0.6)
    plan = choose_encoding(
        sensitivity=l2_sensitivity(rule, slots=slots, dimension=d),
        dimension=d + 1,
        parties=sites,
        largest_coordinate=slots * rule.row_bound,
        noise_scale=lambda steps: 1.5 * steps,
    )
    noise = DiscreteGaussian(plan.noise_scale)
    releases = [ClippedNoisySum(clipping=rule, encoding=plan.encoding, noise=noise, slots=slots) for _ in range(sites)]
    norms, stream = [], words(1)
    for _ in range(150):
        total = np.zeros(d + 1, np.uint32)
        for release, own in zip(releases, rows, strict=True):
            release.set_clip_norm(rule.clip_norm)  # as announced
            total += plan.encoding.to_ring(release(own, stream))
        _, count = rule.split(plan.encoding.decode(plan.encoding.from_ring(total)))
        rule = rule.after(count, slots=sites * slots)
        norms.append(rule.clip_norm)
    everything = np.linalg.norm(np.vstack(rows), axis=1)
    settled = math.exp(np.mean(np.log(norms[-50:])))
    assert (everything <= settled).mean() == pytest.approx(0.6, abs=0.05)
