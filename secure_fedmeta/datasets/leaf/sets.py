# SPDX-License-Identifier: Apache-2.0
"""What the six LEAF sets hold: from a user's raw lists to arrays that LEAF's models take (models/*/ in LEAF)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from secure_fedmeta.datasets.clients import ClientData, TaskError, numbers
from secure_fedmeta.datasets.leaf.scan import LeafError
from secure_fedmeta.datasets.leaf.split import LeafSplit, RawUser, open_split
from secure_fedmeta.datasets.leaf.words import UNKNOWN_LETTER, Vocabulary, letter_ids, tokens

IGNORED = -100
"""Label of a position that counts in no loss: PyTorch's default `ignore_index`."""
_LARGEST_IMAGE = 1 << 24  # pixels
_MOST_CLASSES = 1 << 31


class LeafSet(Protocol):
    """Decodes one user."""

    def decode(self, user: RawUser) -> ClientData:
        """Arrays of one user. Raises LeafError or TaskError, which name file and user."""


@dataclass(frozen=True, slots=True)
class Femnist:
    """x (n, 784) float64 in [0, 1], white is 1; y (n,): 0-9 digits, 10-35 capitals, 36-61 small letters.

    Example:
        >>> Femnist().decode(RawUser("f0", Path("a.json"), [[1.0] * 784], [61])).x.shape
        (1, 784)
    """

    def decode(self, user: RawUser) -> ClientData:
        """Raises: LeafError for another width, a value outside [0, 1] or a label outside 0-61; TaskError."""
        x = np.asarray(numbers(user.x, user.where), dtype=np.float64)
        if x.ndim != 2 or x.shape[1] != 784:
            raise _wrong(user, f"images of shape {x.shape[1:]}, not (784,)")
        if x.min() < 0.0 or x.max() > 1.0:
            raise _wrong(user, "a pixel outside [0, 1]")
        return ClientData(user.name, x, _classes(user, 62))


@dataclass(frozen=True, slots=True)
class Shakespeare:
    """x (n, 80) and y (n,) int64: ids of letters, `UNKNOWN_LETTER` (80) for one that LEAF's alphabet lacks.

    With `refuse_unknown`, such a letter is an error, and LEAF's model with exactly 80 classes will do.

    Example:
        >>> made = Shakespeare().decode(RawUser("R", Path("a.json"), ["a" * 79 + "#"], ["b"]))
        >>> made.x[0, -2:].tolist(), made.y.tolist()
        ([53, 80], [54])
    """

    refuse_unknown: bool = False

    def decode(self, user: RawUser) -> ClientData:
        """Raises: LeafError for an input that is no text of 80 letters, or a label that is not one letter."""
        if not all(isinstance(text, str) and len(text) == 80 for text in user.x):
            raise _wrong(user, "an input is no text of 80 letters")
        if not all(isinstance(text, str) and len(text) == 1 for text in user.y):
            raise _wrong(user, "a label is not one letter")
        x, y = np.array([letter_ids(text) for text in user.x]), np.array(letter_ids("".join(user.y)))
        if self.refuse_unknown and UNKNOWN_LETTER in (x.max(), y.max()):
            raise _wrong(user, "a letter outside the alphabet")
        return ClientData(user.name, x, y)


@dataclass(frozen=True, slots=True)
class Sent140:
    """x (n, 25) int64 word ids of the tweet (field 4 of LEAF's six), y (n,): 0 negative, 1 positive.

    Example:
        >>> made = Sent140(Vocabulary(("good",))).decode(
        ...     RawUser("u", Path("a.json"), [["1", "Mon", "q", "u", "good day", "training"]], [1])
        ... )
        >>> made.x[0, :3].tolist()
        [0, 1, 1]
    """

    vocabulary: Vocabulary
    words: int = 25

    def __post_init__(self) -> None:
        _check_vocabulary(self.vocabulary)

    def decode(self, user: RawUser) -> ClientData:
        """Raises: LeafError for a row without text in field 4 or a label that is not 0 or 1; TaskError."""
        if not all(isinstance(row, list) and len(row) > 4 and isinstance(row[4], str) for row in user.x):
            raise _wrong(user, "a row has no text in its field 4")
        x = np.array([self.vocabulary.ids(tokens(row[4]), length=self.words) for row in user.x])
        return ClientData(user.name, x, _classes(user, 2))


