# SPDX-License-Identifier: Apache-2.0
"""Adaptive clipping over whole product rounds, noise and masks included, finds the quantile of the rows' norms."""

import numpy as np
import pytest
from mode_runs import mode_run

SLOTS = 200
NORMS = np.exp(np.random.default_rng(1).normal(1.0, 0.8, (4, SLOTS)))


class Fixed:
    """Rows of known norms in place of a network's."""

    def __init__(self, norms, dimension, seed):
        rows = np.random.default_rng(seed).normal(size=(len(norms), dimension))
        self.rows = rows / np.linalg.norm(rows, axis=1, keepdims=True) * norms[:, None]

    def units(self, theta, words):
        return self.rows

    def finish(self, steps, words):
        return steps


def federation(name="person", norms=NORMS, **settings):
    run, sites, _ = mode_run(name, clipping="adaptive", outer_lr=1e-6, **{"task_slots": SLOTS} | settings)
    for site, party in sites.items():
        party.client._contribution = Fixed(norms[site - 1], run.schedule.dimension, site)
    return run


@pytest.mark.parametrize(
    ("quantile", "more"),
    [
        (0.5, {}),
        (0.7, {"dropout_noise": "surplus"}),
        (0.3, {"aggregation": "none", "modulus_bits": 20}),
    ],
)
def test_the_norm_comes_to_the_quantile_and_stays(quantile, more):
    run = federation(clip_quantile=quantile, clip_lr=0.3, clip_norm=0.3, rounds=40, **more)
    norms = []
    for report in run.rounds():
        assert report.closed.aborted is None and not report.rejected
        norms.append(run.server.clipping.clip_norm)
    assert len(norms) == 40
    spent = report.closed.spent
    assert 0 < (spent.local if more.get("aggregation") else spent.server) <= 3.0
    within = float((np.median(norms[-10:]) >= NORMS).mean())
    assert within == pytest.approx(quantile, abs=0.08)


def test_dropouts_are_taken_out_of_the_slots_and_empty_slots_count_as_half():
    """All rows of half the slots beyond the norm: 1/4 of the slots counts as within, whoever drops out."""
    few = NORMS[:, : SLOTS // 2] + 100.0
    run = federation(norms=few, clip_lr=1.0, clip_norm=0.3, rounds=1, epsilon=50.0, dropout=0.3, seed=3)
    report = run.run_round()
    assert report.closed.aborted is None
    assert run.server.clipping.clip_norm == pytest.approx(0.3 * np.exp(-(0.25 - 0.5)), rel=0.02)


def test_the_model_moves_in_its_own_units():
    """C_t scales the sum back: rows far beyond the norm move the model as flat clipping to C_t would."""
    aligned = np.full((4, SLOTS), 50.0)
    moved = []
    for settings in ({"clipping": "adaptive"}, {"clipping": "flat"}):
        run, sites, _ = mode_run("person", task_slots=SLOTS, epsilon=50.0, rounds=1, clip_norm=0.3, **settings)
        for site, party in sites.items():
            fixed = party.client._contribution = Fixed(aligned[site - 1], run.schedule.dimension, site)
            fixed.rows = np.abs(fixed.rows)
        start = run.server.outer.theta.copy()
        run.run_round()
        moved.append(run.server.outer.theta - start)
    assert moved[0] == pytest.approx(moved[1], abs=2e-3)
    assert np.linalg.norm(moved[0]) > 0.1
