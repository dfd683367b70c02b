# SPDX-License-Identifier: Apache-2.0
"""Text as numbers: Shakespeare's alphabet, and vocabularies from files that the user brings."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from secure_fedmeta.datasets.leaf.scan import Scanner, leaf_error, parse
from secure_fedmeta.datasets.leaf.split import RawUser

ALPHABET = "\n !\"&'(),-.0123456789:;>?ABCDEFGHIJKLMNOPQRSTUVWXYZ[]abcdefghijklmnopqrstuvwxyz}"
"""LEAF's 80 letters in LEAF's order (models/utils/language_utils.py); a letter's place is its id."""
UNKNOWN_LETTER = len(ALPHABET)
"""Id of every other letter. LEAF's own lookup gives -1 there, which indexes the last letter."""
PAD, UNK = "<PAD>", "<UNK>"
LARGEST_VOCABULARY = 5_000_000

_TOKEN = re.compile(r"[\w']+|[.,!?;]")
_LETTER = {letter: place for place, letter in enumerate(ALPHABET)}


def letter_ids(text: str) -> list[int]:
    """Ids of letters; `UNKNOWN_LETTER` for what is not in the alphabet.

    Example:
        >>> letter_ids("To#"), len(ALPHABET)
        ([44, 67, 80], 80)
    """
    return [_LETTER.get(letter, UNKNOWN_LETTER) for letter in text]


def tokens(text: str) -> list[str]:
    """LEAF's split of a tweet: runs of word characters and apostrophes, and the marks . , ! ? ; by themselves.

    Example:
        >>> tokens("it's late, home?!")
        ["it's", 'late', ',', 'home', '?', '!']
    """
    return _TOKEN.findall(text)


@dataclass(frozen=True, slots=True, eq=False)
class Vocabulary:
    """Words with ids 0, 1, ... in their order; `unknown` is the id of every other word.

    Unless the words contain "<UNK>", that is len(words), so an embedding needs `len(vocabulary)` = words + 1 rows. Case
    counts, as in LEAF: with GloVe's lower-case words "Home" is unknown.

    Raises:
        LeafError: no words, or one twice (two ids for one word).

    Example:
        >>> held = Vocabulary(("good", "day"))
        >>> held.ids(["good", "Day"], length=4), len(held)
        ([0, 2, 2, 2], 3)
    """

    words: tuple[str, ...] = field(repr=False)
    source: Path = Path("vocabulary")
    _places: dict[str, int] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        places = {word: place for place, word in enumerate(self.words)}
        if not 0 < len(places) <= LARGEST_VOCABULARY:
            raise leaf_error(f"{len(places)} words", self.source, f"give 1 to {LARGEST_VOCABULARY} words")
        if len(places) != len(self.words):
            twice = next(word for word, count in Counter(self.words).items() if count > 1)
            raise leaf_error(f"the word {twice!r} twice", self.source, "give each word once")
        object.__setattr__(self, "_places", places)

    @property
    def unknown(self) -> int:
        """Id of a word that is not in the vocabulary."""
        return self._places.get(UNK, len(self.words))

    @property
    def pad(self) -> int:
        """Id that fills up short sequences: "<PAD>" where there is one, otherwise the unknown id, as LEAF does."""
        return self._places.get(PAD, self.unknown)

    def __len__(self) -> int:
        """Rows that an embedding needs."""
        return max(len(self.words), self.unknown + 1)

    def __contains__(self, word: object) -> bool:
        return word in self._places

    def ids(self, words: Iterable[str], *, length: int) -> list[int]:
        """Ids of the first `length` words, filled up with `pad`."""
        found = [self._places.get(word, self.unknown) for word in words][:length]
        return found + [self.pad] * (length - len(found))

    @classmethod
    def load(cls, path: str | Path) -> Vocabulary:
        """Words from a `.json` file, or from a text file with one word at the start of each line (GloVe's own form).

        In JSON either a list of words, or LEAF's `embs.json` {"vocab": [...], "emba": [...]}, of which only the words
        are read; pickled vocabularies are not read at all.

        Raises:
            LeafError: the file cannot be read as that.
        """
        file = Path(path)
        try:
            if file.suffix == ".json":
                return cls(tuple(_json_words(file)), file)
            with file.open(encoding="utf-8") as lines:
                return cls(tuple(line.split(" ", 1)[0].strip() for line in lines if line.strip()), file)
        except (OSError, UnicodeDecodeError) as error:
            raise leaf_error("cannot be read as UTF-8 text", file, "point to a vocabulary file") from error