@dataclass(frozen=True, slots=True)
class CelebA:
    """x (n, 84, 84, 3) uint8, RGB 0-255, not scaled, as LEAF feeds it; y (n,): 1 is smiling.

    `images` is the directory of the aligned images (img_align_celeba), which LEAF's files only name. They are read with
    Pillow when a user is decoded: resized by its default filter, then RGB, in LEAF's order.
    """

    images: Path

    def decode(self, user: RawUser) -> ClientData:
        """Raises: LeafError for a name that is no plain file name, an image that is missing, too large or damaged."""
        for name in user.x:
            if not isinstance(name, str) or not name or name != Path(name).name or name in {".", ".."}:
                raise _wrong(user, "an input is no plain file name of an image")
        return ClientData(user.name, np.stack([self._image(user, name) for name in user.x]), _classes(user, 2))

    def _image(self, user: RawUser, name: str) -> NDArray[np.uint8]:
        from PIL import Image, UnidentifiedImageError

        try:
            with Image.open(Path(self.images) / name) as image:
                if image.width * image.height > _LARGEST_IMAGE:  # known from the header, before pixels are read
                    raise _wrong(user, f"the image {name!r} has more than {_LARGEST_IMAGE} pixels")
                return np.asarray(image.resize((84, 84)).convert("RGB"))
        except (OSError, UnidentifiedImageError, ValueError, Image.DecompressionBombError) as error:
            raise _wrong(user, f"the image {name!r} in {self.images} is missing or damaged") from error


@dataclass(frozen=True, slots=True)
class Reddit:
    """x, y (s, 10) int64 word ids: each row a piece of a comment and the same moved on by one word.

    LEAF's preprocessed files hold comments as lists of rows of 10 tokens, with "target_tokens" and "count_tokens" among
    the labels. Positions that do not count become `IGNORED` (-100) in y. A comment has one or more rows, so a user has
    at least as many rows as samples. In LEAF's measure a predicted <UNK> or <PAD> is always wrong; `reddit_accuracy` in
    `secure_fedmeta.datasets.leaf.models` keeps to that.
    """

    vocabulary: Vocabulary
    length: int = 10

    def __post_init__(self) -> None:
        _check_vocabulary(self.vocabulary)

    def decode(self, user: RawUser) -> ClientData:
        """Raises: LeafError for rows of another length, or labels without target_tokens and count_tokens."""
        x, y = [], []
        for comment, label in zip(user.x, user.y, strict=True):
            if not isinstance(label, dict) or not {"target_tokens", "count_tokens"} <= label.keys():
                raise _wrong(user, "a label has no target_tokens and count_tokens (run LEAF's preprocess first)")
            words, targets, counted = comment, label["target_tokens"], label["count_tokens"]
            if not self._fits(words, str) or not self._fits(targets, str) or not self._fits(counted, (int, float)):
                raise _wrong(user, f"tokens are no lists of rows of {self.length}")
            if not len(words) == len(targets) == len(counted):
                raise _wrong(user, "x, target_tokens and count_tokens have different numbers of rows")
            x += [self.vocabulary.ids(row, length=self.length) for row in words]
            for row, count in zip(targets, counted, strict=True):
                ids = self.vocabulary.ids(row, length=self.length)
                y.append([word if counts else IGNORED for word, counts in zip(ids, count, strict=True)])
        if not x:
            raise _wrong(user, "comments without rows")
        return ClientData(user.name, np.array(x), np.array(y))

    def _fits(self, rows: Any, kind: type | tuple[type, ...]) -> bool:
        return isinstance(rows, list) and all(
            isinstance(row, list) and len(row) == self.length and all(isinstance(v, kind) for v in row) for row in rows
        )


@dataclass(frozen=True, slots=True)
class Synthetic:
    """x (n, d) float64, y (n,) class numbers; FedProx's files have the same layout, with classes written as floats.

    With `dimension` or `classes`, anything else is refused.
    """

    dimension: int | None = None
    classes: int | None = None

    def decode(self, user: RawUser) -> ClientData:
        """Raises: LeafError for rows of another width or labels that are no class numbers; TaskError."""
        x = np.asarray(numbers(user.x, user.where), dtype=np.float64)
        if x.ndim != 2 or (self.dimension is not None and x.shape[1] != self.dimension):
            raise _wrong(user, f"rows of shape {x.shape[1:]}")
        return ClientData(user.name, x, _classes(user, self.classes))


