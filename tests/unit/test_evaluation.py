# SPDX-License-Identifier: Apache-2.0
"""A trained model passes the worst-site check; all-zero weights and shuffled labels fail it."""

import numpy as np
import pytest

from secure_fedmeta.baselines import fedavg
from secure_fedmeta.datasets.codebook import Codebook
from secure_fedmeta.datasets.hospital import load_hospitals
from secure_fedmeta.datasets.records import RecordsError
from secure_fedmeta.evaluation import (
    EncodedSite,
    MemberScores,
    adapt,
    calibrate,
    evaluate_members,
    evaluate_unseen,
    predict,
    score_sites,
)

BOOK = Codebook.load()
PILOT = load_hospitals(seed=0)
MEMBERS = [
    EncodedSite(
        m.name,
        BOOK.encode(m.registered.features),
        m.registered.labels,
        BOOK.encode(m.unseen.features),
        m.unseen.labels,
    )
    for m in PILOT.members
]
EMPTY = np.empty((0, BOOK.width))
UNSEEN = [EncodedSite(s.name, BOOK.encode(s.features), s.labels, EMPTY, np.empty(0)) for s in PILOT.later]
TRAINED = fedavg(MEMBERS, rounds=10)


def passes(scores: MemberScores) -> bool:
    return scores.before.worst_auroc >= 0.90


def test_a_trained_model_passes_the_worst_site_check() -> None:
    assert passes(evaluate_members(TRAINED, MEMBERS))


def test_all_zero_weights_fail_it() -> None:
    scores = evaluate_members(np.zeros(BOOK.width), MEMBERS)
    assert not passes(scores)
    assert scores.before.worst_auroc == scores.before.mean_auroc == 0.5


@pytest.mark.parametrize("seed", range(5))
def test_a_model_of_shuffled_labels_fails_it(seed: int) -> None:
    rng = np.random.default_rng(seed)
    shuffled = [EncodedSite(s.name, s.rows, rng.permutation(s.labels), s.test_rows, s.test_labels) for s in MEMBERS]
    assert not passes(evaluate_members(fedavg(shuffled, rounds=10), MEMBERS))


def test_a_model_scored_on_shuffled_labels_fails_it() -> None:
    rng = np.random.default_rng(1)
    shuffled = [EncodedSite(s.name, s.rows, s.labels, s.test_rows, rng.permutation(s.test_labels)) for s in MEMBERS]
    assert not passes(evaluate_members(TRAINED, shuffled))


def test_scores_agree_with_their_definitions() -> None:
    rng = np.random.default_rng(2)
    theta, rows = rng.normal(size=3), rng.normal(size=(40, 3))
    labels = (rng.random(40) < 0.5).astype(float)
    scores = score_sites([theta], [EncodedSite("s", rows, labels, rows, labels)])
    z = rows @ theta
    pairs = [(a > b) + 0.5 * (a == b) for a in z[labels == 1] for b in z[labels == 0]]
    assert scores.mean_auroc == pytest.approx(np.mean(pairs))
    assert scores.mean_brier == pytest.approx(np.mean((1 / (1 + np.exp(-z)) - labels) ** 2))


def test_a_site_with_one_class_is_left_out_of_auroc_and_counted() -> None:
    one = EncodedSite("one", MEMBERS[0].rows, MEMBERS[0].labels, MEMBERS[0].test_rows[:3], np.ones(3))
    scores = score_sites([TRAINED] * 2, [one, MEMBERS[1]])
    assert scores.left_out == 1
    assert scores.auroc[0] is None
    assert scores.mean_auroc == scores.auroc[1]
    assert len(scores.brier) == 2
    assert np.isnan(score_sites([TRAINED], [one]).worst_auroc)


def test_auroc_is_per_site_so_a_shift_of_one_sites_logits_changes_nothing() -> None:
    shifted = [TRAINED + 3.0 * k * np.eye(BOOK.width)[-1] for k in range(len(MEMBERS))]
    assert score_sites(shifted, MEMBERS).auroc == score_sites([TRAINED] * len(MEMBERS), MEMBERS).auroc


def test_probabilities_are_stable_for_any_logit() -> None:
    assert predict(np.ones(1), np.array([[-1e308], [0.0], [1e308]])).tolist() == [0.0, 0.5, 1.0]


def test_adaptation_goes_downhill_and_less_far_for_fewer_records() -> None:
    site = MEMBERS[0]

    def loss(theta: np.ndarray) -> float:
        return float(np.mean(np.logaddexp(0.0, -(2 * site.labels - 1) * (site.rows @ theta))))

    assert loss(adapt(TRAINED, site.rows, site.labels)) < loss(TRAINED)
    lengths = [np.linalg.norm(adapt(0 * TRAINED, site.rows[:k], np.ones(k))) for k in (1, 5, 16)]
    assert lengths == sorted(lengths)
    assert np.array_equal(adapt(TRAINED, EMPTY, np.empty(0)), TRAINED)


def test_calibration_repairs_timid_logits_and_keeps_good_ones() -> None:
    rng = np.random.default_rng(3)
    z = 3.0 * rng.normal(size=4000)
    labels = (rng.random(4000) < 1 / (1 + np.exp(-z))).astype(float)
    slope, offset = calibrate(z / 5.0, labels)
    assert slope == pytest.approx(5.0, rel=0.15)
    assert offset == pytest.approx(0.0, abs=0.2)
    assert calibrate(z, labels).slope == pytest.approx(1.0, rel=0.15)


@pytest.mark.parametrize("labels", [np.ones(30), np.zeros(30)])
def test_calibration_on_one_class_stays_finite(labels: np.ndarray) -> None:
    slope, offset = calibrate(np.linspace(-50.0, 50.0, 30), labels)
    assert 0.0 < slope < 10.0
    assert abs(offset) < 10.0


def test_few_shot_draws_are_nested_follow_the_seed_and_are_not_tested_on() -> None:
    scores = evaluate_unseen(TRAINED, UNSEEN, seed=0)
    assert list(scores) == [0, 1, 5, 16]
    assert scores == evaluate_unseen(TRAINED, UNSEEN, seed=0)
    assert scores[5] != evaluate_unseen(TRAINED, UNSEEN, seed=1)[5]
    assert scores[0].mean_auroc == score_sites([TRAINED] * 2, [whole(s) for s in UNSEEN]).mean_auroc


def whole(site: EncodedSite) -> EncodedSite:
    return EncodedSite(site.name, EMPTY, np.empty(0), site.rows, site.labels)


def test_more_shots_than_records_are_refused() -> None:
    with pytest.raises(RecordsError, match="SFM-138"):
        evaluate_unseen(TRAINED, UNSEEN, seed=0, shots=(500,))
