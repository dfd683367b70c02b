# SPDX-License-Identifier: Apache-2.0
"""A split of a LEAF set on disk: a directory of JSON files, indexed in one pass and read user by user.

Layout (TalwalkarLab/leaf, models/utils/model_utils.py and data/utils/): a file is one object with "users",
"num_samples", "user_data" {user: {"x": [...], "y": [...]}} and perhaps "hierarchies"; all `.json` files of the
directory belong together; the clients are the sorted keys of "user_data".
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from secure_fedmeta.datasets.clients import Index
from secure_fedmeta.datasets.leaf.scan import LARGEST_VALUE, Scanner, leaf_error, parse, place

LONGEST_NAME = 1000
SMALL_USER = 1 << 12
"""Bytes up to which parsing a whole user is faster than finding its parts."""


@dataclass(frozen=True, slots=True)
class RawUser:
    """One user as the file has it: `x` and `y` are lists of the same length, not empty, of anything."""

    name: str
    file: Path
    x: list[Any] = field(repr=False)
    y: list[Any] = field(repr=False)

    @property
    def where(self) -> str:
        """File and user, for errors."""
        return place(self.file, self.name)


@dataclass(frozen=True, slots=True, eq=False)
class LeafSplit:
    """Index of a split: about 200 bytes for each user, however large the files are.

    Attributes:
        names: all users with samples, sorted as LEAF sorts its clients.
        samples: (users,) how many each has: the length of its "y", counted here.
        miscounted: users whose "num_samples" says something else. LEAF's own Shakespeare splits do (they skip 79
            windows between train and test and count them all the same), so the number is never used.
        empty: entries of "user_data" without samples that "users" does not list; LEAF's older splits leave them behind.
            They are no clients.
        hierarchies: a user's group where the files give one for each user.
    """

    files: tuple[Path, ...]
    names: tuple[str, ...] = field(repr=False)
    samples: Index = field(repr=False)
    miscounted: tuple[str, ...] = field(repr=False)
    empty: tuple[str, ...] = field(repr=False)
    hierarchies: dict[str, str] = field(repr=False)
    _places: Index = field(repr=False)  # (users, 3): file, offset, length
    _stamps: tuple[tuple[int, int], ...] = field(repr=False)

    def __len__(self) -> int:
        """Number of users."""
        return len(self.names)

    def __iter__(self) -> Iterator[RawUser]:
        """All users in sorted order, one in memory at a time."""
        return map(self._read, range(len(self)))

    def in_file_order(self) -> Iterator[RawUser]:
        """All users as they stand in the files: no seeking back and forth on slow disks."""
        order = np.lexsort((self._places[:, 1], self._places[:, 0]))
        return map(self._read, order.tolist())

    def __getitem__(self, name: str) -> RawUser:
        """One user, read alone.

        Raises:
            KeyError: no such user.
            LeafError: the file was changed or is damaged there.
        """
        at = bisect_left(self.names, name)
        if at == len(self.names) or self.names[at] != name:
            raise KeyError(name)
        return self._read(at)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self.names[bisect_left(self.names, name) :][:1] == (name,)

    @property
    def counts(self) -> dict[str, int]:
        """Samples of each user."""
        return dict(zip(self.names, self.samples.tolist(), strict=True))

    def _read(self, at: int) -> RawUser:
        which, offset, length = self._places[at].tolist()
        file, name = self.files[which], self.names[at]
        with _open(file) as opened:
            if _stamp(file) != self._stamps[which]:
                raise leaf_error("the file was changed after it was indexed", file, "open the split again", user=name)
            opened.seek(offset)
            held = parse(opened.read(length), file, name)
        x, y = held["x"], held["y"]
        if not isinstance(x, list) or not isinstance(y, list) or len(x) != len(y):
            counts = " and ".join(str(len(v)) if isinstance(v, list) else "no list" for v in (x, y))
            raise leaf_error(f"x and y have {counts} entries", file, "give each input one label", user=name)
        return RawUser(name, file, x, y)


def open_split(directory: str | Path, split: str = "train", *, strict: bool = False) -> LeafSplit:
    """Index the `.json` files in `directory/split` (train, test, val, all_data, ...), reading each once.

    A user stands in one file only. Train and test may hold different users (LEAF's `-t user`) or the same ones (`-t
    sample`). With `strict`, a "num_samples" that differs from the length of "y" is an error, not an entry in
    `miscounted`.

    Raises:
        LeafError: SFM-139, naming file and user: no such directory or no files in it; a field is missing; a user twice,
            listed without data, or listed without samples; not JSON, cut off, or not UTF-8; a user beyond 256 MiB.
    """
    folder = Path(directory) / split
    files = tuple(sorted(file for file in folder.glob("*.json") if file.is_file())) if folder.is_dir() else ()
    if not files:
        remedy = "point to LEAF's data directory, which holds train/ and test/ with .json files"
        if Path(directory).is_file():
            raise leaf_error("a file, not a directory", Path(directory), remedy)
        raise leaf_error("no .json files" if folder.is_dir() else "no such directory", folder, remedy)
    index = _Index(strict=strict)
    for which, file in enumerate(files):
        index.add(which, file)
    return index.split(files)


class _Index:
    """Grows file by file."""

    def __init__(self, *, strict: bool) -> None:
        self._strict = strict
        self._names: list[str] = []
        self._numbers = array("q")  # file, offset, length, samples: four for each user
        self._miscounted: list[str] = []
        self._empty: list[str] = []
        self._groups: dict[str, str] = {}
        self._stamps: list[tuple[int, int]] = []

    def add(self, which: int, file: Path) -> None:
        """One file: first its users, then what it says about them."""
        first = len(self._names)
        said: dict[str, list[Any]] = {}
        found = empty = None
        with _open(file) as opened, _open(file) as again:
            self._stamps.append(_stamp(file))
            scanner = Scanner(opened, file)
            for key in scanner.members():
                if key in said or (key == "user_data" and found is not None):
                    raise scanner.error(f"{key!r} twice")
                if key == "user_data":
                    empty = self._users(which, file, scanner, again)
                    found = set(self._names[first:])
                elif key in {"users", "num_samples", "hierarchies"}:
                    said[key] = _list(again, scanner, file)
                else:
                    scanner.skip()
            scanner.end()
        if found is None or empty is None:
            raise leaf_error("no 'user_data'", file, "each file needs users, num_samples and user_data")
        self._compare(file, said, first, found, empty)

    def _users(self, which: int, file: Path, scanner: Scanner, again: BinaryIO) -> set[str]:
        """Offsets and counts of all entries; the names of those without samples."""
        empty = set()
        for name in scanner.members():
            scanner.user = name
            if not name or len(name) > LONGEST_NAME or not _encodes(name):
                raise scanner.error("not a usable user name", f"use 1 to {LONGEST_NAME} characters")
            start, length, labels = self._labels(file, scanner, again, name)
            if length > LARGEST_VALUE:
                raise scanner.error(f"{length} bytes, more than {LARGEST_VALUE}", "divide this user")
            if not isinstance(labels, list):
                raise scanner.error("y is no list", "give each user lists x and y")
            if labels:
                self._names.append(name)
                self._numbers.extend((which, start, length, len(labels)))
            else:
                empty.add(name)
            scanner.user = None
        return empty

    @staticmethod
    def _labels(file: Path, scanner: Scanner, again: BinaryIO, name: str) -> tuple[int, int, Any]:
        """Where a user's object starts, its bytes, and its y. A small user is parsed at once, of a large one only y."""
        scanner.peek()
        start = scanner.offset
        fields: Any
        whole = scanner.whole(SMALL_USER)
        fields = parse(whole, file, name) if whole is not None else {key: scanner.skip() for key in scanner.members()}
        missing = {"x", "y"} - fields.keys() if isinstance(fields, dict) else {"x", "y"}
        if missing:
            raise scanner.error(f"no {min(missing)!r}", "give each user an object with lists x and y")
        if whole is not None:
            return start, len(whole), fields["y"]
        at, length = fields["y"]
        return start, scanner.offset - start, _at(again, at, length, file, name)

    def _compare(self, file: Path, said: dict[str, list[Any]], first: int, found: set[str], empty: set[str]) -> None:
        """What "users", "num_samples" and "hierarchies" say, against what was found."""
        for key in ("users", "num_samples"):
            if key not in said:
                raise leaf_error(f"no {key!r}", file, "each file needs users, num_samples and user_data")
        users, counts, groups = said["users"], said["num_samples"], said.get("hierarchies", [])
        if len(users) != len(counts):
            what = f"{len(users)} users and {len(counts)} num_samples"
            raise leaf_error(what, file, "make the file again")
        listed: set[str] = set()
        for name in users:
            if not isinstance(name, str) or name in listed:
                raise leaf_error("listed twice, or not a string", file, "list each user once", user=str(name))
            listed.add(name)
            if name in empty:
                raise leaf_error("no samples", file, "take this user off the list", user=name)
            if name not in found:
                raise leaf_error("listed in 'users', not in 'user_data'", file, "make the file again", user=name)
        self._empty.extend(sorted(empty))
        held = dict(zip(self._names[first:], self._numbers[4 * first + 3 :: 4], strict=True))
        for name, count in zip(users, counts, strict=True):
            if count != held[name]:
                if self._strict:
                    what = f"num_samples says {count!r:.20}, y has {held[name]}"
                    raise leaf_error(what, file, "correct it, or open without strict", user=name)
                self._miscounted.append(name)
        if len(groups) == len(users):  # LEAF's older sample splits keep the groups of users that they drop
            self._groups.update((name, str(group)) for name, group in zip(users, groups, strict=True))

    def split(self, files: tuple[Path, ...]) -> LeafSplit:
        """The finished index, sorted by name."""
        order = sorted(range(len(self._names)), key=self._names.__getitem__)
        names = tuple(self._names[i] for i in order)
        numbers = np.array(self._numbers, dtype=np.int64).reshape(-1, 4)[order]
        for at in range(1, len(names)):
            if names[at] == names[at - 1]:
                one, two = (files[numbers[i, 0]] for i in (at - 1, at))
                raise leaf_error(f"also in {one.name}", two, "keep each user in one place", user=names[at])
        if not names:
            raise leaf_error("no users", files[0].parent, "add files with users")
        return LeafSplit(
            files,
            names,
            numbers[:, 3].copy(),
            tuple(sorted(self._miscounted)),
            tuple(sorted(self._empty)),
            self._groups,
            numbers[:, :3].copy(),
            tuple(self._stamps),
        )


def _open(file: Path) -> BinaryIO:
    try:
        return file.open("rb")
    except OSError as error:
        raise leaf_error("cannot be read", file, "check that the file is there and readable") from error


def _stamp(file: Path) -> tuple[int, int]:
    held = file.stat()
    return held.st_size, held.st_mtime_ns


def _encodes(name: str) -> bool:
    """No half of a surrogate pair, which JSON's escapes can spell."""
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _at(opened: BinaryIO, offset: int, length: int, file: Path, user: str | None) -> Any:
    if length > LARGEST_VALUE:
        raise leaf_error(f"a value of {length} bytes", file, f"stay below {LARGEST_VALUE}", user=user)
    opened.seek(offset)
    return parse(opened.read(length), file, user)


def _list(opened: BinaryIO, scanner: Scanner, file: Path) -> list[Any]:
    held = _at(opened, *scanner.skip(), file, None)
    if not isinstance(held, list):
        raise leaf_error("users, num_samples or hierarchies is no list", file, "make the file again")
    return held