@dataclass(frozen=True, slots=True, eq=False)
class LeafUsers:
    """The users of a split as arrays: read and decoded one at a time, in sorted order or by name.

    A user that cannot be decoded raises when it is reached, never before and never silently left out.
    """

    split: LeafSplit
    kind: LeafSet

    def __len__(self) -> int:
        """Number of users."""
        return len(self.split)

    def __iter__(self) -> Iterator[ClientData]:
        """All users, one in memory at a time."""
        return map(self.kind.decode, self.split)

    def __getitem__(self, name: str) -> ClientData:
        """One user. Raises KeyError for a name that is not there."""
        return self.kind.decode(self.split[name])


def leaf_users(directory: str | Path, split: str, kind: LeafSet, *, strict: bool = False) -> LeafUsers:
    """The users in `directory/split` (train, test, ...) of one of the sets here.

    Raises:
        LeafError: as `open_split`.
        TaskError: SFM-137, `kind` is no set.

    Example:
        >>> import tempfile
        >>> from secure_fedmeta.datasets.synthetic import leaf_synthetic, write_leaf
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_leaf(Path(folder) / "train", leaf_synthetic(tasks=3, classes=5, dimension=60))
        ...     users = leaf_users(folder, "train", Synthetic(dimension=60))
        ...     [(user, user.x.shape[1]) for user in users]
        [(ClientData('0', <86 samples>), 60), (ClientData('1', <33 samples>), 60), (ClientData('2', <52 samples>), 60)]
    """
    if isinstance(kind, type) or not hasattr(kind, "decode"):
        raise TaskError(
            "SFM-137", f"{kind!r} is no set", "leaf_users", "pass one that is made: Femnist(), or leaf_set(name)"
        )
    return LeafUsers(open_split(directory, split, strict=strict), kind)


SETS = ("femnist", "shakespeare", "sent140", "celeba", "reddit", "synthetic")
"""Names as LEAF's directories have them."""


def leaf_set(name: str, *, vocabulary: str | Path | None = None, images: str | Path | None = None) -> LeafSet:
    """The set of this name; sent140 and reddit need a vocabulary file, celeba the directory of its images.

    Raises:
        TaskError: SFM-137 for another name, or what the set needs is not given.
        LeafError: the vocabulary cannot be read.

    Example:
        >>> leaf_set("femnist")
        Femnist()
    """
    if name in {"sent140", "reddit"} and vocabulary is not None:
        words = Vocabulary.load(vocabulary)
        return Sent140(words) if name == "sent140" else Reddit(words)
    if name == "celeba" and images is not None:
        return CelebA(Path(images))
    plain: dict[str, LeafSet] = {"femnist": Femnist(), "shakespeare": Shakespeare(), "synthetic": Synthetic()}
    if name in plain:
        return plain[name]
    needs = {"sent140": "a vocabulary file", "reddit": "a vocabulary file", "celeba": "the directory of the images"}
    remedy = f"give {needs[name]}" if name in needs else f"use one of {', '.join(SETS)}"
    raise TaskError("SFM-137", f"the set {name!r} cannot be made", "leaf_set", remedy)


def _wrong(user: RawUser, what: str) -> LeafError:
    return LeafError("SFM-139", what, user.where, "check that this is the set you named, in LEAF's own form")


def _classes(user: RawUser, classes: int | None) -> NDArray[np.int64]:
    """Labels as whole numbers from 0; floats are taken where they are whole (CelebA and FedProx write them so)."""
    y = numbers(user.y, user.where)
    if y.ndim != 1:
        raise TaskError("SFM-133", f"labels of shape {y.shape}", user.where, "give each sample one label")
    whole = np.rint(np.asarray(y, dtype=np.float64))
    if (
        not np.array_equal(whole, y)
        or whole.min() < 0
        or whole.max() >= (_MOST_CLASSES if classes is None else classes)
    ):
        raise _wrong(user, f"a label is no whole number from 0 to {'...' if classes is None else classes - 1}")
    return whole.astype(np.int64)


def _check_vocabulary(given: object) -> None:
    if not isinstance(given, Vocabulary):
        raise TaskError(
            "SFM-137",
            f"the vocabulary is a {type(given).__name__}",
            "set",
            "pass Vocabulary.load(path) or leaf_set(name)",
        )
