"""The wearers: reproducible, within public limits, unlike each other; and the pilot keeps its budget, just."""

import numpy as np
import pytest

from fedmeta_privacy.claims import View
from secure_fedmeta.datasets.generated.wearables import ACTIVITIES, FEATURES, LIMITS, load_wearers
from secure_fedmeta.datasets.records import RecordsError
from secure_fedmeta.errors import SettingError
from secure_fedmeta.pilots.wearables import WearablesPlan, training_of


@pytest.fixture(scope="module")
def people():
    return load_wearers(seed=1, users=300, later=40)


def test_a_seed_is_a_world(people):
    again = load_wearers(seed=1, users=300, later=40)
    assert all(
        np.array_equal(a.rows, b.rows) and np.array_equal(a.labels, b.labels)
        for a, b in zip(people, again, strict=True)
    )
    assert repr(people[0]) == "Wearers(<300 people>)" and len(FEATURES) == len(LIMITS) == 16


def test_rows_are_scaled_by_public_limits(people):
    rows = np.concatenate([part.rows for part in people])
    assert rows.shape[2] == 16 and np.isfinite(rows).all() and np.abs(rows).max() <= 1.0


def test_everybody_has_several_activities_and_all_are_there(people):
    assert set(np.unique(people[0].labels)) == set(range(len(ACTIVITIES)))
    assert np.mean([len(np.unique(own)) for own in people[0].labels]) > 2.5


def test_placement_differs_from_wearer_to_wearer(people):
    resting = [
        rows[labels == 0].mean(axis=0)[6]
        for rows, labels in zip(*vars_of(people[0]), strict=True)
        if (labels == 0).any()
    ]
    assert np.std(resting) > 0.1  # mean of z: gravity falls on another axis


def vars_of(part):
    return part.rows, part.labels


@pytest.mark.parametrize("settings", [{"seed": -1}, {"seed": 0, "users": 5}, {"seed": 0, "later": 20_000}])
def test_impossible_worlds_are_refused(settings):
    with pytest.raises(RecordsError, match="SFM-137"):
        load_wearers(**settings)


@pytest.mark.parametrize(("epsilon", "rounds"), [(8.0, 3), (3.0, 10), (1.0, 4)])
def test_the_noise_is_the_least_that_keeps_the_budget(people, epsilon, rounds):
    plan = WearablesPlan.of({"users": 300, "epsilon": epsilon, "rounds": rounds, "delta": 1e-4})
    training = training_of(plan, people[0].rows[:, :12], people[0].labels[:, :12])
    spent = training.account.epsilon(View.SERVER, rounds=rounds, delta=1e-4)
    assert epsilon * 0.99 < spent <= epsilon
    assert training.floor == 255 and training.colluders == 30


def test_budgets_that_cannot_be_had(people):
    small = WearablesPlan.of({"users": 300, "epsilon": 0.0001, "rounds": 100, "delta": 1e-4})
    with pytest.raises(SettingError, match="out of reach"):
        training_of(small, people[0].rows[:, :12], people[0].labels[:, :12])
    with pytest.raises(SettingError, match="not below 1/N"):
        training_of(WearablesPlan.of({"users": 300, "delta": 0.01}), people[0].rows[:, :12], people[0].labels[:, :12])
