"""Files that were tampered with are read as valid users or refused by number: no other exception, no other effect."""

import json

import leaf_files
import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from secure_fedmeta.datasets.leaf import (
    CelebA,
    Femnist,
    Reddit,
    Sent140,
    Shakespeare,
    Synthetic,
    Vocabulary,
    leaf_users,
)
from secure_fedmeta.datasets.leaf import split as split_module
from secure_fedmeta.datasets.records import DataError

WORDS = Vocabulary(("good", "day", "well", "yes"))
SETS = {
    "femnist": Femnist(),
    "shakespeare": Shakespeare(),
    "sent140": Sent140(WORDS),
    "reddit": Reddit(WORDS),
    "synthetic": Synthetic(),
}
BYTES = b'{}[]",:\\ 0-9eE.+naINtruefls\x00\xff\xc3\xa9\n'


def read_all(folder, kind):
    """How many users were read; DataError is the only way out."""
    try:
        users = leaf_users(folder, "train", kind)
        read = list(users)
    except DataError as error:
        str(error).encode("utf-8")
        assert error.code in {"SFM-133", "SFM-134", "SFM-139"} and "train" in error.where
        return 0
    for client in read:
        assert len(client.x) == len(client.y) == len(client) > 0
    return len(read)


@pytest.mark.parametrize("small", [8, 1 << 12])
@pytest.mark.parametrize("name", sorted(SETS))
@example(data=None)
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_bytes_changed_anywhere(tmp_path_factory, monkeypatch, name, small, data):
    monkeypatch.setattr(split_module, "SMALL_USER", small)
    folder = tmp_path_factory.mktemp("leaf")
    rng = np.random.default_rng(0)
    maker = getattr(leaf_files, name)
    file = leaf_files.write(folder / "train", {"a": maker(rng, 2), "b": maker(rng, 1)})
    if data is None:  # what is not changed is read
        assert read_all(folder, SETS[name]) == 2
        return
    held = bytearray(file.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        near = data.draw(st.sampled_from([0, max(0, len(held) - 200), held.find(b"user_data"), held.find(b'"b": {')]))
        at = max(0, min(max(near, 0) + data.draw(st.integers(0, 200)), len(held) - 1))
        how = data.draw(st.sampled_from(["change", "insert", "drop", "cut", "double"]))
        if how == "change":
            held[at : at + 1] = bytes([data.draw(st.sampled_from(list(BYTES)))])
        elif how == "insert":
            held[at:at] = bytes([data.draw(st.sampled_from(list(BYTES)))])
        elif how == "drop":
            del held[at : at + data.draw(st.integers(1, 30))]
        elif how == "cut":
            del held[max(at, 1) :]
        else:
            held[at:at] = held[at : at + data.draw(st.integers(1, 60))]
    file.write_bytes(bytes(held))
    assert read_all(folder, SETS[name]) in {0, 1, 2, 3}


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**40), 10**40) | st.floats(allow_nan=False) | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["x", "y", "a", "b", ""]), inner, max_size=3)
    ),
    max_leaves=12,
)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(x=JUNK, y=JUNK, users=JUNK, counts=JUNK, name=st.sampled_from(sorted(SETS)), whole=st.booleans())
def test_any_json_in_the_place_of_samples(tmp_path_factory, x, y, users, counts, name, whole):
    folder = tmp_path_factory.mktemp("leaf")
    (folder / "train").mkdir()
    held = {"users": ["a"], "num_samples": [1], "user_data": {"a": {"x": x, "y": y}}}
    if whole:
        held |= {"users": users, "num_samples": counts}
    (folder / "train" / "f.json").write_text(json.dumps(held).replace("Infinity", "1e999"))
    read_all(folder, SETS[name])


@pytest.mark.parametrize(
    "image", ["../outside.png", "a/../../outside.png", "/{outside}", "..\\outside.png", "link.png\0"]
)
def test_images_outside_the_directory_are_not_opened(tmp_path, monkeypatch, image):
    from PIL import Image

    images = tmp_path / "images"
    images.mkdir()
    Image.new("RGB", (9, 9)).save(tmp_path / "outside.png")
    name = image.replace("/{outside}", str(tmp_path / "outside.png"))
    leaf_files.write(tmp_path / "train", {"a": ([name], [1.0])})
    with pytest.raises(DataError, match="SFM-139"):
        leaf_users(tmp_path, "train", CelebA(images))["a"]


def test_numbers_that_overflow_are_no_samples(tmp_path):
    (tmp_path / "train").mkdir()
    text = '{"users": ["a"], "num_samples": [1], "user_data": {"a": {"x": [[1e999]], "y": [1]}}}'
    (tmp_path / "train" / "f.json").write_text(text)
    with pytest.raises(DataError, match=r"SFM-134: NaN or infinity.*user 'a'"):
        leaf_users(tmp_path, "train", Synthetic())["a"]
