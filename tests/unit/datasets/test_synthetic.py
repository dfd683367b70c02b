"""Both published generators: values that the published programs printed, and their law by independent formulas."""

import hashlib

import numpy as np
import pytest

from secure_fedmeta.datasets.clients import ClientData, TaskError
from secure_fedmeta.datasets.leaf import LeafError, Synthetic, leaf_users, open_split
from secure_fedmeta.datasets.synthetic import fedprox_synthetic, leaf_synthetic, write_leaf


def labels(clients):
    return hashlib.sha256(np.concatenate([client.y for client in clients]).astype(np.int64).tobytes()).hexdigest()[:16]


def test_leafs_default_set_is_the_published_one():
    """`main.py -num-tasks 1000 -num-classes 5 -num-dim 60`: LEAF's table states 1 000 users and 107 553 samples.

    The other figures were printed by the published program under NumPy 2.4; arrays were equal to the last bit.
    """
    held = leaf_synthetic()
    assert len(held) == 1000 and sum(map(len, held)) == 107_553
    assert [len(client) for client in held[:8]] == [86, 33, 52, 6, 11, 784, 11, 153]
    assert np.bincount(np.concatenate([client.y for client in held])).tolist() == [16607, 15477, 23124, 35783, 16562]
    assert np.allclose(held[0].x[0, :3], [-1.6807978879224568, 2.346998585998564, -1.3534158826589078], rtol=1e-12)
    assert np.allclose(held[999].x[-1, -2:], [-0.3735115790711777, 1.2444088140251237], rtol=1e-12)
    assert labels(held) == "14e485fc1e1dc498"
    assert sum(client.classes == 1 for client in held) == 513


@pytest.mark.parametrize(
    ("alpha", "beta", "iid", "first", "last", "counts", "digest"),
    [
        (
            1.0,
            1.0,
            False,
            [-2.6940151927926657, 0.2410966080826099],
            [0.5418577932902295, 0.30665600029432577],
            [697, 1181, 1617, 1960, 1721, 9670, 2258, 538, 132, 327],
            "813279070cc8bc78",
        ),
        (
            0.5,
            0.5,
            False,
            [-2.3577849689046904, 0.5773268319705854],
            [0.014631929824661216, -0.22056986317124255],
            [1252, 680, 1578, 5255, 749, 6460, 2662, 737, 318, 410],
            "5f71997d269c816d",
        ),
        (
            0.0,
            0.0,
            False,
            [-2.0215547450167146, 0.913557055858561],
            [-0.5125939336409071, -0.7477957266368109],
            [1102, 948, 889, 6194, 877, 1655, 5646, 1416, 974, 400],
            "a1e97f9971a44413",
        ),
        (
            0.0,
            0.0,
            True,
            [-0.2888081816412355, -0.45637446953853733],
            [-1.3690245551764562, -0.04870237245519397],
            [272, 965, 2575, 3473, 387, 1268, 729, 3468, 3124, 3840],
            "ca26923e2701df59",
        ),
    ],
)
def test_fedprox_sets_are_the_published_ones(alpha, beta, iid, first, last, counts, digest):
    """Printed by the published programs after `numpy.random.seed(0); random.seed(0)`."""
    train, test = fedprox_synthetic(alpha=alpha, beta=beta, iid=iid, seed=0)
    assert [len(client) for client in train[:5]] == [1718, 153, 392, 4388, 2103]
    assert (sum(map(len, train)), sum(map(len, test))) == (20101, 2248)
    assert np.allclose(train[0].x[0, :2], first, rtol=1e-12) and np.allclose(test[29].x[-1, :2], last, rtol=1e-12)
    assert np.bincount(np.concatenate([client.y for client in train]).astype(int)).tolist() == counts
    assert labels(train + test) == digest


