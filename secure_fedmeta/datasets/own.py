# SPDX-License-Identifier: Apache-2.0
"""Somebody's own table as a federation: which column is what, within which public ranges.

Everything that decides how a row is read stands in the description, none of it follows from other rows: so adding a
person changes nobody else's row. What is refused is refused as a whole, by counts; no row is ever left out silently.
"""

from __future__ import annotations

import hmac
import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256

import numpy as np
from numpy.typing import NDArray

from secure_fedmeta.datasets.described import Description
from secure_fedmeta.datasets.federation import Federation, Member
from secure_fedmeta.datasets.records import SiteRecords
from secure_fedmeta.datasets.table import Table, TableError, is_missing

Float = NDArray[np.float64]

FEWEST_PERSONS = 12  # at a site: with fewer, chance may leave too few in a role or in the part for the evaluation
GIVES_AWAY = 0.999  # AUROC of one column alone


def federation_of(table: Table, described: Description, *, outside: str, key: bytes, repeat: bool) -> Federation:
    """Each site's persons, registered or not, in the order of the table.

    Args:
        table: all sites' rows.
        described: which column is what.
        outside: what happens to values beyond the public ranges, "refuse" or "clip".
        key: of the hash that says who is registered.
        repeat: whether a person may have several rows (unit task); else that is refused.

    Raises:
        TableError: see the module: missing cells, text, one class, persons at two sites or with two rows, sites with
            too few persons, a column that gives the target away.
    """
    sites, persons = ids_of(table, described.site), ids_of(table, described.person)
    labels = labels_of(table, described)
    rows = read_rows(table, described, outside=outside)
    names = _names(sites)
    _check_persons(table.name, look_at(sites, persons), repeat=repeat)
    if telling := giveaways(described, rows, labels):
        what = f"column {telling[0]!r} tells the target by itself: it may be known only afterwards"
        raise TableError(what, table.name, f'leave it out, or state allow_giveaway = ["{telling[0]}"]')
    places: dict[str, list[int]] = defaultdict(list)
    for place, site in enumerate(sites):
        places[site].append(place)
    strangers = sorted(set(described.later) - set(places))
    if strangers:
        raise TableError(f"no rows of the later site {strangers[0]!r}", table.name, "correct `later`")
    members, later = [], []
    for site in sorted(places):
        at = places[site]
        ids = tuple(persons[i] for i in at)
        whole = SiteRecords(names[site], rows[at], labels[at], ids, rows_repeat=repeat)
        if site in described.later:
            later.append(whole)
            continue
        inside = np.array([registered(one, key, described.registered_share) for one in ids])
        member = Member(names[site], whole.take(np.flatnonzero(inside)), whole.take(np.flatnonzero(~inside)))
        members.append(member)
    return Federation("own-table", described.codebook(), tuple(members), tuple(later), False, f"the table {table.name}")


def records_of(
    table: Table, described: Description, *, site: str, outside: str, key: bytes, repeat: bool
) -> SiteRecords:
    """One site's registered persons, where nothing but its own rows is at hand.

    Args: as `federation_of`; `site` is the name in the site column.

    Raises:
        TableError: rows of another site, or what else `federation_of` refuses and one site alone can see.
    """
    sites, persons = ids_of(table, described.site), ids_of(table, described.person)
    if others := sum(each != site for each in sites):
        raise TableError(f"{others} rows are of another site", table.name, f"keep the rows of {site!r} alone")
    found = look_at(sites, persons)
    if found.repeated and not repeat:
        what = f"{found.repeated} rows belong to persons who have a row already"
        raise TableError(what, table.name, 'set unit = "task" and mode = "task-is-person", or merge a person\'s rows')
    if found.small:
        raise TableError(f"fewer than {FEWEST_PERSONS} persons", table.name, "join another site")
    cells = table.column(described.target)
    if absent := sum(is_missing(cell) for cell in cells):
        raise TableError(f"{absent} of {len(cells)} targets are missing", table.name, "remove these rows")
    labels = np.array([1.0 if cell == described.positive else 0.0 for cell in cells])
    rows = read_rows(table, described, outside=outside)
    whole = SiteRecords(folder_name(site), rows, labels, tuple(persons), rows_repeat=repeat)
    inside = np.array([registered(one, key, described.registered_share) for one in persons])
    return whole.take(np.flatnonzero(inside))


def registered(person: str, key: bytes, share: float) -> bool:
    """Whether a person is registered, by a keyed hash of the id alone: nobody else's coming or going changes it.

    Example:
        >>> registered("p-1", bytes(32), 1.0), registered("p-1", bytes(32), 0.0)
        (True, False)
    """
    digest = hmac.digest(key, b"sfm-registered/1" + person.encode(), sha256)
    return int.from_bytes(digest[:8], "big") < share * 2.0**64


