# SPDX-License-Identifier: Apache-2.0
"""Self-contained HTML pages of runs: no script, no network, light and dark, print well."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fedmeta_privacy.errors import PrivacyError

from .._version import __version__
from ..errors import FileError, UserError
from ..federation.storage import replace_durably
from .facts import SCORES, Facts

if TYPE_CHECKING:
    from ..pilots.pilot import Outcome

SCORES_FORMAT = "secure-fedmeta/scores/1"


def keep_scores(folder: Path, outcome: Outcome) -> None:
    """Leave the comparison in the run's folder: simulation only, and in no ledger."""
    pilot = outcome.pilot
    content = {
        "format": SCORES_FORMAT,
        "note": "simulation only, not covered by any epsilon",
        "pilot": pilot.name,
        "title": pilot.title,
        "site": [pilot.site, pilot.sites],
        "person": [pilot.person, pilot.persons],
        "generated": pilot.generated,
        "source": pilot.source,
        "live": {"key": pilot.live.key, "title": pilot.live.title},
        "columns": [{"key": one.key, "title": one.title, "low_is_good": one.low_is_good} for one in pilot.columns],
        "rows": [{key: _finite(value) for key, value in row.items()} for row in outcome.table],
    }
    replace_durably(folder / SCORES, (json.dumps(content, indent=1, ensure_ascii=False) + "\n").encode(), mode=0o666)


def write_report(folder: Path) -> Path:
    """Make `report.html` from the files of a run; the same files make the same bytes.

    Raises:
        FileError, LedgerDamaged, AuditRefused: what is there cannot be read.
    """
    from .page import report_content

    path = folder / "report.html"
    with _of_a_run(folder):
        page = render("report.html.j2", report_content(Facts.of(folder)))
    replace_durably(path, page.encode(), mode=0o666)
    return path


def write_comparison(first: Path, second: Path, path: Path) -> Path:
    """One page for two runs.

    Raises:
        FileError, LedgerDamaged, AuditRefused: as `write_report`.
    """
    from .compared import comparison_content

    with _of_a_run(first, second):
        page = render("compare.html.j2", comparison_content(Facts.of(first), Facts.of(second)))
    replace_durably(path, page.encode(), mode=0o666)
    return path


@contextmanager
def _of_a_run(*folders: Path) -> Iterator[None]:
    """Files of the right names with something else in them are refused: a folder may be anybody's."""
    from jinja2 import UndefinedError

    try:
        yield
    except (UserError, PrivacyError):
        raise
    except (
        LookupError,
        TypeError,
        ValueError,
        AttributeError,
        ArithmeticError,
        RecursionError,
        UndefinedError,
    ) as error:
        what = f"a file is not in the form that a run leaves ({type(error).__name__})"
        remedy = "audit the run; get the folder again, or remove what can be made again: scores.json, disclosure.json"
        raise FileError(what, ", ".join(map(str, folders)), remedy) from None


def render(template: str, content: Mapping[str, Any]) -> str:
    """A page; every value is escaped but the drawings."""
    from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

    environment = Environment(
        loader=PackageLoader("secure_fedmeta", "report"),
        autoescape=select_autoescape(default=True, default_for_string=True, enabled_extensions=("j2", "html")),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(template).render(version=__version__, **content)


def stored_table(pilot: str) -> dict[str, Any] | None:
    """The benchmark's table of a pilot as it was last run, with date and command; None if it was never run.

    >>> stored_table("hospital")["seeds"], stored_table("none such")
    (20, None)
    """
    stored = resources.files("secure_fedmeta.report").joinpath("tables", f"{pilot}.json")
    if not pilot.isidentifier() or not stored.is_file():
        return None
    table: dict[str, Any] = json.loads(stored.read_text(encoding="utf-8"))
    return table


def _finite(value: object) -> object:
    """JSON has no NaN."""
    return None if isinstance(value, float) and value != value else value  # noqa: PLR0124 - NaN