def test_alpha_and_beta_are_standard_deviations_in_the_code():
    """Twice alpha and beta move the user means twice as far: a variance would move them sqrt(2) times."""
    one, two = (fedprox_synthetic(alpha=s, beta=s, seed=4)[0] for s in (1.0, 2.0))
    noise = fedprox_synthetic(alpha=0.0, beta=0.0, seed=4)[0]
    for a, b, zero in zip(one, two, noise, strict=True):
        spread = a.x.mean() - zero.x.mean()
        assert np.isclose(b.x.mean() - zero.x.mean(), 2.0 * spread, rtol=1e-9)


def test_iid_users_share_one_rule_and_the_others_do_not():
    found = []
    for iid in (True, False):
        train, _ = fedprox_synthetic(alpha=0.0, beta=0.0, iid=iid, seed=2)
        x = np.concatenate([client.x for client in train])
        y = np.concatenate([client.y for client in train]).astype(int)
        rows = np.hstack([x, np.ones((len(x), 1))])  # a linear rule for all, by least squares on the classes
        weights = np.linalg.lstsq(rows, np.eye(10)[y], rcond=None)[0]
        found.append(((rows @ weights).argmax(axis=1) == y).mean())
        assert not iid or (abs(x.mean()) < 0.02 and np.allclose(x.var(axis=0), np.arange(1, 61) ** -1.2, rtol=0.1))
    assert found[0] > 0.7 > 0.6 > found[1], found


def test_overflow_labels_class_zero_or_the_first_that_overflows():
    """With far too large alpha the published softmax divides infinity by infinity; the labels it wrote are kept."""
    train, _ = fedprox_synthetic(alpha=40.0, beta=40.0, seed=1)
    assert np.bincount(np.concatenate([client.y for client in train]).astype(int)).tolist() == [7799]


def test_leaf_rows_follow_their_law():
    held = leaf_synthetic(tasks=200, classes=3, dimension=4, seed=1, clusters=(0.5, 0.5))
    within = np.concatenate([client.x - client.x.mean(axis=0) for client in held if len(client) > 100])
    assert np.allclose(within.var(axis=0), np.arange(1, 5) ** -1.2, rtol=0.1)
    assert [client.name for client in held[:3]] == ["0", "1", "2"]


@pytest.mark.parametrize(
    "settings",
    [{"tasks": 0}, {"classes": 1}, {"dimension": 0}, {"seed": -1}, {"clusters": ()}, {"clusters": (0.5, 0.4)},
     {"clusters": (1.5, -0.5)}, {"tasks": 10**9}],
)  # fmt: skip
def test_leaf_settings_out_of_bounds(settings):
    with pytest.raises((TaskError, ValueError), match="SFM-137"):
        leaf_synthetic(**settings)


@pytest.mark.parametrize(
    "settings", [{"alpha": -1.0}, {"beta": float("nan")}, {"alpha": float("inf")}, {"seed": 2**32}]
)
def test_fedprox_settings_out_of_bounds(settings):
    with pytest.raises(TaskError, match="SFM-137"):
        fedprox_synthetic(**settings)


def test_written_files_are_read_back_to_the_last_bit(tmp_path):
    train, test = fedprox_synthetic(seed=5)
    write_leaf(tmp_path / "train", train[:4], name="mytrain.json")
    write_leaf(tmp_path / "test", test[:4], name="mytest.json")
    for split, clients in (("train", train), ("test", test)):
        users = leaf_users(tmp_path, split, Synthetic(60, 10), strict=True)
        assert [user.name for user in users] == [f"f_{i:05d}" for i in range(4)]
        assert all(np.array_equal(user.x, client.x) for user, client in zip(users, clients[:4], strict=True))
        assert all(np.array_equal(user.y, client.y) for user, client in zip(users, clients[:4], strict=True))


def test_files_that_are_not_written(tmp_path):
    client = ClientData("a", np.ones((1, 1)), np.ones(1))
    with pytest.raises(TaskError, match=r"a client twice \(client 'a'\)"):
        write_leaf(tmp_path, [client, client])
    with pytest.raises(TaskError, match="no clients"):
        write_leaf(tmp_path / "none", [])
    with pytest.raises(LeafError, match=r"no \.json"):
        open_split(tmp_path, "none")
