# SPDX-License-Identifier: Apache-2.0
"""From a table to a pilot's TOML file: what each column could be, and which public bounds a person must confirm.

Ranges that are proposed from the data are marked as such: until a person has put public limits in their place (or
agreed that they are public), nothing runs with them.
"""

from __future__ import annotations

import math
import os
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from .datasets.own import FEWEST_PERSONS, GIVES_AWAY, folder_name
from .datasets.table import Table, is_missing, number_of
from .errors import FileError, UsageError
from .federation.storage import replace_durably
from .files import toml_value

MOST_CATEGORIES = 20
FROM_DATA = "FROM THE DATA: replace by what is known without it"
# What is known of common columns without any data: (words of the name, low, high, unit, why).
_KNOWN: tuple[tuple[str, float, float, str, str], ...] = (
    (r"age|alter", 0, 120, "year", "the oldest person known reached 122"),
    (r"bmi|body_mass_index", 10, 80, "kg/m^2", "values beyond are errors of entry"),
    (r"(heart|pulse)(_rate)?|hr", 20, 250, "1/min", "what monitors show"),
    (r"(systolic|sbp).*", 40, 300, "mm Hg", "what cuffs measure"),
    (r"(diastolic|dbp).*", 20, 200, "mm Hg", "what cuffs measure"),
    (r"(spo2|oxygen_saturation|sat)", 0, 100, "%", "a share"),
    (r"temp(erature)?(_c)?", 25, 45, "degree Celsius", "what the living have"),
    (r"weight(_kg)?", 0.3, 350, "kg", "newborns to the heaviest patients"),
    (r"height(_cm)?", 20, 250, "cm", "newborns to the tallest"),
    (r"(hba1c)", 2, 20, "%", "what laboratories report"),
    (r"(percent|pct|share)_?.*", 0, 100, "%", "a share"),
)


@dataclass(slots=True)
class Proposal:
    """What `new` would write.

    Attributes:
        text: of the TOML file.
        said: lines for the person who asked.
        to_confirm: columns whose range comes from the data.
    """

    text: str
    said: list[str] = field(default_factory=list)
    to_confirm: list[str] = field(default_factory=list)


def propose(
    table: Table,
    *,
    name: str,
    file: Path,
    folder: Path,
    target: str,
    site: str,
    person: str,
    positive: str | None = None,
    epsilon: float = 3.0,
) -> Proposal:
    """Read the table once, on the machine where it lies, and describe it.

    Raises:
        TableError: a named column is not there.
        UsageError: the target is not of two values, or too few sites.
    """
    cells = {role: table.column(column) for role, column in (("target", target), ("site", site), ("person", person))}
    chosen = _positive(cells["target"], positive, target)
    labels = np.array([1.0 if cell == chosen else 0.0 for cell in cells["target"]])
    entries: list[dict[str, Any]] = []
    left_out: list[str] = []
    confirm: list[str] = []
    for column in table.columns:
        if column in (target, site, person):
            continue
        entry, why = _column(column, table.column(column), labels)
        if entry is None:
            left_out.append(f"{column}: {why}")
            continue
        entries.append(entry)
        if why:
            confirm.append(column)
    if not entries:
        raise UsageError("no column is left to learn from", "secure-fedmeta new", "name other columns, or add some")
    shape = _shape(cells["site"], cells["person"])
    lines = _head(name, shape, epsilon)
    lines += [
        "",
        "[data]",
        f"file = {toml_value(os.path.relpath(file.resolve(), folder.resolve()))}",
        f"target = {toml_value(target)}",
        f"positive = {toml_value(chosen)}",
        f"site = {toml_value(site)}",
        f"person = {toml_value(person)}",
        "registered_share = 0.7  # of a site's persons; the others are for the evaluation",
        "later = []              # sites that join after training",
        "# Set this to true when every range and list below is public: known without these records.",
        "confirmed = false",
    ]
    lines += [f"# left out: {line}" for line in left_out]
    for entry in entries:
        lines += ["", "[[data.feature]]", *(f"{key} = {toml_value(value)}" for key, value in entry.items())]
    return Proposal("\n".join(lines) + "\n", _said(table, shape, entries, left_out, confirm), confirm)


