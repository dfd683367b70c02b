# SPDX-License-Identifier: Apache-2.0
"""Every number and word that an error, a finding or an audit may end in, with meaning, cause and remedy.

Made from the source: classes that carry a `code` are read, not imported, so that no error needs torch to be explained.
"""

from __future__ import annotations

import ast
import difflib
import inspect
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

from .errors import UsageError
from .explained import AUDIT_CHECKS, DATA_CODES, EXITS

_ROOMS = {"secure_fedmeta": "product", "fedmeta_crypto": "crypto", "fedmeta_privacy": "privacy"}
_CLASS = re.compile(r'^    code(?:: ClassVar\[str\])? = "SFM-\d{3}"', re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Entry:
    """What one number, audit check or exit status means.

    Attributes:
        code: "SFM-135"; "exit 3" for a status of `audit`, "audit chain" for one of its checks.
        name: the class, or the finding's title.
        room: product, crypto, privacy, check or audit.
    """

    code: str
    name: str
    room: str
    meaning: str
    cause: str
    remedy: str

    def as_json(self) -> dict[str, str]:
        """All of it, flat."""
        return {name: getattr(self, name) for name in ("code", "name", "room", "meaning", "cause", "remedy")}


@lru_cache(maxsize=1)
def catalogue() -> dict[str, Entry]:
    """All entries by code, in the order of the numbers; then audit checks and exit statuses.

    Example:
        >>> catalogue()["SFM-304"].name
        'BudgetExceeded'
        >>> catalogue()["exit 4"].name
        'claim too small'
    """
    from .check.findings import RULES

    found = [entry for package, room in _ROOMS.items() for entry in _classes(package, room)]
    found += [Entry(code, row[0], "product", *row[1:]) for code, row in DATA_CODES.items()]
    found += [
        Entry(r.code, f"{r.level.value} found by check", "check", r.title, r.why, r.remedy) for r in RULES.values()
    ]
    found.sort(key=lambda entry: entry.code)
    found += [
        Entry(f"audit {name}", "check of an audit", "audit", looks, means, EXITS[_worst_status(means)][3])
        for name, (looks, means) in AUDIT_CHECKS.items()
    ]
    found += [Entry(f"exit {status}", row[0], "audit", *row[1:]) for status, row in EXITS.items()]
    return {entry.code: entry for entry in found}


def explain(asked: str) -> Entry:
    """The entry that somebody means: `135`, `sfm-135`, `exit 3`, `chain` or a class's name.

    Raises:
        UsageError: there is none; near ones are named.

    Example:
        >>> explain("sfm135").code, explain("Exit 3").name, explain("budgetexceeded").code
        ('SFM-135', 'tampered', 'SFM-304')
        >>> explain("136x")
        Traceback (most recent call last):
        ...
        secure_fedmeta.errors.UsageError: SFM-102: nothing is called '136x' ... did you mean SFM-135, SFM-136...
    """
    entries, wanted = catalogue(), " ".join(asked.lower().split())
    number = re.fullmatch(r"(?:sfm)?[- ]?(\d{3})", wanted)
    status = re.fullmatch(r"exit ?(\d)", wanted)
    code = f"SFM-{number[1]}" if number else f"exit {status[1]}" if status else f"audit {wanted.removeprefix('audit ')}"
    if code in entries:
        return entries[code]
    named = [entry for entry in entries.values() if wanted in entry.name.lower().split(", ")]
    if len(named) == 1:
        return named[0]
    near = ", ".join([entry.code for entry in named] or _near(wanted, entries))
    remedy = f"did you mean {near}? `secure-fedmeta explain` lists all"
    raise UsageError(f"nothing is called {asked[:60]!r}", "explain", remedy)


_TITLES = {
    "product": "Settings, files, data, runs (1xx)",
    "crypto": "Rounds and messages (2xx)",
    "privacy": "Guarantees, budgets, ledgers (3xx)",
    "check": "Findings of `check` (5xx)",
    "audit": "Checks and exit statuses of `audit`",
}


def as_page() -> str:
    """The catalogue as a page; `tools/write_error_page.py` puts it into the documentation."""
    lines = [
        "# Every number, and what to do about it",
        "",
        "This page is written by `python tools/write_error_page.py` from the source; edit the docstrings there. On the",
        "command line: `secure-fedmeta explain SFM-135`. An error's own text is more exact: it names the place.",
    ]
    for room, title in _TITLES.items():
        lines += ["", f"## {title}", ""]
        if room == "audit":
            lines += ["`docs/auditing.md` explains them in their context.", ""]
        for entry in catalogue().values():
            if entry.room == room:
                lines += [f"### {entry.code}", "", f"**{entry.name}.** {_sentence(entry.meaning)}", ""]
                lines += [f"- Cause: {_sentence(entry.cause)}", f"- Remedy: {_sentence(entry.remedy)}", ""]
        lines.pop()
    return "\n".join(lines) + "\n"


def _sentence(text: str) -> str:
    """With a capital and a full stop, as a sentence stands on a page."""
    return text[:1].upper() + text[1:] + ("" if text.endswith(".") else ".")


def _near(wanted: str, entries: dict[str, Entry]) -> list[str]:
    digits = re.search(r"\d{1,3}", wanted)
    if digits and "exit" not in wanted:
        target = int(digits[0].ljust(3, "0"))
        numbers = [code for code in entries if code.startswith("SFM-")]
        return sorted(sorted(numbers, key=lambda code: abs(int(code[4:]) - target))[:3])
    names = {entry.name.lower(): code for code, entry in entries.items()} | {c.split()[-1]: c for c in entries}
    names |= {code: code for code in entries}
    close = difflib.get_close_matches(wanted, names, n=3, cutoff=0.5)
    return list(dict.fromkeys(names[name] for name in close)) or ["SFM-101", "exit 3"]


def _worst_status(means: str) -> int:
    """The first status in the order in which an audit decides."""
    return min(int(status) for status in re.findall(r"\((\d)\)", means))


def _classes(package: str, room: str) -> Iterator[Entry]:
    """Classes of a package that carry a number, from their source alone."""
    spec = find_spec(package)
    folders = (spec.submodule_search_locations if spec else None) or []
    for file in sorted(file for folder in folders for file in Path(folder).rglob("*.py")):
        text = file.read_text(encoding="utf-8")
        if _CLASS.search(text):
            yield from (entry for node in ast.parse(text).body if (entry := _entry(node, room)) is not None)


def _entry(node: ast.stmt, room: str) -> Entry | None:
    if not isinstance(node, ast.ClassDef):
        return None
    stated = {}
    for line in node.body:
        target = (
            line.target if isinstance(line, ast.AnnAssign) else line.targets[0] if isinstance(line, ast.Assign) else 0
        )
        value = line.value if isinstance(line, ast.Assign | ast.AnnAssign) else None
        if isinstance(target, ast.Name) and isinstance(value, ast.Constant) and isinstance(value.value, str):
            stated[target.id] = value.value
    if not stated.get("code", "").startswith("SFM-"):
        return None
    text = ast.get_docstring(node) or ""
    remedy = _paragraph(text, "Remedy:") or stated.get("remedy", "")
    return Entry(stated["code"], node.name, room, _first(text), _paragraph(text, "Cause:"), remedy)


def _first(text: str) -> str:
    return " ".join(inspect.cleandoc(text).split("\n\n")[0].split())


def _paragraph(text: str, label: str) -> str:
    """What follows a label at the start of a line, up to the next label or empty line."""
    found = re.search(rf"^{label}\s+(.*?)(?=\n\s*\n|\n[A-Z]\w+:|\Z)", text, re.MULTILINE | re.DOTALL)
    return " ".join(found[1].split()) if found else ""
