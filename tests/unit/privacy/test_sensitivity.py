import math

import numpy as np
import pytest

from fedmeta_privacy.errors import PlanError, UnsafeModel
from fedmeta_privacy.sensitivity import ARITHMETIC_SLACK, Order, check_model, logistic_sensitivity

BASE = {
    "order": Order.SECOND,
    "row_bound": 1.0,
    "inner_lr": 1.0,
    "inner_steps": 1,
    "support_slots": 40,
    "query_slots": 40,
    "clip_norm": 1.0,
    "dimension": 1,
}


def bounds(**changes):
    return logistic_sensitivity(**{**BASE, **changes})


def test_one_step_second_order_is_8_27_of_the_query_role_and_a_little_more():
    a = 1 / 40
    assert bounds().support == pytest.approx(40 * (8 / 27 * a + a**2 / (12 * math.sqrt(3))))
    assert bounds().query == pytest.approx(1.0, rel=1e-6)


def test_first_order_is_a_quarter_of_the_query_role():
    assert bounds(order=Order.FIRST).support == pytest.approx(0.25, rel=1e-3)


def test_published_row_of_many_steps():
    # R = 1, m = n = 8, lr = 1, K = 3: 0.75 in first order, 1.79 in second.
    common = {"support_slots": 8, "query_slots": 8, "inner_steps": 3, "clip_norm": 10.0}
    assert bounds(order=Order.FIRST, **common).support == pytest.approx(0.75, rel=5e-3)
    assert bounds(**common).support == pytest.approx(1.79, rel=5e-3)


def test_scales_with_the_row_bound():
    assert bounds(row_bound=2.0, inner_lr=0.25, clip_norm=2.0).support == pytest.approx(2 * bounds().support)


def test_clip_below_the_support_role_buys_nothing():
    """The larger role counts: noise scaled by such a clip alone would under-report."""
    generous, tight = bounds(clip_norm=0.5), bounds(clip_norm=0.2)
    assert generous.worst == pytest.approx(0.5, rel=1e-5)
    assert tight.query == pytest.approx(0.2, rel=1e-5)
    assert tight.worst == pytest.approx(bounds().support, rel=1e-5)


def test_arithmetic_on_huge_models_is_charged_to_both_roles():
    """At |theta| = 2^20 rounding alone can move many clipped terms; in a plan with huge rows it dominates."""
    small, huge = bounds(dimension=31), bounds(dimension=24, row_bound=1000.0, inner_lr=2e-13, inner_steps=100)
    assert small.query / 1.0 < 1 + 1e-4
    assert huge.query > 2 and huge.support > 2


def test_slack_for_float_arithmetic():
    assert bounds().worst == bounds().query * ARITHMETIC_SLACK


@pytest.mark.parametrize(
    "changes",
    [
        {"inner_lr": 8.1},
        {"inner_lr": 2.1, "row_bound": 2.0},
        {"inner_lr": 0.0},
        {"inner_lr": math.nan},
        {"row_bound": -1.0},
        {"clip_norm": math.inf},
        {"clip_norm": 1e-6},
        {"inner_steps": 0},
        {"support_slots": 0},
        {"query_slots": -1},
    ],
)
def test_settings_outside_the_proof(changes):
    with pytest.raises(PlanError, match="SFM-301"):
        bounds(**changes)


@pytest.mark.parametrize(
    "theta",
    [
        np.array([np.nan]),
        np.array([np.inf]),
        np.array([2.0**20 * 1.01]),
        np.zeros(2, np.float32),
        np.zeros((2, 2)),
    ],
)
def test_models_that_must_not_touch_data(theta):
    with pytest.raises(UnsafeModel, match="SFM-306"):
        check_model(theta)


def test_the_largest_model_is_still_fine():
    check_model(np.array([2.0**20, -(2.0**20)]))
