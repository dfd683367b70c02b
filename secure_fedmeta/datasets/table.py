# SPDX-License-Identifier: Apache-2.0
"""Tables of others: a CSV or Parquet file, a data frame, or columns of arrays, as text columns with numbered errors.

Errors name columns, lines and counts, never a cell: they may end in a log that leaves the site.
"""

from __future__ import annotations

import csv
import sys
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from secure_fedmeta.datasets.records import DataError

MOST_BYTES = 2**31
MOST_ROWS = 5_000_000
MOST_COLUMNS = 2000
LONGEST_CELL = 10_000
LONGEST_LINE = 2**24
_BREAKS = frozenset({"Cc", "Cs", "Zl", "Zp"})
MISSING = frozenset({"", "na", "n/a", "nan", "null", "none", "?"})
"""Cells that stand for nothing, in any case and with blanks around them."""


class TableError(DataError):
    """A table that no records can be made of (SFM-150)."""

    def __init__(self, what: str, where: str, remedy: str) -> None:
        super().__init__("SFM-150", what, where, remedy)


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """Named columns of cells as text, all of one length.

    Example:
        >>> table = Table.of({"age": [41, 52], "died": [0, 1]})
        >>> table, table.column("age")
        (Table('columns', <2 rows, 2 columns>), ['41', '52'])
    """

    name: str
    columns: Mapping[str, Sequence[str]]

    def __len__(self) -> int:
        """Rows."""
        return len(next(iter(self.columns.values())))

    def __repr__(self) -> str:
        return f"Table({self.name!r}, <{len(self)} rows, {len(self.columns)} columns>)"

    def column(self, name: str) -> list[str]:
        """The cells of one column.

        Raises:
            TableError: there is no such column; the ones there are, are named.
        """
        if name not in self.columns:
            known = ", ".join(sorted(self.columns)[:30])
            raise TableError(f"there is no column {name[:60]!r}", self.name, f"use one of: {known}")
        return list(self.columns[name])

    @classmethod
    def of(cls, source: object, *, name: str = "columns") -> Table:
        """A path, a pandas (or any) data frame, a mapping of columns, or a structured array.

        Raises:
            TableError: none of these, or one that cannot be read.
        """
        if isinstance(source, str | Path):
            return read_table(Path(source))
        if isinstance(source, np.ndarray) and source.dtype.names:
            return _made({field: source[field] for field in source.dtype.names}, name)
        if isinstance(source, Mapping):
            return _made(source, name)
        if hasattr(source, "columns") and hasattr(source, "__getitem__"):
            frame: Any = source
            return _made({str(column): frame[column] for column in frame.columns}, name)
        raise TableError(
            f"a {type(source).__name__} is no table", name, "pass a path, a data frame, or a mapping of columns"
        )


def read_table(path: Path) -> Table:
    """A `.parquet` file (needs pyarrow: the extra `data`), or CSV in UTF-8 with a line of names; `,` `;` or a tab.

    Raises:
        TableError: missing, too large, not text, rows of another length than the first line, no rows, or names that
            repeat.
    """
    where = str(path)
    try:
        size = path.stat().st_size
    except OSError as error:
        raise TableError(f"cannot read the file: {error.strerror}", where, "check the path") from None
    if path.is_dir():
        raise TableError("this is a folder", where, "name a file")
    if size > MOST_BYTES:
        raise TableError(f"more than {MOST_BYTES // 2**30} GiB", where, "leave columns out, or split it by site")
    if path.suffix.lower() in {".parquet", ".pq"}:
        return _parquet(path)
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            return _csv(file, path.name, where)
    except UnicodeDecodeError:
        raise TableError("not UTF-8 text", where, "save the table as CSV in UTF-8, or as Parquet") from None
    except csv.Error as error:
        raise TableError(f"not CSV: {error}", where, "save the table as CSV again") from None


def _csv(file: Any, name: str, where: str) -> Table:
    first = next(_lines(file, where), "")
    file.seek(0)
    delimiter = max(",;\t", key=first.count)
    before = csv.field_size_limit(LONGEST_CELL)
    try:
        return _rows(csv.reader(_lines(file, where), delimiter=delimiter), name, where)
    finally:
        csv.field_size_limit(before)  # it is the whole process's


def _lines(file: Any, where: str) -> Iterator[str]:
    """A file's lines; none is read that is longer than a table's can be."""
    while line := file.readline(LONGEST_LINE):
        if len(line) == LONGEST_LINE:
            raise TableError(f"a line of {LONGEST_LINE} characters or more", where, "this is no table")
        yield line


def _rows(reader: Any, name: str, where: str) -> Table:
    header = [cell.strip() for cell in next(reader, [])]
    _check_names(header, where)
    cells: list[list[str]] = [[] for _ in header]
    for line in reader:
        if not line:
            continue
        if len(line) != len(header):
            what = f"line {reader.line_num} has {len(line)} cells, the first line {len(header)}"
            raise TableError(what, where, "quote cells that hold the delimiter")
        if len(cells[0]) >= MOST_ROWS:
            raise TableError(f"more than {MOST_ROWS} rows", where, "split it by site")
        for column, cell in zip(cells, line, strict=True):
            # The same few values come again and again; one copy of each keeps a million rows small.
            column.append(sys.intern(cell.strip()))
    if not cells[0]:
        raise TableError("no rows below the first line", where, "give it records")
    return Table(name, dict(zip(header, cells, strict=True)))


