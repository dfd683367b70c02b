"""The intensive-care units: reproducible, inside public limits, a person at one place, each with its own normal."""

import numpy as np
import pytest

from secure_fedmeta.datasets.generated.icu import LARGEST, REGISTERED_SHARE, WINDOWS, load_icus
from secure_fedmeta.datasets.records import RecordsError


@pytest.fixture(scope="module")
def units():
    return load_icus(seed=2)


def every(held):
    return [part for m in held.members for part in (m.registered, m.unseen)] + list(held.later)


def test_a_seed_is_a_world(units):
    again, other = load_icus(seed=2), load_icus(seed=3)
    assert all(
        a.ids == b.ids and np.array_equal(a.features, b.features) and np.array_equal(a.labels, b.labels)
        for a, b in zip(every(units), every(again), strict=True)
    )
    assert every(units)[0].labels[:30].tolist() != every(other)[0].labels[:30].tolist()
    assert units.generated and "no patient exists" in units.source


@pytest.mark.parametrize("seed", range(4))
def test_public_limits_hold(seed):
    held = load_icus(seed=seed)
    held.codebook.encode(np.concatenate([site.features for site in every(held)]))


def test_patients_are_whole_and_at_one_unit(units):
    home = {}
    for site in every(units):
        counts = {one: site.ids.count(one) for one in set(site.ids)}
        assert all(WINDOWS[0] <= count <= WINDOWS[1] for count in counts.values())
        for one in counts:
            assert home.setdefault(one, site) is site
    assert max(len(set(m.registered.ids)) for m in units.members) <= round(REGISTERED_SHARE * LARGEST)


def test_the_outcome_is_uneven_and_follows_severity(units):
    labels = np.concatenate([site.labels for site in every(units)])
    assert 0.2 < labels.mean() < 0.5
    lactate = np.concatenate([site.features[:, 6] for site in every(units)])
    assert np.log(lactate)[labels == 1].mean() > np.log(lactate)[labels == 0].mean() + 0.1


def test_a_patient_s_own_level_matters_more_than_the_unit_s(units):
    site = units.members[0].registered
    ids = np.array(site.ids)
    rate = {one: site.features[ids == one, 0] for one in set(site.ids)}
    between = np.var([v.mean() for v in rate.values()])
    within = np.mean([v.var() for v in rate.values()])
    assert between > 0.5 * within


@pytest.mark.parametrize("settings", [{"seed": -1}, {"seed": 0, "members": 1}, {"seed": 0, "later": 500}])
def test_impossible_worlds_are_refused(settings):
    with pytest.raises(RecordsError, match="SFM-137"):
        load_icus(**settings)
