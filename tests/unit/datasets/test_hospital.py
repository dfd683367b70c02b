# SPDX-License-Identifier: Apache-2.0
"""The pilot holds each patient once, differs between hospitals, follows its seed; records are validated."""

import numpy as np
import pytest

from secure_fedmeta.datasets.codebook import Codebook
from secure_fedmeta.datasets.federation import Federation
from secure_fedmeta.datasets.hospital import load_hospitals
from secure_fedmeta.datasets.records import RecordsError, SiteRecords


def all_sites(pilot: Federation) -> list[SiteRecords]:
    return [part for m in pilot.members for part in (m.registered, m.unseen)] + list(pilot.later)


@pytest.mark.parametrize("seed", [0, 1, 5, 119])
def test_every_patient_is_in_one_place_and_both_classes_everywhere(seed: int) -> None:
    pilot = load_hospitals(seed=seed)
    ids = [name for site in all_sites(pilot) for name in site.ids]
    assert sorted(ids) == [f"patient-{i:04d}" for i in range(569)]
    assert sum(site.labels.sum() for site in all_sites(pilot)) == 212
    for site in all_sites(pilot):
        assert 0.0 < site.labels.mean() < 1.0
        assert Codebook.load().check_ranges(site.features, on_outside="refuse")[1] == 0
    for member in pilot.members:
        share = len(member.registered) / (len(member.registered) + len(member.unseen))
        assert 0.55 < share < 0.65


def test_hospitals_differ_in_size_label_share_and_measurement() -> None:
    pilot = load_hospitals(seed=0)
    sizes = [len(m.registered) + len(m.unseen) for m in pilot.members]
    shares = [float(np.concatenate([m.registered.labels, m.unseen.labels]).mean()) for m in pilot.members]
    assert max(sizes) > 1.5 * min(sizes)
    assert max(shares) > 2.0 * min(shares)
    raw = dict(zip((f"patient-{i:04d}" for i in range(569)), bundled(), strict=True))
    factors = [
        np.median(np.log(m.registered.features[:, 0] / [raw[name][0] for name in m.registered.ids]))
        for m in pilot.members
    ]
    assert np.std(factors) > 0.02


def bundled() -> np.ndarray:
    from sklearn.datasets import load_breast_cancer

    return np.asarray(load_breast_cancer().data)


def test_the_same_seed_gives_the_same_arrays_and_another_seed_does_not() -> None:
    first, again, other = (load_hospitals(seed=seed) for seed in (4, 4, 5))
    for a, b in zip(all_sites(first), all_sites(again), strict=True):
        assert a.ids == b.ids
        assert np.array_equal(a.features, b.features)
    assert first.members[0].registered.ids != other.members[0].registered.ids


def test_the_unseen_pair_rotates_through_all_profiles() -> None:
    pairs = [tuple(len(site) for site in load_hospitals(seed=seed).later) for seed in range(6)]
    assert len(set(pairs)) == 6
    assert sum(map(sum, pairs)) == 569


@pytest.mark.parametrize(("members", "unseen"), [(2, 0), (5, 1), (17, 2)])
def test_other_counts(members: int, unseen: int) -> None:
    pilot = load_hospitals(seed=1, members=members, unseen=unseen)
    assert (len(pilot.members), len(pilot.later), pilot.persons) == (members, unseen, 569)
    assert [m.name for m in pilot.members] == [f"hospital-{k + 1:02d}" for k in range(members)]


@pytest.mark.parametrize(("seed", "members", "unseen"), [(-1, 10, 2), (0, 1, 2), (0, 10, -1), (0, 30, 2)])
def test_impossible_pilots_are_refused(seed: int, members: int, unseen: int) -> None:
    with pytest.raises(RecordsError, match="SFM-137"):
        load_hospitals(seed=seed, members=members, unseen=unseen)


X, Y, IDS = np.ones((2, 3)), np.array([0.0, 1.0]), ("a", "b")


@pytest.mark.parametrize(
    ("name", "features", "labels", "ids"),
    [
        ("", X, Y, IDS),
        ("s", X[0], Y, IDS),
        ("s", np.ones((2, 0)), Y, IDS),
        ("s", X * np.nan, Y, IDS),
        ("s", X * np.inf, Y, IDS),
        ("s", np.array([["x"], ["y"]]), Y, IDS),
        ("s", X, Y[:1], IDS),
        ("s", X, 2.0 * Y, IDS),
        ("s", X, Y * np.nan, IDS),
        ("s", X, Y, ("a",)),
        ("s", X, Y, ("a", "a")),
        ("s", X, Y, ("a", "")),
        ("s", X, Y, ("a", 7)),
    ],
)
def test_bad_records_are_refused(name: str, features: np.ndarray, labels: np.ndarray, ids: tuple[str, ...]) -> None:
    with pytest.raises(RecordsError, match="SFM-130"):
        SiteRecords(name, features, labels, ids)


def test_records_do_not_follow_later_changes_of_the_callers_arrays() -> None:
    features = X.copy()
    site = SiteRecords("s", features, Y, IDS)
    features[0, 0] = 9.0
    assert site.features[0, 0] == 1.0
    with pytest.raises(ValueError, match="read-only"):
        site.features[0, 0] = 9.0
