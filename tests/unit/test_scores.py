"""Figures against definitions written out, and against scikit-learn where it has them."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from secure_fedmeta import scores

RNG = np.random.default_rng(0)
LABELS = RNG.integers(0, 2, 200).astype(float)
SCORES = np.clip(0.3 * LABELS + RNG.uniform(0, 0.7, 200), 0, 1)


def test_auroc_is_the_share_of_pairs_in_the_right_order():
    ones, zeros = SCORES[LABELS == 1], SCORES[LABELS == 0]
    pairs = (ones[:, None] > zeros) + 0.5 * (ones[:, None] == zeros)
    assert scores.auroc(LABELS, SCORES) == pytest.approx(pairs.mean())
    assert scores.gini(LABELS, SCORES) == pytest.approx(2 * pairs.mean() - 1)


def test_kolmogorov_smirnov_is_the_largest_gap_of_distributions():
    cuts = np.unique(SCORES)
    gap = max(np.mean(SCORES[LABELS == 1] >= c) - np.mean(SCORES[LABELS == 0] >= c) for c in cuts)
    assert scores.kolmogorov_smirnov(LABELS, SCORES) == pytest.approx(gap)


def test_average_precision_by_hand():
    # Ranked: 1 0 1 -> precisions at hits 1/1 and 2/3.
    assert scores.auprc(np.array([1.0, 0.0, 1.0]), np.array([0.9, 0.5, 0.1])) == pytest.approx((1 + 2 / 3) / 2)


def test_one_class_has_no_ranking():
    for figure in (scores.auroc, scores.kolmogorov_smirnov, scores.gini):
        assert math.isnan(figure(np.ones(5), SCORES[:5]))
    assert math.isnan(scores.auprc(np.zeros(5), SCORES[:5]))


def test_a_calibrated_coin_has_a_small_error_and_a_wrong_one_its_distance():
    rng = np.random.default_rng(1)
    p = rng.uniform(0, 1, 40_000)
    labels = (rng.random(40_000) < p).astype(float)
    assert scores.calibration_error(labels, p) < 0.012
    assert scores.calibration_error(labels, np.minimum(1, p + 0.2)) > 0.1
    assert scores.calibration_error(np.zeros(100), np.full(100, 0.3)) == pytest.approx(0.3)


def test_expected_loss_counts_those_who_get_a_loan():
    labels = np.array([0.0, 1.0, 0.0, 1.0, 1.0])
    risk = np.array([0.1, 0.2, 0.3, 0.8, 0.9])
    assert scores.expected_loss(labels, risk, accepted=0.6, loss_given_default=0.5) == pytest.approx(0.5 / 3)
    assert scores.expected_loss(labels, risk, accepted=1.0, loss_given_default=1.0) == pytest.approx(0.6)


def test_ndcg_is_one_for_the_best_order_and_less_for_others():
    stars = np.array([5.0, 4.0, 1.0, 0.0])
    assert scores.ndcg(stars, np.array([4.0, 3, 2, 1])) == pytest.approx(1)
    worst = scores.ndcg(stars, np.array([1.0, 2, 3, 4]))
    gains = 2 ** np.array([0.0, 1, 4, 5]) - 1
    best = 2 ** np.array([5.0, 4, 1, 0]) - 1
    discount = 1 / np.log2([2, 3, 4, 5])
    assert worst == pytest.approx((gains @ discount) / (best @ discount))
    assert math.isnan(scores.ndcg(np.array([3.0, 3.0]), np.array([1.0, 2.0])))
    assert scores.ndcg(np.array([5.0, 1, 1, 1]), np.array([4.0, 3, 2, 1]), top=1) == pytest.approx(1)


def test_membership_is_half_where_nothing_was_learned():
    same = RNG.normal(size=500)
    assert scores.membership_auc(same, same) == pytest.approx(0.5)
    assert scores.membership_auc(np.zeros(5), np.ones(5)) == 1.0


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30), st.floats(0, 1))
def test_low_ends_lie_within_and_ignore_what_is_unknown(values, share):
    with_gap = [*values, float("nan")]
    low = scores.low_end(with_gap, share)
    assert min(values) - 1e-12 <= low <= max(values) + 1e-12
    assert scores.mean_known(with_gap) == pytest.approx(np.mean(values))


def test_nothing_known_is_nan():
    assert math.isnan(scores.mean_known([float("nan")])) and math.isnan(scores.low_end([], 0.1))
