"""Each of the six sets from files in its own form to arrays, and what each refuses by file and user."""

import copy
import re

import leaf_files
import numpy as np
import pytest

from secure_fedmeta.datasets.clients import TaskError
from secure_fedmeta.datasets.leaf import (
    ALPHABET,
    IGNORED,
    UNKNOWN_LETTER,
    CelebA,
    Femnist,
    LeafError,
    Reddit,
    Sent140,
    Shakespeare,
    Synthetic,
    Vocabulary,
    leaf_users,
)

WORDS = Vocabulary(("good", "day", "it's", "so", "!", "?"))
TOKENS = Vocabulary(("<PAD>", "<UNK>", "<BOS>", "<EOS>", "well", "yes", "no"))


@pytest.fixture
def images(tmp_path):
    from PIL import Image

    folder = tmp_path / "img_align_celeba"
    folder.mkdir()
    for i in range(1, 5):
        pixels = np.random.default_rng(i).integers(0, 256, (218, 178, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{i:06d}.jpg")
    return folder


def kinds(images):
    return {
        "femnist": (Femnist(), (784,), (), np.float64),
        "shakespeare": (Shakespeare(), (80,), (), np.int64),
        "sent140": (Sent140(WORDS), (25,), (), np.int64),
        "celeba": (CelebA(images), (84, 84, 3), (), np.uint8),
        "reddit": (Reddit(TOKENS), (10,), (10,), np.int64),
        "synthetic": (Synthetic(60, 5), (60,), (), np.float64),
    }


@pytest.mark.parametrize("name", ["femnist", "shakespeare", "sent140", "celeba", "reddit", "synthetic"])
def test_every_set_reads_users_in_order_and_makes_tasks(tmp_path, images, name):
    kind, x_shape, y_shape, dtype = kinds(images)[name]
    rng = np.random.default_rng(0)
    held = {f"user-{i}": getattr(leaf_files, name)(rng, 5 + i) for i in range(3)}
    leaf_files.write(tmp_path / "train", dict(list(held.items())[:2]), name="a.json")
    leaf_files.write(tmp_path / "train", dict(list(held.items())[2:]), name="b.json")
    users = leaf_users(tmp_path, "train", kind)
    found = {client.name: client for client in users}
    assert list(found) == sorted(held) and len(users) == 3
    for client in found.values():
        assert client.x.shape[1:] == x_shape and client.y.shape[1:] == y_shape and client.x.dtype == dtype
        assert np.array_equal(users[client.name].x, client.x)
        for support in (0.2, 0.5, 0.9):
            task = client.task(support, seed=0)
            assert task.support_rows.shape[1] == int(np.prod(x_shape)) and task.support_rows.dtype == np.float64
            assert len(task.support_labels) + len(task.query_labels) == len(client)
    if name in {"femnist", "synthetic"}:
        assert all(found[user].x.tolist() == x and found[user].y.tolist() == y for user, (x, y) in held.items())


def test_shakespeare_letters_have_the_ids_of_leaf(tmp_path):
    text = (ALPHABET + "é#")[-80:]
    leaf_files.write(tmp_path / "train", {"HAMLET": ([text], ["#"]), "OPHELIA": (["a" * 80], ["}"])})
    users = leaf_users(tmp_path, "train", Shakespeare())
    assert len(ALPHABET) == len(set(ALPHABET)) == 80 and leaf_files.ALPHABET == ALPHABET
    hamlet = users["HAMLET"]
    assert hamlet.x[0].tolist() == [*range(2, 80), UNKNOWN_LETTER, UNKNOWN_LETTER] and hamlet.y.tolist() == [80]
    assert users["OPHELIA"].y.tolist() == [79]
    with pytest.raises(LeafError, match=r"letter outside the alphabet.*user 'HAMLET'"):
        leaf_users(tmp_path, "train", Shakespeare(refuse_unknown=True))["HAMLET"]


def test_sent140_takes_the_fourth_field_and_pads_with_the_unknown_id(tmp_path):
    row = ["1", "Mon", "good", "day", "so good, @you! it's Day", "training"]
    leaf_files.write(tmp_path / "train", {"a": ([row, [*row[:4], "good " * 40]], [0, 1])})
    client = leaf_users(tmp_path, "train", Sent140(WORDS))["a"]
    assert client.x[0].tolist() == [3, 0, 6, 6, 4, 2, 6] + [6] * 18
    assert client.x[1].tolist() == [0] * 25 and len(WORDS) == 7


def test_celeba_is_rgb_as_pillow_reads_it(tmp_path, images):
    from PIL import Image

    leaf_files.write(tmp_path / "train", {"7": (["000001.jpg", "000002.jpg"], [0.0, 1.0])})
    client = leaf_users(tmp_path, "train", CelebA(images))["7"]
    with Image.open(images / "000002.jpg") as image:
        assert np.array_equal(client.x[1], np.asarray(image.resize((84, 84)).convert("RGB")))
    assert client.y.tolist() == [0, 1] and client.x.max() > 1
    Image.new("L", (30, 30), 9).save(images / "grey.png")
    leaf_files.write(tmp_path / "grey", {"7": (["grey.png"], [1.0])})
    assert (leaf_users(tmp_path, "grey", CelebA(images))["7"].x == 9).all()


def test_reddit_rows_are_flattened_and_uncounted_targets_ignored(tmp_path):
    x, y = leaf_files.reddit(np.random.default_rng(3), 6)
    leaf_files.write(tmp_path / "train", {"1": (x, y)})
    client = leaf_users(tmp_path, "train", Reddit(TOKENS))["1"]
    assert len(client) == sum(map(len, x)) > 6
    rows = [row for comment in x for row in comment]
    targets = [row for label in y for row in label["target_tokens"]]
    counted = [row for label in y for row in label["count_tokens"]]
    words = {word: place for place, word in enumerate(TOKENS.words)}
    for got, row in zip(client.x.tolist(), rows, strict=True):
        assert got == [words.get(token, 1) for token in row]
    for got, row, count in zip(client.y.tolist(), targets, counted, strict=True):
        assert got == [words.get(token, 1) if c else IGNORED for token, c in zip(row, count, strict=True)]
    assert (client.y == IGNORED).any()


def test_fedprox_labels_written_as_floats_are_classes(tmp_path):
    leaf_files.write(tmp_path / "train", {"f_00000": ([[1.0, 2.0]], [3.0])})
    assert leaf_users(tmp_path, "train", Synthetic())["f_00000"].y.dtype == np.int64


def change(held, path, value):
    held = copy.deepcopy(list(held))
    inner = held
    for step in path[:-1]:
        inner = inner[step]
    inner[path[-1]] = value
    return held


REDDIT = leaf_files.reddit(np.random.default_rng(0), 2)


@pytest.mark.parametrize(
    ("name", "path", "value", "says"),
    [
        ("femnist", (0, 0), [0.5] * 783, "different lengths"),
        ("femnist", (0,), [[0.5] * 783] * 3, "images of shape (783,)"),
        ("femnist", (0,), [0.5] * 3, "images of shape ()"),
        ("femnist", (0, 1, 5), 1.5, "a pixel outside [0, 1]"),
        ("femnist", (0, 1, 5), "0.5", "not numbers, or numbers mixed"),
        ("femnist", (0, 1, 5), None, "not numbers, or numbers mixed"),
        ("femnist", (1, 0), 62, "no whole number from 0 to 61"),
        ("femnist", (1, 0), -1, "no whole number from 0 to 61"),
        ("femnist", (1, 0), 0.5, "no whole number"),
        ("femnist", (1, 0), "a", "not numbers, or numbers mixed"),
        ("femnist", (1,), [[1], [2], [3]], "labels of shape"),
        ("femnist", (1, 0), 10**30, "not numbers"),
        ("shakespeare", (0, 0), "a" * 79, "no text of 80 letters"),
        ("shakespeare", (0, 0), ["a"] * 80, "no text of 80 letters"),
        ("shakespeare", (1, 0), "ab", "not one letter"),
        ("shakespeare", (1, 0), 5, "not one letter"),
        ("sent140", (0, 0), ["1", "2"], "no text in its field 4"),
        ("sent140", (0, 0, 4), 7, "no text in its field 4"),
        ("sent140", (1, 0), 4, "from 0 to 1"),
        ("celeba", (0, 0), "999999.jpg", "'999999.jpg' in"),
        ("celeba", (0, 0), "../secret.jpg", "no plain file name"),
        ("celeba", (0, 0), "/etc/passwd", "no plain file name"),
        ("celeba", (0, 0), "..", "no plain file name"),
        ("celeba", (0, 0), "", "no plain file name"),
        ("celeba", (0, 0), 7, "no plain file name"),
        ("celeba", (0, 0), "a\0b.jpg", "missing or damaged"),
        ("celeba", (1, 0), 2.0, "from 0 to 1"),
        ("reddit", (0, 0), ["a"] * 10, "no lists of rows of 10"),
        ("reddit", (0, 0, 0), ["a"] * 9, "no lists of rows of 10"),
        ("reddit", (0, 0, 0), ["a"] * 9 + [1], "no lists of rows of 10"),
        ("reddit", (0, 0), "words", "no lists of rows of 10"),
        ("reddit", (0, 0), [["a"] * 10] * 7, "different numbers of rows"),
        ("reddit", (1, 0), {"subreddit": "a"}, "no target_tokens and count_tokens"),
        ("reddit", (1, 0), 1, "no target_tokens and count_tokens"),
        ("reddit", (1, 0, "target_tokens"), 1, "no lists of rows of 10"),
        ("synthetic", (0,), [[1.0]] * 3, "rows of shape (1,)"),
        ("synthetic", (0, 0), [[1.0]], "different lengths"),
        ("synthetic", (1, 0), 5, "from 0 to 4"),
    ],
)
def test_what_is_not_this_set_is_refused_by_file_and_user(tmp_path, images, name, path, value, says):
    good = REDDIT if name == "reddit" else getattr(leaf_files, name)(np.random.default_rng(0), 3)
    file = leaf_files.write(tmp_path / "train", {"user-9": change(good, path, value)})
    with pytest.raises((LeafError, TaskError), match=re.escape(says)) as caught:
        leaf_users(tmp_path, "train", kinds(images)[name][0])["user-9"]
    assert f"{file}, user 'user-9'" in str(caught.value) and caught.value.code in {"SFM-133", "SFM-139"}


def test_images_are_measured_before_their_pixels_are_read(tmp_path, images):
    from PIL import Image

    Image.new("1", (5000, 5000)).save(images / "large.png")
    (images / "damaged.jpg").write_bytes((images / "000001.jpg").read_bytes()[:300])
    (images / "text.jpg").write_text("no image")
    for name, says in (("large.png", "more than 16777216 pixels"), ("damaged.jpg", "damaged"), ("text.jpg", "damaged")):
        leaf_files.write(tmp_path / "train", {"7": ([name], [1.0])})
        with pytest.raises(LeafError, match=says):
            leaf_users(tmp_path, "train", CelebA(images))["7"]


def test_reddit_comments_without_rows(tmp_path):
    leaf_files.write(tmp_path / "train", {"1": ([[]], [{"target_tokens": [], "count_tokens": []}])})
    with pytest.raises(LeafError, match=r"comments without rows.*user '1'"):
        leaf_users(tmp_path, "train", Reddit(TOKENS))["1"]


def test_one_bad_user_is_not_left_out(tmp_path):
    good = leaf_files.synthetic(np.random.default_rng(0), 2)
    leaf_files.write(tmp_path / "train", {"a": good, "b": ([["x"]], [0]), "c": good})
    users = iter(leaf_users(tmp_path, "train", Synthetic()))
    assert next(users).name == "a"
    with pytest.raises(TaskError, match="'b'"):
        next(users)
