"""Somebody's own table: nobody is miscounted, nothing follows from other rows, bad tables are refused as a whole."""

import numpy as np
import pytest

from secure_fedmeta.datasets.described import Column, Description
from secure_fedmeta.datasets.own import federation_of, folder_name, labels_of
from secure_fedmeta.datasets.table import Table, TableError
from tests.support.own_tables import HEAD, made_rows

KEY = bytes(range(32))
FEATURES = (
    Column("age", low=0, high=120),
    Column("lactate", low=0.1, high=30, transform="log", missing=1.7),
    Column("sex", values=("f", "m")),
)


def described(**changes):
    settings = {"target": "died", "positive": "1", "site": "hospital", "person": "patient", "features": FEATURES}
    return Description(**settings | changes)


def table_of(rows):
    return Table.of({name: [row[i] for row in rows] for i, name in enumerate(HEAD)}, name="mine")


def made(rows, *, repeat=False, outside="refuse", **changes):
    return federation_of(table_of(rows), described(**changes), outside=outside, key=KEY, repeat=repeat)


def test_each_person_is_at_one_site_once():
    rows = made_rows(sites=4, persons=25)
    held = made(rows, later=("Clinic 3",))
    assert [m.name for m in held.members] == ["Clinic-0", "Clinic-1", "Clinic-2"] and not held.generated
    assert [s.name for s in held.later] == ["Clinic-3"] and held.persons == 100
    everyone = [i for m in held.members for part in (m.registered, m.unseen) for i in part.ids]
    assert sorted([*everyone, *held.later[0].ids]) == sorted(row[0] for row in rows)
    share = sum(len(m.registered) for m in held.members) / len(everyone)
    assert 0.5 < share < 0.9
    assert held.members[0].registered.features.shape[1] == held.codebook.width - 1 == 4


def test_another_person_changes_nobody_else():
    rows = made_rows(sites=3, persons=20)
    more = [*rows, ["new", "Clinic 1", "50", "2.0", "f", "1"]]
    before, after = made(rows), made(more)

    def by_id(held):
        parts = [(part, where) for m in held.members for part, where in ((m.registered, "in"), (m.unseen, "out"))]
        return {
            i: (where, part.name, part.features[n].tolist(), part.labels[n])
            for part, where in parts
            for n, i in enumerate(part.ids)
        }

    old, new = by_id(before), by_id(after)
    assert set(new) - set(old) == {"new"} and all(new[i] == old[i] for i in old)


def test_a_person_at_two_sites_is_refused_by_count_and_not_by_name():
    rows = made_rows(sites=3, persons=20)
    rows[25][0] = rows[0][0]
    with pytest.raises(TableError, match="1 persons have rows at two sites") as error:
        made(rows)
    assert "p1" not in str(error.value)


def test_two_rows_of_one_person_need_the_unit_task():
    rows = made_rows(sites=3, persons=20, rows=2)
    with pytest.raises(TableError, match="60 rows belong to persons who have a row already"):
        made(rows)
    assert made(rows, repeat=True).persons == 60


SPOILED = {
    "missing target": (lambda rows: rows[3].__setitem__(5, ""), "1 of 60 targets are missing"),
    "third class": (lambda rows: rows[3].__setitem__(5, "2"), "3 different values"),
    "one class": (lambda rows: [row.__setitem__(5, "1") for row in rows], "every row is of one class"),
    "no site": (lambda rows: rows[3].__setitem__(1, " "), "1 rows have no 'hospital'"),
    "no person": (lambda rows: rows[3].__setitem__(0, "NA"), "1 rows have no 'patient'"),
    "missing number": (lambda rows: rows[3].__setitem__(2, ""), "1 of 60 cells are missing, the first in row 4"),
    "text": (lambda rows: rows[3].__setitem__(2, "old"), "1 of 60 cells are no numbers, the first in row 4"),
    "unlisted": (lambda rows: rows[3].__setitem__(4, "x"), "1 cells hold a value that is not listed"),
    "tiny site": (lambda rows: rows.__delitem__(slice(0, 17)), "1 of 3 sites have fewer than 12 persons: 'Clinic 0'"),
    "two sites": (lambda rows: rows.__delitem__(slice(0, 20)), "fewer than 3 sites"),
    "leak": (lambda rows: [row.__setitem__(2, str(20 + 30 * int(row[5]))) for row in rows], "'age' tells the target"),
}


@pytest.mark.parametrize("name", SPOILED)
def test_spoiled_tables_are_refused(name):
    rows = made_rows(sites=3, persons=20)
    spoil, said = SPOILED[name]
    spoil(rows)
    with pytest.raises(TableError, match="SFM-150") as error:
        made(rows)
    assert said in str(error.value), str(error.value)


