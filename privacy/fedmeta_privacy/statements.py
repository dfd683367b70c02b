# SPDX-License-Identifier: Apache-2.0
"""What only the operator can say: read from a small table, every word optional, what is missing becomes a named gap."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from .errors import DisclosureRefused

NOT_STATED = "NOT STATED by operator"
MOST_TEXT = 2000
MOST_CURATORS = 20


@dataclass(frozen=True, slots=True)
class Statements:
    """An operator's statements; nothing here is checked against the run.

    Attributes:
        person: what one person is called in the plain label, such as patient or card holder.

    Example:
        >>> Statements.from_table({"title": "Stroke pilot", "curators": ["Clinic A"]}).title
        'Stroke pilot'
        >>> Statements.from_table({"titel": "x"})
        Traceback (most recent call last):
        ...
        fedmeta_privacy.errors.DisclosureRefused: SFM-329: the statement 'titel' is not known. Remedy: ...
    """

    title: str = ""
    curators: tuple[str, ...] = ()
    description: str = ""
    intended_use: str = ""
    sector: str = ""
    region: str = ""
    contact: str = ""
    publication_date: str = ""
    git_commit: str = ""
    person: str = "person"
    data_domain: str = ""
    records_per_person: str = ""
    tuning: str = ""
    preprocessing: str = ""
    recipients: str = ""
    access_control: str = ""
    release: str = ""
    refresh: str = ""
    threats: str = ""
    residual_risk: str = ""
    measures: str = ""
    sign_off: str = ""
    review_date: str = ""
    fairness: str = ""
    registry_authors: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for each in fields(self):
            value = getattr(self, each.name)
            several = each.name in {"curators", "registry_authors"}
            parts = value if several else (value,)
            if several and (not isinstance(value, tuple) or len(value) > MOST_CURATORS):
                raise DisclosureRefused(f"{each.name} is no list of names", f"give up to {MOST_CURATORS} names")
            if not all(isinstance(part, str) and len(part) <= MOST_TEXT and part.isprintable() for part in parts):
                raise DisclosureRefused(
                    f"the statement {each.name} is no line of text",
                    f"give printable text, {MOST_TEXT} characters at most",
                )
        if self.publication_date:
            _date(self.publication_date)
        if not self.person.replace(" ", "").isalpha():
            raise DisclosureRefused(f"{self.person!r} does not name a person", "use a word such as patient")

    @classmethod
    def from_table(cls, table: Mapping[str, Any]) -> Statements:
        """From a TOML table; dates may be dates.

        Raises:
            DisclosureRefused: an unknown word, or a value of the wrong kind.
        """
        known = {each.name for each in fields(cls)}
        for name in table:
            if name not in known:
                raise DisclosureRefused(
                    f"the statement {name!r} is not known", f"use some of: {', '.join(sorted(known))}"
                )
        plain: dict[str, Any] = {name: _plain(value) for name, value in table.items()}
        return cls(**plain)


def _plain(value: object) -> object:
    if isinstance(value, list):
        return tuple(value)
    if isinstance(value, datetime.date) and not isinstance(value, datetime.datetime):
        return value.isoformat()
    return value


def _date(text: str) -> None:
    try:
        datetime.date.fromisoformat(text)
    except ValueError:
        raise DisclosureRefused(f"{text!r} is no date", "write YYYY-MM-DD") from None
