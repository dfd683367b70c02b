# SPDX-License-Identifier: Apache-2.0
"""The baselines are deterministic, strong, and fair: no setting looks at test patients."""

import numpy as np
import pytest

from secure_fedmeta.baselines import fedavg, fine_tune, fit_alone, local_only
from secure_fedmeta.datasets.codebook import Codebook
from secure_fedmeta.datasets.hospital import load_hospitals
from secure_fedmeta.evaluation import EncodedSite, adapt, score_sites

BOOK = Codebook.load()
SITES = [
    EncodedSite(
        m.name,
        BOOK.encode(m.registered.features),
        m.registered.labels,
        BOOK.encode(m.unseen.features),
        m.unseen.labels,
    )
    for m in load_hospitals(seed=2).members
]
SHARED = fedavg(SITES)


def test_every_baseline_is_strong_on_unseen_patients() -> None:
    assert score_sites([SHARED] * len(SITES), SITES).mean_auroc > 0.98
    assert score_sites(fine_tune(SHARED, SITES), SITES).mean_auroc > 0.98
    assert score_sites(local_only(SITES), SITES).mean_auroc > 0.96


def test_they_are_deterministic() -> None:
    assert np.array_equal(SHARED, fedavg(SITES))
    assert all(np.array_equal(a, b) for a, b in zip(local_only(SITES), local_only(SITES), strict=True))


def test_test_patients_do_not_matter() -> None:
    rng = np.random.default_rng(0)
    other = [
        EncodedSite(s.name, s.rows, s.labels, rng.normal(size=s.test_rows.shape), 1.0 - s.test_labels) for s in SITES
    ]
    assert np.array_equal(SHARED, fedavg(other))
    for a, b in zip(
        local_only(SITES) + fine_tune(SHARED, SITES),
        local_only(other) + fine_tune(SHARED, other),
        strict=True,
    ):
        assert np.array_equal(a, b)


def test_fine_tuning_lowers_each_sites_own_loss() -> None:
    for theta, site in zip(fine_tune(SHARED, SITES), SITES, strict=True):
        assert loss(theta, site) < loss(SHARED, site)


def loss(theta: np.ndarray, site: EncodedSite) -> float:
    return float(np.mean(np.logaddexp(0.0, -(2 * site.labels - 1) * (site.rows @ theta))))


def test_one_step_of_fedavg_is_a_step_on_all_records() -> None:
    rows = np.concatenate([site.rows for site in SITES])
    labels = np.concatenate([site.labels for site in SITES])
    assert np.allclose(fedavg(SITES, rounds=1, steps=1), fit_alone(rows, labels, steps=1, lr=5.0))


def test_one_site_alone_needs_no_federation() -> None:
    assert np.allclose(fedavg(SITES[:1], rounds=5, steps=20, lr=4.0), fit_alone(SITES[0].rows, SITES[0].labels))


@pytest.mark.parametrize("k", [1, 5])
def test_a_hospital_alone_with_few_records_is_weak(k: int) -> None:
    site = SITES[0]
    few = fit_alone(site.rows[:k], site.labels[:k])
    shared = adapt(SHARED, site.rows[:k], site.labels[:k])
    assert loss(shared, site) < loss(few, site)
