"""A split on disk: what is indexed, what is read, and what is refused."""

import json
import re

import leaf_files
import numpy as np
import pytest

from secure_fedmeta.datasets.leaf import LeafError, open_split
from secure_fedmeta.datasets.leaf import split as split_module


def some(n, shift=0):
    return [[float(shift + i), 1.0] for i in range(n)], [i % 2 for i in range(n)]


def test_files_are_merged_and_users_sorted(tmp_path):
    leaf_files.write(tmp_path / "train", {"b": some(2), "a": some(3, 10)}, name="one.json")
    leaf_files.write(tmp_path / "train", {"c": some(1, 20), "B": some(4, 30)}, name="two.json")
    (tmp_path / "train" / "notes.txt").write_text("no data")
    split = open_split(tmp_path, "train")
    assert split.names == ("B", "a", "b", "c") and split.samples.tolist() == [4, 3, 2, 1]
    assert split.counts == {"B": 4, "a": 3, "b": 2, "c": 1} and len(split) == 4
    assert [user.name for user in split] == ["B", "a", "b", "c"]
    assert [user.name for user in split.in_file_order()] == ["b", "a", "c", "B"]
    assert split["a"].x == some(3, 10)[0] and split["a"].file.name == "one.json"
    assert "a" in split and "z" not in split and 3 not in split
    with pytest.raises(KeyError):
        split["z"]


def test_train_and_test_may_hold_different_users(tmp_path):
    leaf_files.write(tmp_path / "train", {"a": some(2)})
    leaf_files.write(tmp_path / "test", {"b": some(2)})
    assert open_split(tmp_path, "train").names == ("a",) and open_split(tmp_path, "test").names == ("b",)


def test_every_order_of_fields_and_unknown_ones(tmp_path):
    x, y = some(2)
    held = {
        "extra": [{"deep": "]"}],
        "user_data": {"a": {"y": y, "more": {"z": 1}, "x": x}},
        "users": ["a"],
        "num_samples": [2],
    }
    (tmp_path / "train").mkdir()
    (tmp_path / "train" / "f.json").write_text(json.dumps(held, indent=2))
    assert open_split(tmp_path)["a"].y == y


def test_num_samples_is_never_trusted(tmp_path):
    leaf_files.write(tmp_path / "train", {"a": some(2), "b": some(3)}, num_samples=[81, 3])
    split = open_split(tmp_path)
    assert split.miscounted == ("a",) and split.counts == {"a": 2, "b": 3}
    with pytest.raises(LeafError, match=r"SFM-139: num_samples says 81, y has 2 .*niid.*user 'a'"):
        open_split(tmp_path, strict=True)
    leaf_files.write(tmp_path / "train", {"a": some(2), "b": some(3)}, num_samples=["many", None])
    assert open_split(tmp_path).miscounted == ("a", "b")


def test_hierarchies_where_there_is_one_for_each_user(tmp_path):
    leaf_files.write(tmp_path / "train", {"a": some(1), "b": some(1)}, hierarchies=["play-1", "play-2"], name="1.json")
    leaf_files.write(tmp_path / "train", {"c": some(1)}, hierarchies=["play-1", "play-9"], name="2.json")
    assert open_split(tmp_path).hierarchies == {"a": "play-1", "b": "play-2"}


def test_left_over_entries_without_samples_are_no_clients_and_are_named(tmp_path):
    x, y = some(2)
    data = {"a": {"x": x, "y": y}, "dropped": {"x": [], "y": []}}
    leaf_files.write(tmp_path / "train", {"a": (x, y)}, user_data=data)
    split = open_split(tmp_path)
    assert split.names == ("a",) and split.empty == ("dropped",)


def test_entries_that_are_not_listed_are_clients_as_leaf_has_it(tmp_path):
    leaf_files.write(tmp_path / "train", {"a": some(1), "b": some(2)}, users=["a"], num_samples=[1])
    assert open_split(tmp_path).names == ("a", "b")


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"users": None}, "no 'users'"),
        ({"num_samples": None}, "no 'num_samples'"),
        ({"user_data": None}, "no 'user_data'"),
        ({"users": ["a", "b", "c"]}, "3 users and 2 num_samples"),
        ({"users": ["a", "c"]}, "listed in 'users', not in 'user_data'.*user 'c'"),
        ({"users": ["a", "a"]}, "listed twice.*user 'a'"),
        ({"users": ["a", 7]}, "not a string.*user '7'"),
        ({"users": "ab"}, "is no list"),
        ({"user_data": {"a": {"x": [], "y": []}, "b": {"x": [1], "y": [1]}}}, "no samples .*user 'a'"),
        ({"user_data": {"a": {"x": [1]}, "b": {"x": [1], "y": [1]}}}, "no 'y' .*user 'a'"),
        ({"user_data": {"a": {"y": [1]}, "b": {"x": [1], "y": [1]}}}, "no 'x' .*user 'a'"),
        ({"user_data": {"a": {"x": [1], "y": {"0": 1}}, "b": {"x": [1], "y": [1]}}}, "y is no list .*user 'a'"),
        ({"user_data": {"a": [1, 2], "b": {"x": [1], "y": [1]}}}, "no 'x' .*user 'a'"),
        ({"user_data": {"a": 3, "b": {"x": [1], "y": [1]}}}, "not in LEAF's layout .*user 'a'"),
        ({"user_data": [1]}, "not in LEAF's layout"),
        ({"user_data": {"": {"x": [1], "y": [1]}}}, "not a usable user name .*user ''"),
        ({"user_data": {"u" * 1001: {"x": [1], "y": [1]}}}, "not a usable user name"),
        ({"user_data": {"\ud800": {"x": [1], "y": [1]}}}, "not a usable user name .*ud800"),
        ({"users": [], "num_samples": [], "user_data": {}}, "no users"),
    ],
)
def test_files_that_are_not_in_the_layout(tmp_path, changes, says):
    leaf_files.write(tmp_path / "train", {"a": some(1), "b": some(1)}, **changes)
    with pytest.raises(LeafError, match=says) as caught:
        open_split(tmp_path)
    assert caught.value.code == "SFM-139" and str(tmp_path) in caught.value.where
    str(caught.value).encode()  # prints everywhere, whatever the name was


