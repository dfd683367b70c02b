"""Labelled arrays and clients made of them: validation, public ranges, shards, splits."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from secure_fedmeta.datasets.clients import ClientData, TaskError
from secure_fedmeta.datasets.labelled import Labelled, bundled, by_label_shards


@pytest.mark.parametrize("name", ["digits", "breast_cancer", "diabetes", "wine"])
def test_bundled_sets_lie_inside_their_public_ranges(name):
    data = bundled(name)
    low, high = np.array(data.ranges).T
    assert (data.x >= low).all() and (data.x <= high).all()
    scaled = data.scaled()
    assert scaled.x.min() >= -1.0 and scaled.x.max() <= 1.0 and scaled.ranges is None
    found = list(zip(data.x.min(axis=0).tolist(), data.x.max(axis=0).tolist(), strict=True))
    fitted = [column for column, pair in enumerate(found) if pair == data.ranges[column]]
    # By definition and not by the data: a digit's pixel counts 0 to 16, sex is coded 1 and 2.
    assert name == "digits" or fitted == {"diabetes": [1]}.get(name, [])


def test_bundled_labels():
    assert np.bincount(bundled("breast_cancer").y).tolist() == [357, 212]
    assert sorted(bundled("wine").places()) == [0, 1, 2]
    diabetes = bundled("diabetes")
    assert (diabetes.y.min(), diabetes.y.max()) == (25, 346)
    with pytest.raises(TaskError, match="unknown set 'iris'"):
        bundled("iris")


@pytest.mark.parametrize(
    ("x", "y", "says"),
    [
        (np.array([[1.0], ["a"]], dtype=object), [0, 1], "SFM-133.*not numbers"),
        ([[1.0], [None]], [0, 1], "SFM-133.*not numbers"),
        ([[1.0], ["a"]], [0, 1], "SFM-133.*not numbers"),
        ([[1.0], [1.0, 2.0]], [0, 1], "SFM-133.*different lengths"),
        (np.ones((2, 1)) * 1j, [0, 1], "SFM-133.*not numbers"),
        (np.ma.ones((2, 1)), [0, 1], "SFM-133.*masked"),
        (np.ones((2, 1)), [0], "SFM-133"),
        (np.zeros((0, 3)), [], "SFM-133.*no samples"),
        (np.array([[1.0], [np.nan]]), [0, 1], "SFM-134"),
        (np.array([[1.0], [np.inf]]), [0, 1], "SFM-134"),
        (np.ones((2, 1)), [0.0, np.nan], "SFM-134"),
    ],
)
@pytest.mark.parametrize("kind", [Labelled, ClientData])
def test_bad_arrays(kind, x, y, says):
    with pytest.raises(TaskError, match=f"{says}.*'mine'"):
        kind("mine", x, y)


def test_labelled_shapes_and_ranges():
    for x, y in ((np.ones(3), np.ones(3)), (np.ones((3, 1)), np.ones((3, 1)))):
        with pytest.raises(TaskError, match=r"SFM-133.*shape"):
            Labelled("mine", x, y)
    for ranges in (((0.0, 1.0),) * 2, ((1.0, 1.0),)):
        with pytest.raises(TaskError, match="SFM-137"):
            Labelled("mine", np.ones((3, 1)), np.ones(3), ranges)
    with pytest.raises(TaskError, match="SFM-137"):
        Labelled("mine", np.ones((3, 1)), np.ones(3)).scaled()
    with pytest.raises(TaskError, match=r"SFM-133.*whole numbers"):
        Labelled("mine", np.ones((2, 1)), np.array([0.5, 1.0])).places()
    with pytest.raises(TaskError, match="SFM-138"):
        bundled("wine").split_classes(3, seed=0)


def test_arrays_are_read_only_and_types_are_settled():
    client = ClientData("a", np.ones((2, 3), dtype=np.float32), np.array([True, False]))
    assert client.x.dtype == np.float64 and client.y.dtype == np.int64
    assert ClientData("a", np.ones((2, 3), dtype=np.uint8), [0, 1]).x.dtype == np.uint8
    with pytest.raises(ValueError, match="read-only"):
        client.x[0, 0] = 2.0


def test_the_name_of_a_record_is_in_no_text():
    client = ClientData("a", np.array([[123456.0]]), np.array([7]))
    assert "123456" not in repr(client) and "7" not in repr(client)


@settings(max_examples=40, deadline=None)
@given(clients=st.integers(1, 30), shards=st.integers(1, 4), seed=st.integers(0, 1000))
def test_label_shards_deal_every_sample_once(clients, shards, seed):
    n = 150
    data = Labelled("rows", np.arange(float(n))[:, None], np.arange(n) % 5)
    held = by_label_shards(data, clients=clients, shards=shards, seed=seed)
    everything = np.concatenate([client.x for client in held]).ravel()
    assert sorted(everything.tolist()) == list(range(n)) and len(held) == clients
    assert all((client.x[:, 0] % 5 == client.y).all() for client in held)
    sizes = [len(client) for client in held]
    assert max(sizes) - min(sizes) <= shards
    same = by_label_shards(data, clients=clients, shards=shards, seed=seed)
    assert all(np.array_equal(a.x, b.x) for a, b in zip(held, same, strict=True))
    # A piece of n / (clients * shards) samples cuts at most one border between labels more than it is long.
    assert all(client.classes <= shards * (2 + n // (clients * shards) // (n // 5)) for client in held)


def test_label_shards_out_of_bounds():
    data = bundled("wine")
    for settings_, code in (({"clients": 0}, "137"), ({"clients": 5, "shards": 0}, "137"), ({"clients": 100}, "138")):
        with pytest.raises(TaskError, match=f"SFM-{code}"):
            by_label_shards(data, seed=0, **settings_)


@settings(max_examples=60, deadline=None)
@given(n=st.integers(2, 40), support=st.sampled_from([0.01, 0.2, 0.5, 0.9, 0.99]), seed=st.integers(0, 2**40))
def test_a_task_uses_every_sample_once(n, support, seed):
    client = ClientData("a", np.arange(2.0 * n).reshape(n, 2), np.arange(n))
    task = client.task(support, seed=seed)
    rows = np.concatenate([task.support_rows, task.query_rows])
    assert sorted(rows[:, 0].tolist()) == [2.0 * i for i in range(n)]
    assert len(task.support_labels) == min(max(1, int(support * n)), n - 1)
    assert np.array_equal(rows[:, 0], 2.0 * np.concatenate([task.support_labels, task.query_labels]))


def test_a_split_depends_on_seed_and_name_only():
    x, y = np.arange(20.0)[:, None], np.arange(20)
    one = [ClientData(name, x, y).task(0.5, seed=seed).support_labels.tolist() for name, seed in
           (("a", 0), ("a", 0), ("b", 0), ("a", 1))]  # fmt: skip
    assert one[0] == one[1] and one[0] != one[2] and one[0] != one[3]


@pytest.mark.parametrize(
    ("n", "support", "classes", "seed", "code"),
    [
        (1, 0.5, 1, 0, "138"),
        (4, 0.0, 1, 0, "137"),
        (4, 1.0, 1, 0, "137"),
        (4, 0.5, 2, 0, "138"),
        (4, 0.5, 1, -1, "137"),
    ],
)
def test_clients_of_which_no_task_can_be_made(n, support, classes, seed, code):
    client = ClientData("user-9", np.zeros((n, 1)), np.zeros(n))
    with pytest.raises(TaskError, match=f"SFM-{code}.*'user-9'"):
        client.task(support, seed=seed, min_classes=classes)
