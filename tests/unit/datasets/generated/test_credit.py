"""The credit pilot: banks that are reproducible, inside public limits, unlike each other, drifting; and real files."""

import numpy as np
import pytest

from secure_fedmeta.datasets.generated import credit
from secure_fedmeta.datasets.records import RecordsError
from secure_fedmeta.datasets.table import TableError
from secure_fedmeta.scores import auroc


@pytest.fixture(scope="module")
def banks():
    return credit.load_banks(seed=3)


def every(banks):
    parts = [part for m in banks.members for part in (m.registered, m.unseen)]
    return [*parts, *banks.later]


def test_a_seed_is_a_world(banks):
    again, other = credit.load_banks(seed=3), credit.load_banks(seed=4)
    for a, b in zip(every(banks), every(again), strict=True):
        assert a.ids == b.ids and np.array_equal(a.features, b.features) and np.array_equal(a.labels, b.labels)
    assert not np.array_equal(every(banks)[0].features[:5], every(other)[0].features[:5])
    assert banks.generated and "no applicant exists" in banks.source


@pytest.mark.parametrize("seed", [0, 1, 2, 3, 4])
def test_every_value_keeps_its_public_limits_with_room(seed):
    banks = credit.load_banks(seed=seed)
    features = np.concatenate([site.features for site in every(banks)])
    banks.codebook.encode(features)  # refuses what lies outside
    high = np.array([f.high for f in banks.codebook.features])
    assert (features[:, :13].max(axis=0) < high[:13]).all()  # no limit was read off the data


def test_nobody_is_at_two_banks(banks):
    ids = [i for site in every(banks) for i in site.ids]
    assert len(set(ids)) == len(ids) == banks.persons
    sizes = [len(m.registered) for m in banks.members]
    assert max(sizes) <= round(credit.REGISTERED_SHARE * credit.LARGEST) and max(sizes) > 2.5 * min(sizes)


def test_banks_differ_and_the_world_drifts():
    worlds = [credit.load_banks(seed=seed) for seed in range(6)]
    rates = [float(m.registered.labels.mean()) for world in worlds for m in world.members]
    assert 0.04 < min(rates) < 0.15 and 0.22 < max(rates) < 0.6
    for column, sign in ((0, -1), (4, 1)):  # later applicants earn less and use more of their credit lines
        shift = [
            float(m.unseen.features[:, column].mean() - m.registered.features[:, column].mean())
            for world in worlds
            for m in world.members
        ]
        assert sign * np.mean(shift) > 3 * np.std(shift) / len(shift) ** 0.5


def test_a_linear_model_finds_much_and_not_everything():
    from sklearn.linear_model import LogisticRegression

    world = credit.load_banks(seed=5)
    encode = world.codebook.encode
    rows = np.concatenate([encode(m.registered.features) for m in world.members])
    labels = np.concatenate([m.registered.labels for m in world.members])
    model = LogisticRegression(C=100.0, max_iter=3000).fit(rows, labels)
    found = [auroc(m.unseen.labels, model.decision_function(encode(m.unseen.features))) for m in world.members]
    assert 0.74 < np.mean(found) < 0.88


@pytest.mark.parametrize("settings", [{"seed": -1}, {"seed": 0, "members": 1}, {"seed": 0, "members": 300}])
def test_impossible_worlds_are_refused(settings):
    with pytest.raises(RecordsError, match="SFM-137"):
        credit.load_banks(**settings)


# The layout of the repository's german.data, with made-up applicants.


def german_line(rng):
    cells = []
    for at in range(20):
        if at in credit._GERMAN_NUMBERS:
            feature = credit._GERMAN_NUMBERS[at]
            cells.append(str(int(rng.integers(int(np.ceil(feature.low)), int(feature.high) + 1))))
        else:
            cells.append(str(rng.choice(credit._GERMAN_CODES[at][1])))
    return " ".join([*cells, str(rng.integers(1, 3))])


@pytest.fixture
def german(tmp_path):
    rng = np.random.default_rng(0)
    path = tmp_path / "german.data"
    path.write_text("\n".join(german_line(rng) for _ in range(160)) + "\n")
    return path


def test_the_german_file_is_dealt_to_banks(german):
    held = credit.read_german_credit(german, seed=1, members=3, later=1)
    assert [len(m.registered) for m in held.members] == [24, 24, 24] and len(held.later[0]) == 40
    assert held.persons == 160 and not held.generated and "1994" in held.source
    features = held.members[0].registered.features
    assert features.shape[1] == 63 and (features[:, 7:].sum(axis=1) == 13).all()  # one code of each list
    held.codebook.encode(features)
    first = {i: features[n] for n, i in enumerate(held.members[0].registered.ids)}
    line, row = next(iter(first.items()))
    cells = german.read_text().splitlines()[int(line.removeprefix("line-")) - 1].split()
    assert row[0] == int(cells[1]) and row[1] == int(cells[4])


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda line: line.rsplit(" ", 1)[0], "line 3"),
        (lambda line: line[:-1] + "3", "no class 1 or 2"),
        (lambda line: line.replace(line.split()[0], "A19", 1), "attribute 1 has no code"),
        (lambda line: " ".join(["x" if i == 4 else c for i, c in enumerate(line.split())]), "attribute 5 is no number"),
        (lambda line: " ".join(["900" if i == 12 else c for i, c in enumerate(line.split())]), "attribute 13"),
    ],
)
def test_other_files_are_refused_with_their_line(german, spoil, said):
    lines = german.read_text().splitlines()
    lines[2] = spoil(lines[2])
    german.write_text("\n".join(lines))
    with pytest.raises(TableError, match="SFM-150") as error:
        credit.read_german_credit(german, seed=0, members=3, later=1)
    assert said in str(error.value)


def test_empty_missing_and_small_files(tmp_path, german):
    with pytest.raises(TableError, match="cannot read"):
        credit.read_german_credit(tmp_path / "none", seed=0)
    (tmp_path / "empty").write_text("")
    with pytest.raises(TableError, match="empty"):
        credit.read_german_credit(tmp_path / "empty", seed=0, members=2, later=0)
    with pytest.raises(RecordsError, match="160 applicants for 10 banks"):
        credit.read_german_credit(german, seed=0)
