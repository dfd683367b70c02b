"""Vocabularies from files of the user's own."""

import json

import leaf_files
import numpy as np
import pytest

from secure_fedmeta.datasets.leaf import LeafError, Vocabulary, glove, open_split, reddit_vocabulary
from secure_fedmeta.datasets.leaf.words import letter_ids, save_vocabulary, tokens


def test_tokens_and_letters():
    assert tokens("I'm #1 — over,there...ok") == ["I'm", "1", "over", ",", "there", ".", ".", ".", "ok"]
    assert letter_ids("\n }é") == [0, 1, 79, 80]


@pytest.mark.parametrize("form", ["list", "embs", "lines", "glove"])
def test_every_form_of_file(tmp_path, form):
    words = ["the", "ü", ",", "don't"]
    file = tmp_path / ("w.json" if form in {"list", "embs"} else "w.txt")
    text = {
        "list": json.dumps(words),
        "embs": json.dumps({"emba": [[0.5, 1.0]] * 5, "vocab": words}),
        "lines": "\n".join(words) + "\n",
        "glove": "\n".join(f"{word} 0.5 1.0" for word in words),
    }[form]
    file.write_text(text, encoding="utf-8")
    held = Vocabulary.load(file)
    assert held.words == tuple(words) and held.unknown == 4 and held.pad == 4 and len(held) == 5
    assert held.ids(["ü", "Don't", "the"], length=2) == [1, 4] and "ü" in held and "x" not in held
    save_vocabulary(held, tmp_path / "again.json")
    assert Vocabulary.load(tmp_path / "again.json").words == held.words


@pytest.mark.parametrize(
    ("name", "data", "says"),
    [
        ("w.json", b"[1, 2]", "no list of words"),
        ("w.json", b'{"emba": []}', "no list of words"),
        ("w.json", b'["a", "a"]', "the word 'a' twice"),
        ("w.json", b"[]", "0 words"),
        ("w.json", b'["a"', "cut off"),
        ("w.txt", b"\xff\n", "UTF-8"),
        ("w.txt", b"\n\n", "0 words"),
    ],
)
def test_files_that_are_no_vocabulary(tmp_path, name, data, says):
    (tmp_path / name).write_bytes(data)
    with pytest.raises(LeafError, match=says) as caught:
        Vocabulary.load(tmp_path / name)
    assert name in caught.value.where
    with pytest.raises(LeafError, match="cannot be read"):
        Vocabulary.load(tmp_path / "missing.txt")


def test_glove_vectors_and_the_row_of_the_unknown_word(tmp_path):
    (tmp_path / "g.txt").write_text("a 1 2 3\nb 4 5 6\n")
    held, vectors = glove(tmp_path / "g.txt", dimension=3)
    assert held.words == ("a", "b") and vectors.dtype == np.float32
    assert vectors.tolist() == [[1, 2, 3], [4, 5, 6], [0, 0, 0]] and len(vectors) == len(held)
    for bad in ("a 1 2\n", "a 1 2 x\n", "a 1 2 nan\n", "\n"):
        (tmp_path / "g.txt").write_text("ok 1 2 3\n" + bad)
        with pytest.raises(LeafError, match="line 2"):
            glove(tmp_path / "g.txt", dimension=3)
    with pytest.raises(LeafError, match="cannot be read"):
        glove(tmp_path / "missing.txt")


def test_a_reddit_vocabulary_counts_streamed_users(tmp_path):
    x, y = leaf_files.reddit(np.random.default_rng(0), 40)
    leaf_files.write(tmp_path / "train", {"1": (x[:20], y[:20]), "2": (x[20:], y[20:])})
    held = reddit_vocabulary(open_split(tmp_path), words=6)
    flat = [token for comment in x for row in comment for token in row if token != "<PAD>"]
    expected = sorted(set(flat), key=lambda word: (-flat.count(word), word))[:4]
    assert held.words == ("<PAD>", "<UNK>", *expected) and (held.pad, held.unknown, len(held)) == (0, 1, 6)
    leaf_files.write(tmp_path / "train", {"1": ([[["a"], "b"]], [{}])})
    with pytest.raises(LeafError, match="user '1'"):
        reddit_vocabulary(open_split(tmp_path))