def glove(path: str | Path, *, dimension: int = 300) -> tuple[Vocabulary, NDArray[np.float32]]:
    """Words and vectors of a GloVe text file; the last row, of zeros, is the unknown word's (LEAF, get_embs.py).

    Raises:
        LeafError: a line without `dimension` finite numbers, named by its number.
    """
    file, words, rows = Path(path), [], []
    try:
        with file.open(encoding="utf-8") as lines:
            for number, line in enumerate(lines, 1):
                word, *texts = line.rstrip("\n").split(" ")
                try:
                    row = np.array(texts, dtype=np.float32)
                except ValueError:
                    row = np.empty(0, dtype=np.float32)
                if row.shape != (dimension,) or not np.isfinite(row).all() or number > LARGEST_VOCABULARY:
                    raise leaf_error(f"line {number} is no word and {dimension} numbers", file, "correct the file")
                words.append(word)
                rows.append(row)
    except (OSError, UnicodeDecodeError) as error:
        raise leaf_error("cannot be read as UTF-8 text", file, "point to a GloVe text file") from error
    vocabulary = Vocabulary(tuple(words), file)
    return vocabulary, np.stack([*rows, np.zeros(dimension, dtype=np.float32)])


def reddit_vocabulary(users: Iterable[RawUser], *, words: int = 10_000) -> Vocabulary:
    """The most frequent tokens of users of a Reddit split, ties in alphabetical order; 0 is <PAD>, 1 is <UNK>.

    As LEAF's data/reddit/build_vocab.py, which stores a pickle; where "<PAD>" is not the most frequent token, LEAF's
    gives one word the id of <UNK>, and this one does not.

    Raises:
        LeafError: a user whose tokens cannot be read.

    Example:
        >>> one = RawUser("1", Path("a.json"), [[["<BOS>", "hi", "hi", "<EOS>"] + ["<PAD>"] * 6]], [{}])
        >>> reddit_vocabulary([one], words=4).words
        ('<PAD>', '<UNK>', 'hi', '<BOS>')
    """
    counts: Counter[str] = Counter()
    for user in users:
        for comment in user.x:
            for row in comment if isinstance(comment, list) else [None]:
                if not isinstance(row, list) or not all(isinstance(token, str) for token in row):
                    raise leaf_error("x is no list of token lists", user.file, "see docs/data.md", user=user.name)
                counts.update(row)
    del counts[PAD], counts[UNK]
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[: max(words - 2, 0)]
    return Vocabulary((PAD, UNK, *(word for word, _ in ranked)))


def save_vocabulary(vocabulary: Vocabulary, path: str | Path) -> None:
    """Words as a JSON list, which `Vocabulary.load` reads."""
    Path(path).write_text(json.dumps(vocabulary.words), encoding="utf-8")


def _json_words(file: Path) -> list[str]:
    held: Any = None
    with file.open("rb") as opened, file.open("rb") as again:
        scanner = Scanner(opened, file)
        if scanner.peek() == ord("["):
            ranges = [scanner.skip()]
        else:
            walked = [(key, scanner.skip()) for key in scanner.members()]
            ranges = [where for key, where in walked if key == "vocab"]
        for start, length in ranges:
            again.seek(start)
            held = parse(again.read(min(length, 1 << 28)), file)
    if not isinstance(held, list) or not all(isinstance(word, str) for word in held):
        raise leaf_error("no list of words", file, 'give a JSON list, or {"vocab": [...]}')
    return held
