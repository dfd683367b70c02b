# SPDX-License-Identifier: Apache-2.0
"""Adaptive clipping under a record claim: a support record moves every query row a little, and flips every count."""

import numpy as np
import pytest

from fedmeta_privacy.claims import Unit
from fedmeta_privacy.clipping import AdaptiveClip, FlatClip, clip, l2_sensitivity, require_one_row
from fedmeta_privacy.errors import UnsupportedClaim

RULE = AdaptiveClip(clip_norm=1.0, count_weight=0.5)
ROWS = np.random.default_rng(0).normal(size=(200, 4))
ROWS /= np.linalg.norm(ROWS, axis=1, keepdims=True)
PULL = 1e-3  # what the support record changes in each adapted gradient


def moved(rule):
    near, far = (clip(ROWS * factor, rule).values.sum(axis=0) for factor in (1 - PULL, 1 + PULL))
    return np.abs(near - far)


def test_every_count_flips():
    assert moved(RULE)[-1] == pytest.approx(200 * RULE.count_weight)


def test_which_is_far_beyond_the_bound_for_one_row():
    assert moved(RULE)[-1] > 50 * l2_sensitivity(RULE, slots=200, dimension=4)


def test_flat_clipping_lets_through_no_more_than_the_pull():
    assert np.linalg.norm(moved(FlatClip(1.0))) <= 200 * 2 * PULL


def test_so_the_claim_is_refused():
    with pytest.raises(UnsupportedClaim, match="support record"):
        require_one_row(RULE, Unit.RECORD, adapts_on_private_rows=True)
