# SPDX-License-Identifier: Apache-2.0
"""Which column of somebody's table is what: public ranges and lists, stated by a person and not read off the data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from secure_fedmeta.datasets.codebook import Codebook, Feature
from secure_fedmeta.datasets.table import Table, TableError, is_missing, numbers_of

Float = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Column:
    """One feature column: numbers within [low, high], or one of the `values`, a public list.

    `missing` is the public constant that stands for an empty cell; without one an empty cell is refused. A category
    makes one column a value, 1 where it is the row's; an empty cell, or with `outside = "clip"` an unlisted value, is 0
    in all of them.

    Raises:
        TableError: neither or both of ranges and values, values that repeat, or anything of another kind.

    Example:
        >>> [f.name for f in Column("ward", values=("A", "B")).features()]
        ['ward = A', 'ward = B']
    """

    column: str
    low: float | None = None
    high: float | None = None
    transform: str = "linear"
    missing: float | None = None
    values: tuple[str, ...] = ()
    unit: str = "1"
    origin: str = ""

    def __post_init__(self) -> None:
        where = f"feature {self.column!r}"[:80]
        _check_kind(where, str, column=self.column, transform=self.transform, unit=self.unit, origin=self.origin)
        for name, value in {"low": self.low, "high": self.high, "missing": self.missing}.items():
            if value is not None and (
                isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 1e300
            ):
                raise TableError(f"{name} is not a number", where, "state a number, without quotes")
        if not isinstance(self.values, list | tuple):
            raise TableError("values is not a list", where, 'list them: values = ["a", "b"]')
        object.__setattr__(self, "values", tuple(self.values))
        ranged = self.low is not None and self.high is not None
        if ranged == bool(self.values) or (self.values and (self.low, self.high) != (None, None)):
            raise TableError("give low and high, or values, and not both", where, "correct the feature")
        if len(set(self.values)) != len(self.values) or not all(isinstance(v, str) and v for v in self.values):
            raise TableError("values repeat, or are not text", where, "list each value once, in quotes")
        if ranged and self.missing is not None and not float(self.low or 0) <= self.missing <= float(self.high or 0):
            raise TableError("missing lies outside low and high", where, "choose a constant within the range")

    def features(self) -> list[Feature]:
        """Its columns in the codebook."""
        if self.values:
            weight = 1.0 / np.sqrt(len(self.values))
            return [Feature(f"{self.column} = {value}", 0.0, 1.0, "1", weight=float(weight)) for value in self.values]
        transform: Any = self.transform
        return [Feature(self.column, float(self.low or 0), float(self.high or 0), self.unit, transform)]

    def read(self, table: Table, *, outside: str) -> Float:
        """(n, columns) in the codebook's units.

        Raises:
            TableError: missing cells, text among numbers, or a value that is not listed.
        """
        if not self.values:
            return numbers_of(table, self.column, missing=self.missing)[:, None]
        cells = table.column(self.column)
        known = {value: place for place, value in enumerate(self.values)}
        strange = [i for i, cell in enumerate(cells) if cell not in known and not is_missing(cell)]
        if strange and outside == "refuse":
            what = f"{len(strange)} cells hold a value that is not listed, the first in row {strange[0] + 1}"
            raise TableError(what, f"{table.name}, column {self.column!r}", 'list it, or set outside = "clip"')
        made = np.zeros((len(cells), len(self.values)))
        for place, cell in enumerate(cells):
            if cell in known:
                made[place, known[cell]] = 1.0
        return made


@dataclass(frozen=True, slots=True)
class Description:
    """Which column is what.

    Attributes:
        target, positive: the column to predict, and its value that counts as 1; all others of the two count as 0.
        site, person: whose row it is; `person` is one stable id for a person at all sites and in all rows.
        features: what is learned from.
        registered_share: of a site's persons, by a keyed hash of each one's id; the others are for the evaluation.
        later: sites that join after training.
        allow_giveaway: features that may tell the target by themselves.

    Raises:
        TableError: names that repeat, shares out of range, or anything of another kind.
    """

    target: str
    positive: str
    site: str
    person: str
    features: tuple[Column, ...]
    registered_share: float = 0.7
    later: tuple[str, ...] = ()
    allow_giveaway: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        roles = {"target": self.target, "positive": self.positive, "site": self.site, "person": self.person}
        _check_kind("data", str, **roles)
        for name, listed in {"later": self.later, "allow_giveaway": self.allow_giveaway}.items():
            _check_kind("data", list | tuple, **{name: listed})
            _check_kind("data", str, **{f"{name}[{i}]": one for i, one in enumerate(listed)})
        _check_kind("data", Column, **{f"feature[{i}]": one for i, one in enumerate(self.features)})
        names = [self.target, self.site, self.person, *(f.column for f in self.features)]
        if len(set(names)) != len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise TableError(f"column {twice!r} has two uses", "data", "use each column once")
        if not self.features:
            raise TableError("there are no features", "data", "list at least one [[data.feature]]")
        if isinstance(self.registered_share, bool) or not isinstance(self.registered_share, int | float):
            raise TableError("registered_share is not a number", "data", "use for instance 0.7")
        if not 0.1 <= self.registered_share <= 0.95:
            raise TableError("registered_share is not from 0.1 to 0.95", "data", "use for instance 0.7")

    @classmethod
    def from_table(cls, stated: Mapping[str, Any], where: str) -> Description:
        """Of the `[data]` table of a TOML file, `file` and `confirmed` taken out.

        Raises:
            TableError: keys that are unknown, missing, or of another kind.
        """
        given = dict(stated)
        entries = given.pop("feature", [])
        try:
            features = tuple(Column(**entry) for entry in entries)
            for name in ("later", "allow_giveaway"):
                if isinstance(given.get(name), list):
                    given[name] = tuple(given[name])
            return cls(features=features, **given)
        except TypeError as error:
            said = str(error).split("__init__() ")[-1]
            raise TableError(f"a key is missing, unknown or of another kind: {said}", where, "correct [data]") from None

    def codebook(self) -> Codebook:
        """Public ranges of all features.

        Raises:
            CodebookError: limits that are none.
        """
        features = tuple(feature for column in self.features for feature in column.features())
        return Codebook("own-table", 1, features)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e300


def _check_kind(where: str, kind: Any, **values: object) -> None:
    for name, value in values.items():
        if not isinstance(value, kind):
            wanted = {str: "text in quotes", Column: "a Column"}.get(kind, "a list")
            raise TableError(f"{name} is not {wanted}", where, f"state {wanted}")