def test_what_is_wrong_inside_a_user_is_said_when_that_user_is_read(tmp_path):
    data = {"a": {"x": [1, 2], "y": [1]}, "b": {"x": [[1], [2]], "y": [1, 2]}, "c": {"x": 5, "y": [1]}}
    leaf_files.write(tmp_path / "train", {}, users=list(data), num_samples=[1, 2, 1], user_data=data)
    split = open_split(tmp_path)
    assert split["b"].y == [1, 2]
    for name, says in (("a", "x and y have 2 and 1 entries"), ("c", "x and y have no list and 1 entries")):
        with pytest.raises(LeafError, match=f"{says} .*user '{name}'"):
            split[name]
    file = split.files[0]
    file.write_text(file.read_text().replace("[[1], [2]]", "[[1], NaN]"))
    with pytest.raises(LeafError, match=r"NaN is not a number in JSON .*user 'b'"):
        open_split(tmp_path)["b"]


def test_a_user_twice(tmp_path):
    leaf_files.write(tmp_path / "train", {"a": some(1), "b": some(1)}, name="1.json")
    leaf_files.write(tmp_path / "train", {"b": some(1)}, name="2.json")
    with pytest.raises(LeafError, match=r"also in 1\.json \(.*2\.json, user 'b'\)"):
        open_split(tmp_path)
    (tmp_path / "train" / "2.json").unlink()
    file = tmp_path / "train" / "1.json"
    file.write_text(
        file.read_text().replace('"b": {', '"a": {').replace('["a", "b"]', '["a"]').replace("[1, 1],", "[1],")
    )
    with pytest.raises(LeafError, match="user 'a'"):
        open_split(tmp_path)


def test_directories_without_files(tmp_path):
    (tmp_path / "train").mkdir()
    (tmp_path / "train" / "data.txt").write_text("{}")
    (tmp_path / "train" / "folder.json").mkdir()
    for split, said in (("train", r"no \.json files"), ("test", "no such directory")):
        with pytest.raises(LeafError, match=said):
            open_split(tmp_path, split)


def test_bytes_that_are_no_text(tmp_path):
    file = leaf_files.write(tmp_path / "train", {"a": some(1), "b": some(1)})
    file.write_bytes(file.read_bytes().replace(b'"a": {', b'"\xff": {'))
    with pytest.raises(LeafError, match="not UTF-8"):
        open_split(tmp_path)
    file = leaf_files.write(tmp_path / "train", {"a": (["mark"], [0])})
    file.write_bytes(file.read_bytes().replace(b"mark", b"m\xe4rk"))
    with pytest.raises(LeafError, match=r"not UTF-8.*user 'a'"):
        open_split(tmp_path)["a"]


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.999])
def test_truncated_files(tmp_path, share):
    file = leaf_files.write(tmp_path / "train", {"a": some(50), "b": some(50)})
    text = file.read_text()
    file.write_text(text[: int(share * len(text))])
    with pytest.raises(LeafError, match=re.escape(str(file))):
        open_split(tmp_path)


def test_a_file_that_changes_is_noticed(tmp_path):
    file = leaf_files.write(tmp_path / "train", {"a": some(5)})
    split = open_split(tmp_path)
    file.write_text(file.read_text() + " ")
    with pytest.raises(LeafError, match="changed after it was indexed"):
        split["a"]
    file.unlink()
    with pytest.raises(LeafError, match="cannot be read"):
        split["a"]


def test_a_user_too_large_to_be_read(tmp_path, monkeypatch):
    leaf_files.write(tmp_path / "train", {"small": some(1), "large": some(200)})
    monkeypatch.setattr(split_module, "LARGEST_VALUE", 500)
    with pytest.raises(LeafError, match=r"more than 500 .*user 'large'"):
        open_split(tmp_path)


def test_nothing_of_a_record_is_printed(tmp_path):
    leaf_files.write(tmp_path / "train", {"a": ([["secret"]], [1])})
    split = open_split(tmp_path)
    assert "secret" not in repr(split) and "secret" not in repr(split["a"])
    assert isinstance(split.samples, np.ndarray)


def test_small_and_large_users_are_indexed_alike(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    users = {f"u{i}": leaf_files.reddit(rng, 3) for i in range(5)} | {'q"\\[': leaf_files.shakespeare(rng, 4)}
    leaf_files.write(tmp_path / "train", users)
    small = open_split(tmp_path)
    monkeypatch.setattr(split_module, "SMALL_USER", 10)
    large = open_split(tmp_path)
    assert small.names == large.names and small.counts == large.counts
    for one, two in zip(small, large, strict=True):
        assert (one.x, one.y) == (two.x, two.y) == users[one.name]


@pytest.mark.parametrize("small", [10, 1 << 12])
@pytest.mark.parametrize(
    ("entry", "says"), [({"x": [1]}, "no 'y'"), ({}, "no 'x'"), ({"x": [], "y": 1}, "y is no list")]
)
def test_small_and_large_users_are_refused_alike(tmp_path, monkeypatch, small, entry, says):
    monkeypatch.setattr(split_module, "SMALL_USER", small)
    leaf_files.write(tmp_path / "train", {"a": some(1)}, user_data={"a": entry})
    with pytest.raises(LeafError, match=f"{says} .*user 'a'"):
        open_split(tmp_path)
