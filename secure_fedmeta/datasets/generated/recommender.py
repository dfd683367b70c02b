# SPDX-License-Identifier: Apache-2.0
"""The recommender pilot: people rate films at the service of their region; tastes differ, and a few ratings show them.

Generated, in MovieLens' layout (user, item, rating, public genres and year); no user exists. With g_i the genres of
item i (0 or 1 each), and y_i its year, scaled:

    rating = round to 1..5 of  3.4 + a_u + q_i + g_i . (w + v_u) / sqrt(|g_i|) + h_u y_i + N(0, 0.7)
    v_u ~ N(m_c, 0.8 I) tastes of user u of service c,  m_c ~ N(0, 0.2 I),  a_u ~ N(0, 0.35),  h_u ~ N(0.1, 0.25),
    q_i ~ N(0, 0.35) what no feature tells

Realistic: tastes beside a common ground, leniency, unequal numbers of ratings. Not realistic: what is rated does not
depend on taste, and nobody changes. `read_movielens` reads the real ml-latest-small or ml-100k instead.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from secure_fedmeta.datasets.codebook import Codebook, Feature
from secure_fedmeta.datasets.federation import Federation, Member
from secure_fedmeta.datasets.generated.counts import check_counts
from secure_fedmeta.datasets.records import RecordsError, SiteRecords
from secure_fedmeta.datasets.table import TableError

Float = NDArray[np.float64]
Ratings = dict[str, list[tuple[Float, float]]]

GENRES = (
    "Action", "Adventure", "Animation", "Children", "Comedy", "Crime", "Documentary", "Drama", "Fantasy", "Film-Noir",
    "Horror", "Musical", "Mystery", "Romance", "Sci-Fi", "Thriller", "War", "Western",
)  # fmt: skip
USERS = 80
"""Users of every service; public."""
REGISTERED_SHARE = 0.6
FEWEST_RATINGS = 10
MIDDLE, HALF_WIDTH = 3.0, 2.0
"""A rating r is the label (r - 3) / 2, in [-1, 1]."""
_ITEMS = 900
_YEARS = (1900.0, 2035.0)


def codebook() -> Codebook:
    """The eighteen genres of MovieLens, yes or no, and the year.

    >>> codebook().width
    20
    """
    genres = tuple(Feature(genre, 0.0, 1.0, "yes or no", weight=0.5, origin="a genre list") for genre in GENRES)
    return Codebook("movielens", 1, (*genres, Feature("year", *_YEARS, "year", weight=0.7, origin="the age of cinema")))


def load_ratings(*, seed: int, members: int = 12, later: int = 2) -> Federation:
    """The services of this seed; 80 users each, 20 to 40 ratings a user. Ids are "user-SS-NNN".

    Raises:
        RecordsError: SFM-137 for a negative seed, fewer than two services or more than 200.

    >>> held = load_ratings(seed=0)
    >>> held.members[0].registered.features.shape[1], float(abs(held.members[0].registered.labels).max())
    (19, 1.0)
    """
    check_counts("services", seed=seed, members=members, later=later)
    rng = np.random.default_rng([seed, members, later, 0x4EC])
    genres = np.zeros((_ITEMS, len(GENRES)))
    for item in genres:
        item[rng.choice(len(GENRES), size=int(rng.integers(1, 4)), replace=False)] = 1.0
    years = np.clip(np.rint(2018 - rng.gamma(1.6, 12.0, _ITEMS)), 1925, 2024)
    items = np.column_stack((genres, years))
    quality, common = rng.normal(0, 0.35, _ITEMS), rng.normal(0, 0.35, len(GENRES))
    services = []
    for place in range(members + later):
        local = rng.normal(0, 0.2, len(GENRES))
        users: Ratings = {}
        for number in range(USERS):
            taste = common + local + rng.normal(0, 0.8, len(GENRES))
            seen = rng.choice(_ITEMS, size=int(rng.integers(20, 41)), replace=False)
            liked = genres[seen] @ taste / np.sqrt(genres[seen].sum(axis=1))
            recent = (years[seen] - 1998) / 20 * rng.normal(0.1, 0.25)
            stars = 3.4 + rng.normal(0, 0.35) + quality[seen] + liked + recent + rng.normal(0, 0.7, len(seen))
            given = np.clip(np.rint(stars), 1, 5)
            users[f"user-{place:02d}-{number:03d}"] = list(zip(items[seen], given.tolist(), strict=True))
        services.append(users)
    source = "generated ratings in MovieLens' layout (docs/pilots.md): no user exists"
    return _federation(services, members, True, source)


def read_movielens(folder: str | Path, *, seed: int, members: int = 12, later: int = 2) -> Federation:
    """`ratings.csv` and `movies.csv` of ml-latest, or `u.data` and `u.item` of ml-100k; users are dealt to services.

    Users with fewer than ten ratings are left out, as their number is public in the file; a film without a year counts
    as of 1995. Ids are "user-N" with the file's number. The deal follows the seed, since the files name no region.

    Raises:
        TableError: SFM-150, files that are missing or in another layout.
        RecordsError: SFM-137, too few users for the services.
    """
    place = Path(folder)
    if (place / "ratings.csv").exists():
        users = _users(_latest_items(place / "movies.csv"), _latest_ratings(place / "ratings.csv"), place)
    elif (place / "u.data").exists():
        users = _users(_hundred_items(place / "u.item"), _hundred_ratings(place / "u.data"), place)
    else:
        remedy = "give the folder with ratings.csv and movies.csv, or with u.data and u.item"
        raise TableError("no MovieLens files", str(place), remedy)
    kept = {user: rated for user, rated in users.items() if len(rated) >= FEWEST_RATINGS}
    count = members + later
    if seed < 0 or members < 2 or later < 0 or len(kept) < 20 * count:
        raise RecordsError(
            "SFM-137",
            f"{len(kept)} users of {FEWEST_RATINGS} ratings for {count} services",
            str(place),
            "use a seed >= 0, and services of 20 users at least",
        )
    order = np.random.default_rng([seed, count]).permutation(sorted(kept))
    services = [{str(user): kept[str(user)] for user in part} for part in np.array_split(order, count)]
    source = "MovieLens (Harper and Konstan 2015): real ratings, users dealt to services at random"
    return _federation(services, members, False, source)


def _federation(services: list[Ratings], members: int, generated: bool, source: str) -> Federation:
    joined, newcomers = [], []
    for place, users in enumerate(services):
        names = list(users)
        cut = round(REGISTERED_SHARE * len(names))
        if place >= members:
            newcomers.append(_site(f"later-{place - members + 1:02d}", users, names))
            continue
        name = f"service-{place + 1:02d}"
        joined.append(Member(name, _site(name, users, names[:cut]), _site(name, users, names[cut:])))
    return Federation("movielens", codebook(), tuple(joined), tuple(newcomers), generated, source)


def _site(name: str, users: Ratings, chosen: list[str]) -> SiteRecords:
    pairs = [(user, row, stars) for user in chosen for row, stars in users[user]]
    features = np.stack([row for _, row, _ in pairs])
    labels = (np.array([stars for _, _, stars in pairs]) - MIDDLE) / HALF_WIDTH
    return SiteRecords(name, features, labels, tuple(user for user, _, _ in pairs), classes=0, rows_repeat=True)


def _users(items: Mapping[str, Float], ratings: Iterator[tuple[str, str, float, str]], place: Path) -> Ratings:
    users: Ratings = {}
    for user, item, stars, where in ratings:
        if item not in items:
            raise TableError("a rating of an item that is not listed", where, "give both files of one release")
        if not 0.5 <= stars <= 5.0:
            raise TableError("a rating that is not from 0.5 to 5", where, "give the files of a release")
        users.setdefault(f"user-{user}", []).append((items[item], max(1.0, stars)))
    if not users:
        raise TableError("no ratings", str(place), "give the files of a release")
    return users


def _row(genres: list[str], title: str) -> Float:
    found = re.search(r"\((\d{4})\)\s*$", title.strip())
    year = float(found[1]) if found else 1995.0
    return np.array([*(float(genre in genres) for genre in GENRES), min(max(year, _YEARS[0]), _YEARS[1])])


def _latest_items(path: Path) -> dict[str, Float]:
    items = {}
    for line in _csv(path, ("movieId", "title", "genres")):
        items[line["movieId"]] = _row(line["genres"].split("|"), line["title"])
    return items


def _latest_ratings(path: Path) -> Iterator[tuple[str, str, float, str]]:
    for number, line in enumerate(_csv(path, ("userId", "movieId", "rating")), start=2):
        where = f"{path}, line {number}"
        yield line["userId"], line["movieId"], _stars(line["rating"], where), where


def _csv(path: Path, names: tuple[str, ...]) -> Iterator[dict[str, str]]:
    try:
        with path.open(encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file)
            if not set(names) <= set(reader.fieldnames or ()):
                raise TableError(f"the first line does not name {', '.join(names)}", str(path), "give MovieLens' file")
            for line in reader:
                if any(line.get(name) is None for name in names):
                    where = f"{path}, line {reader.line_num}"
                    raise TableError("a line is cut off", where, "get the file again")
                yield line
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise TableError(f"cannot read the file: {type(error).__name__}", str(path), "get the file again") from None


def _hundred_items(path: Path) -> dict[str, Float]:
    """`u.item`: number|title|date|||unknown|18 genres in the order of `_HUNDRED`, in Latin-1."""
    items = {}
    for number, cells in _cells(path, "|", 24):
        chosen = [genre for genre, mark in zip(_HUNDRED, cells[6:24], strict=True) if mark == "1"]
        if any(mark not in ("0", "1") for mark in cells[5:24]):
            raise TableError("a genre mark that is not 0 or 1", f"{path}, line {number}", "give ml-100k's u.item")
        items[cells[0]] = _row(chosen, cells[1])
    return items


_HUNDRED = (
    "Action", "Adventure", "Animation", "Children", "Comedy", "Crime", "Documentary", "Drama", "Fantasy", "Film-Noir",
    "Horror", "Musical", "Mystery", "Romance", "Sci-Fi", "Thriller", "War", "Western",
)  # fmt: skip


def _hundred_ratings(path: Path) -> Iterator[tuple[str, str, float, str]]:
    for number, cells in _cells(path, "\t", 4):
        where = f"{path}, line {number}"
        yield cells[0], cells[1], _stars(cells[2], where), where


def _cells(path: Path, delimiter: str, count: int) -> Iterator[tuple[int, list[str]]]:
    try:
        lines = path.read_text(encoding="latin-1").splitlines()
    except OSError as error:
        raise TableError(f"cannot read the file: {error.strerror}", str(path), "get the file again") from None
    for number, line in enumerate(lines, start=1):
        cells = line.split(delimiter)
        if len(cells) != count:
            raise TableError(f"{len(cells)} cells, not {count}", f"{path}, line {number}", "give ml-100k's file")
        yield number, cells


def _stars(text: str, where: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise TableError("a rating that is no number", where, "give the files of a release") from None