def labels_of(table: Table, described: Description) -> Float:
    """1.0 where the target is `positive`, else 0.0.

    Raises:
        TableError: missing cells, one value only, or more than two.
    """
    cells = table.column(described.target)
    where = f"{table.name}, column {described.target!r}"
    absent = sum(is_missing(cell) for cell in cells)
    if absent:
        raise TableError(f"{absent} of {len(cells)} targets are missing", where, "remove these rows: nobody may guess")
    kinds = sorted(set(cells))
    if len(kinds) > 2:
        what = f"the target has {len(kinds)} different values; two classes can be learned"
        raise TableError(what, where, "make it yes or no, or use the API for classes and numbers")
    if described.positive not in kinds:
        raise TableError(f"no row has the positive value {described.positive[:40]!r}", where, "correct `positive`")
    if len(kinds) == 1:
        raise TableError("every row is of one class", where, "there is nothing to learn; give both classes")
    return np.array([1.0 if cell == described.positive else 0.0 for cell in cells])


def folder_name(site: str) -> str:
    """A site's name as its folder is named.

    Example:
        >>> folder_name("St. Mary's (North)")
        'St.-Mary-s-North'
    """
    return re.sub(r"[^A-Za-z0-9._-]+", "-", site).strip("-.")[:64] or "site"


def _names(sites: Sequence[str]) -> dict[str, str]:
    names: dict[str, str] = {}
    taken: dict[str, str] = {}
    for site in sorted(set(sites)):
        name = folder_name(site)
        if taken.setdefault(name.casefold(), site) != site:
            what = f"sites {taken[name.casefold()]!r} and {site!r} would share the folder {name!r}"
            raise TableError(what, "site column", "rename one of them")
        names[site] = name
    return names


def ids_of(table: Table, name: str) -> list[str]:
    """A column that names sites or persons.

    Raises:
        TableError: a cell is missing.
    """
    cells = table.column(name)
    absent = [place for place, cell in enumerate(cells) if is_missing(cell)]
    if absent:
        what = f"{len(absent)} rows have no {name!r}, the first is row {absent[0] + 1}"
        raise TableError(what, table.name, "give every row a site and a person")
    return cells


@dataclass(frozen=True, slots=True)
class Looked:
    """What is wrong with who is where, by counts.

    Attributes:
        wandering: persons with rows at two sites or more.
        repeated: rows of persons who have a row already.
        sites: how many.
        small: sites with fewer than `FEWEST_PERSONS`, by name.
    """

    wandering: int
    repeated: int
    sites: int
    small: tuple[str, ...]


def look_at(sites: Sequence[str], persons: Sequence[str]) -> Looked:
    """Count; nothing is refused here.

    Example:
        >>> found = look_at(["A", "A", "B"], ["p", "p", "p"])
        >>> found.wandering, found.repeated, found.sites, found.small
        (1, 2, 2, ('A', 'B'))
    """
    home: dict[str, str] = {}
    wandering: set[str] = set()
    members: dict[str, set[str]] = defaultdict(set)
    for person, site in zip(persons, sites, strict=True):
        members[site].add(person)
        if home.setdefault(person, site) != site:
            wandering.add(person)
    small = tuple(sorted(site for site, who in members.items() if len(who) < FEWEST_PERSONS))
    return Looked(len(wandering), len(persons) - len(home), len(members), small)


def _check_persons(name: str, found: Looked, *, repeat: bool) -> None:
    if found.wandering:
        what = f"{found.wandering} persons have rows at two sites or more: each would be protected at one of them only"
        raise TableError(what, name, "register each person at one site; budgets of two sites would add up")
    if found.repeated and not repeat:
        what = f"{found.repeated} rows belong to persons who have a row already: counted as one each, they would be "
        remedy = 'set unit = "task" and mode = "task-is-person", or merge a person\'s rows'
        raise TableError(what + "unprotected", name, remedy)
    if found.sites < 3:
        raise TableError(f"{found.sites} site(s)", name, "a sum hides nobody among fewer than 3 sites")
    if found.small:
        few = ", ".join(map(repr, found.small[:5]))[:120]
        what = f"{len(found.small)} of {found.sites} sites have fewer than {FEWEST_PERSONS} persons: {few}"
        raise TableError(what, name, "merge them with others, or leave them out: they can still use the released model")


def giveaways(described: Description, rows: Float, labels: Float) -> list[str]:
    """Columns that tell the target by themselves: usually the target under another name, or written down after it."""
    from secure_fedmeta.scores import auroc

    place = 0
    found: list[str] = []
    for column in described.features:
        for _ in column.features():
            ranked = auroc(labels, rows[:, place])
            place += 1
            if max(ranked, 1 - ranked) >= GIVES_AWAY and column.column not in (*found, *described.allow_giveaway):
                found.append(column.column)
    return found


def read_rows(table: Table, described: Description, *, outside: str) -> Float:
    """All feature columns, (n, p), in the codebook's units.

    Raises:
        TableError: as `Column.read`.
    """
    return np.concatenate([column.read(table, outside=outside) for column in described.features], axis=1)