def write_new(folder: Path, proposal: Proposal) -> Path:
    """Make the folder with its `pilot.toml`; nothing that is there is touched.

    Raises:
        FileError: the folder is there and not empty, or cannot be made.
    """
    try:
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise FileError("something is there already", str(folder), "choose another name")
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / "pilot.toml"
        replace_durably(path, proposal.text.encode(), mode=0o666)
    except OSError as error:
        raise FileError(f"the system refused: {error.strerror}", str(folder), "choose a place to write to") from None
    return path


@dataclass(frozen=True, slots=True)
class _Shape:
    """Counts of a table, on the machine where it lies."""

    rows: int
    sites: int
    persons: int
    largest: int  # persons of the largest site
    longest: int  # rows of one person
    small: int  # sites with too few persons

    @property
    def repeat(self) -> bool:
        return self.longest > 1


def _shape(sites: Sequence[str], persons: Sequence[str]) -> _Shape:
    at: dict[str, set[str]] = {}
    for site, person in zip(sites, persons, strict=True):
        at.setdefault(site, set()).add(person)
    sizes = [len(members) for members in at.values()]
    if len(sizes) < 3:
        raise UsageError(f"{len(sizes)} site(s)", "secure-fedmeta new", "a sum hides nobody among fewer than 3 sites")
    longest = max(Counter(persons).values())
    small = sum(size < FEWEST_PERSONS for size in sizes)
    return _Shape(len(sites), len(sizes), len(set(persons)), max(sizes), longest, small)


def _positive(cells: Sequence[str], positive: str | None, target: str) -> str:
    kinds = sorted({cell for cell in cells if not is_missing(cell)})
    if len(kinds) != 2:
        what = f"the target {target!r} has {len(kinds)} different values; two classes can be learned"
        raise UsageError(what, "--target", "name a column of two values")
    if positive is not None:
        if positive not in kinds:
            raise UsageError(f"{positive!r} is no value of {target!r}", "--positive", "name one of its two values")
        return positive
    yes = {"1", "yes", "true", "y", "positive", "dead", "died", "default", "bad", "malignant"}
    likely = [kind for kind in kinds if kind.lower() in yes]
    if len(likely) == 1:
        return likely[0]
    raise UsageError(f"it is not clear which value of {target!r} counts as 1", "--positive", "name it with --positive")


def _column(column: str, cells: Sequence[str], labels: Any) -> tuple[dict[str, Any] | None, str]:
    """An entry and whether its range is from the data, or None and why the column is left out."""
    present = [cell for cell in cells if not is_missing(cell)]
    kinds = set(present)
    if len(kinds) < 2:
        return None, "it holds one value"
    given = [number_of(cell) for cell in present]
    values = [value for value in given if value is not None]
    if len(values) < len(present):
        return _listed(column, kinds, numbers=len(values), cells=len(present))
    if re.search(r"(^|_)(id|key|uuid|nr|no)$", column.lower()) and len(kinds) > len(present) / 2:
        return None, "it looks like an identifier"
    if len(present) == len(cells) and _gives_away(np.array(values), labels):
        return None, "it tells the target by itself: it may be known only afterwards"
    return _ranged(column, values, missing=len(present) < len(cells))


def _listed(column: str, kinds: set[str], *, numbers: int, cells: int) -> tuple[dict[str, Any] | None, str]:
    if numbers > cells / 2:
        return None, f"{cells - numbers} of its cells are text among numbers: correct them"
    if len(kinds) > MOST_CATEGORIES:
        return None, f"text of {len(kinds)} different values"
    return {"column": column, "values": sorted(kinds), "origin": FROM_DATA}, "values"