def _parquet(path: Path) -> Table:
    try:
        from pyarrow import parquet  # type: ignore[import-not-found, import-untyped, unused-ignore]
    except ImportError:
        remedy = 'pip install "secure-fedmeta[data]", or save the table as CSV'
        raise TableError("Parquet needs pyarrow, which is not installed", str(path), remedy) from None
    try:
        read = parquet.read_table(path)
    except (OSError, ValueError) as error:  # pyarrow's own errors are of these kinds
        raise TableError(f"not a Parquet file: {type(error).__name__}", str(path), "save it again") from None
    return _made({name: read.column(name).to_pylist() for name in read.column_names}, path.name)


def _made(source: Mapping[Any, Any], name: str) -> Table:
    columns: dict[str, list[str]] = {
        str(key).strip(): [_cell(value) for value in values] for key, values in source.items()
    }
    _check_names(list(columns), name, given=len(source))
    lengths = {len(cells) for cells in columns.values()}
    if len(lengths) != 1:
        raise TableError(f"columns of {min(lengths)} and {max(lengths)} rows", name, "give all columns one length")
    if lengths == {0}:
        raise TableError("no rows", name, "give it records")
    if max(lengths) > MOST_ROWS:
        raise TableError(f"more than {MOST_ROWS} rows", name, "split it by site")
    return Table(name, columns)


def _cell(value: object) -> str:
    """A value as the cell that CSV would hold: whole numbers without a point, true as 1, nothing as an empty cell."""
    if value is None or (isinstance(value, float | np.floating) and np.isnan(value)):
        return ""
    if isinstance(value, bool | np.bool_):
        return str(int(value))
    if isinstance(value, float | np.floating) and float(value).is_integer() and abs(float(value)) < 2**53:
        return str(int(value))
    if type(value).__name__ in {"NAType", "NaTType"}:
        return ""
    return str(value).strip()


def _check_names(names: Sequence[str], where: str, *, given: int | None = None) -> None:
    if not names or not all(names):
        raise TableError("a column has no name", where, "name every column in the first line")
    if strange := [place for place, name in enumerate(names, 1) if unprintable(name)]:
        what = f"the name of column {strange[0]} holds a character that cannot be printed"
        raise TableError(what, where, "rename it: no line breaks, tabs or control characters")
    if len(names) > MOST_COLUMNS:
        raise TableError(f"more than {MOST_COLUMNS} columns", where, "leave columns out")
    if len(set(names)) != len(names) or (given is not None and given != len(names)):
        twice = next((name for name in names if list(names).count(name) > 1), names[0])
        raise TableError(f"two columns are named {twice[:60]!r}", where, "give each its own name")


def unprintable(text: str) -> bool:
    r"""Whether a text does more than stand there on a terminal or in a file of lines: breaks, controls, bidi marks.

    Example:
        >>> unprintable("au\u00a0lait"), unprintable("a\nb"), unprintable("a\x1b[2J"), unprintable("a\u202eb")
        (False, True, True, True)
    """
    return any(
        unicodedata.category(c) in _BREAKS or "\u202a" <= c <= "\u202e" or "\u2066" <= c <= "\u2069" for c in text
    )


def is_missing(cell: str) -> bool:
    """Whether a cell stands for nothing.

    Example:
        >>> is_missing("NA"), is_missing(" "), is_missing("0")
        (True, True, False)
    """
    return cell.strip().lower() in MISSING


def number_of(cell: str) -> float | None:
    """A finite number as Python writes it, or with a decimal comma; None for anything else.

    Example:
        >>> number_of("1.5"), number_of("1,5"), number_of("low"), number_of("inf"), number_of("1_000")
        (1.5, 1.5, None, None, None)
    """
    text = cell.strip()
    if "_" in text:
        return None
    if text.count(",") == 1 and "." not in text:
        text = text.replace(",", ".")
    try:
        value = float(text)
    except ValueError:
        return None
    return value if np.isfinite(value) else None


def numbers_of(table: Table, name: str, *, missing: float | None = None) -> NDArray[np.float64]:
    """A column as numbers; a missing cell is the public constant `missing`, or refused without one.

    Raises:
        TableError: missing cells (how many), or text among the numbers (how often, and in which row it comes first).
    """
    cells = table.column(name)
    absent = [is_missing(cell) for cell in cells]
    where = f"{table.name}, column {name!r}"
    if missing is None and any(absent):
        what = f"{sum(absent)} of {len(cells)} cells are missing, the first in row {absent.index(True) + 1}"
        raise TableError(what, where, "state missing = NUMBER for the column, a public constant, or leave it out")
    values = [missing if gone else number_of(cell) for cell, gone in zip(cells, absent, strict=True)]
    wrong = [place for place, value in enumerate(values) if value is None]
    if wrong:
        what = f"{len(wrong)} of {len(cells)} cells are no numbers, the first in row {wrong[0] + 1}"
        raise TableError(what, where, "correct them, list the column's categories, or leave it out")
    return np.array(values, dtype=np.float64)