def test_what_may_be_missing_or_unlisted_has_a_stated_rule():
    rows = made_rows(sites=3, persons=20)
    rows[0][3], rows[1][4], rows[2][4] = "", "", "x"
    held = made(rows, outside="clip")
    features = np.concatenate([p.features for m in held.members for p in (m.registered, m.unseen)])
    assert (features[:, 1] == 1.7).sum() == 1  # the public constant
    assert (features[:, 2:].sum(axis=1) == 0).sum() == 2  # nothing listed, and nothing given


def test_a_giveaway_may_be_allowed():
    rows = made_rows(sites=3, persons=20)
    for row in rows:
        row[2] = str(20 + 30 * int(row[5]))
    assert made(rows, allow_giveaway=("age",)).persons == 60


def test_sites_that_would_share_a_folder():
    rows = made_rows(sites=4, persons=20)
    for row in rows:
        row[1] = {"Clinic 1": "Clinic (0)", "Clinic 0": "clinic 0"}.get(row[1], row[1])
    with pytest.raises(TableError, match="would share the folder"):
        made(rows)
    assert folder_name("../../etc") == "etc" and folder_name("***") == "site"


def test_later_sites_must_be_there():
    with pytest.raises(TableError, match="no rows of the later site 'Clinic 9'"):
        made(made_rows(sites=3, persons=20), later=("Clinic 9",))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"site": "died"}, "two uses"),
        ({"features": ()}, "no features"),
        ({"registered_share": 1.0}, "registered_share"),
    ],
)
def test_descriptions_are_checked(changes, said):
    with pytest.raises(TableError, match=said):
        described(**changes)


@pytest.mark.parametrize(
    "entry",
    [
        {"low": 0},
        {"low": 0, "high": 1, "values": ("a",)},
        {"values": ("a", "a")},
        {"low": 0, "high": 1, "missing": 2.0},
        {},
    ],
)
def test_features_are_checked(entry):
    with pytest.raises(TableError):
        Column("x", **entry)


def test_unknown_keys_of_the_file_are_named():
    good = {
        "target": "a",
        "positive": "1",
        "site": "b",
        "person": "c",
        "feature": [{"column": "d", "low": 0, "high": 1}],
    }
    assert Description.from_table(good, "f").features[0].column == "d"
    for bad in (
        {**good, "tagret": "x"},
        {k: v for k, v in good.items() if k != "site"},
        {**good, "feature": [{"lo": 1}]},
    ):
        with pytest.raises(TableError, match="a key is missing, unknown"):
            Description.from_table(bad, "f")


def test_labels_are_ones_where_the_target_is_positive():
    table = Table.of({"died": ["no", "yes", "no"]})
    described_ = Description("died", "yes", "b", "c", (Column("d", low=0, high=1),))
    assert labels_of(table, described_).tolist() == [0.0, 1.0, 0.0]


@pytest.mark.parametrize(
    "change",
    [
        {"target": 3},
        {"positive": 1},
        {"site": None},
        {"person": ["patient"]},
        {"registered_share": "0.7"},
        {"registered_share": True},
        {"later": "Clinic 3"},
        {"later": (3,)},
        {"allow_giveaway": "age"},
        {"features": ("age",)},
    ],
    ids=str,
)
def test_descriptions_of_another_kind(change):
    with pytest.raises(TableError, match="SFM-150"):
        described(**change)


@pytest.mark.parametrize(
    "entry",
    [
        {"low": "0", "high": 120},
        {"low": 0, "high": float("nan")},
        {"low": 0, "high": 10**400},
        {"low": False, "high": 1},
        {"low": 0, "high": 1, "missing": "0.5"},
        {"values": "ab"},
        {"values": (1, 2)},
        {"low": 0, "high": 1, "transform": None},
        {"low": 0, "high": 1, "unit": 3},
        {"column": 7, "low": 0, "high": 1},
    ],
    ids=str,
)
def test_columns_of_another_kind(entry):
    with pytest.raises(TableError, match="SFM-150"):
        Column(**{"column": "age"} | entry)


@pytest.mark.parametrize("later", ["Clinic 3", 3, [3], {"a": 1}])
def test_a_file_with_values_of_another_kind(later):
    stated = {"target": "died", "positive": "1", "site": "hospital", "person": "patient", "later": later}
    with pytest.raises(TableError, match="SFM-150"):
        Description.from_table(stated | {"feature": [{"column": "age", "low": 0, "high": 120}]}, "pilot.toml")