def _ranged(column: str, values: Sequence[float], *, missing: bool) -> tuple[dict[str, Any], str]:
    low, high = min(values), max(values)
    plain = column.strip().lower().replace(" ", "_").replace("-", "_")
    for words, least, most, unit, origin in _KNOWN:
        if re.fullmatch(words, plain) and least <= low and high <= most:
            entry: dict[str, Any] = {"column": column, "low": least, "high": most, "unit": unit, "origin": origin}
            return entry | ({"missing": (least + most) / 2} if missing else {}), ""
    if {low, high} == {0.0, 1.0} and set(values) == {0.0, 1.0}:
        entry = {"column": column, "low": 0, "high": 1, "origin": "a yes or no"}
        return entry | ({"missing": 0.5} if missing else {}), ""
    wide_low, wide_high = _round_down(low), _round_up(high)
    entry = {"column": column, "low": wide_low, "high": wide_high, "origin": FROM_DATA}
    if wide_low > 0 and wide_high / wide_low > 100:
        entry["transform"] = "log"
    if missing:
        log = "transform" in entry
        entry["missing"] = math.sqrt(wide_low * wide_high) if log else (wide_low + wide_high) / 2
    return entry, "range"


def _round_up(value: float) -> float:
    """The next of 1, 2, 5 times a power of ten that is well above; away from zero or towards it as needed."""
    if value == 0:
        return 0
    if value < 0:
        return -_round_down(-value)
    power = 10.0 ** math.floor(math.log10(value))
    found = next(step * power for step in (1, 2, 5, 10, 20) if step * power > value * 1.02)
    return int(found) if found.is_integer() else found


def _round_down(value: float) -> float:
    if value == 0:
        return 0
    if value < 0:
        return -_round_up(-value)
    power = 10.0 ** math.floor(math.log10(value))
    found = next(step * power for step in (5, 2, 1, 0.5) if step * power < value * 0.98)
    return int(found) if float(found).is_integer() else found


def _gives_away(values: Any, labels: Any) -> bool:
    from .scores import auroc

    found = auroc(labels, values)
    return max(found, 1 - found) >= GIVES_AWAY


def _head(name: str, shape: _Shape, epsilon: float) -> list[str]:
    from .pilots.hospital import slots_of_largest
    from .pilots.own import DEFAULTS, PERSONS
    from .plan import Plan

    settings: dict[str, Any] = {"epsilon": epsilon, **(PERSONS if shape.repeat else DEFAULTS), "clients": shape.sites}
    bound = _roomy(shape.largest)
    if shape.repeat:
        settings["task_slots"] = bound
        slots = bound * shape.sites
    else:
        settings |= slots_of_largest(Plan.make(settings), bound)
        slots = (settings["support_slots"] + settings["query_slots"]) * shape.sites
    settings["delta"] = 10.0 ** math.floor(math.log10(1 / (10 * slots)))
    what = f"a person's rows together ({shape.longest} at most)" if shape.repeat else "one person, with one row"
    return [
        f"# Pilot {folder_name(name)}. The unit of privacy is {what}.",
        "# Before the run: secure-fedmeta check pilot.toml, and plan. Then: secure-fedmeta run pilot.toml",
        'pilot = "table"',
        "# delta is far below one over the registered slots; slots are public upper bounds, not counts.",
        *(f"{key} = {toml_value(value)}" for key, value in settings.items()),
    ]


def _roomy(largest: int) -> int:
    """A public bound on a site's registered persons: well above what is there, in round numbers."""
    return math.ceil(1.2 * 0.75 * largest / 10 + 0.5) * 10


def _said(
    table: Table, shape: _Shape, entries: Sequence[dict[str, Any]], left_out: Sequence[str], confirm: Sequence[str]
) -> list[str]:
    lines = [
        f"{table.name}: {shape.rows} rows, {shape.persons} persons at {shape.sites} sites, {len(entries)} features",
    ]
    if shape.repeat:
        lines.append(
            f"persons have up to {shape.longest} rows: the unit of privacy is a person with all rows (unit task)"
        )
    if shape.small:
        lines.append(
            f"{shape.small} sites have fewer than {FEWEST_PERSONS} persons: `run` will refuse them; merge them"
        )
    lines += [f"left out: {line}" for line in left_out]
    if confirm:
        lines.append(f"ranges taken from the data, to be replaced or confirmed by you: {', '.join(confirm)}")
    return lines
