# SPDX-License-Identifier: Apache-2.0
"""Sites register their records, each from its own alone: names, roles, slots, encoded rows."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .datasets.codebook import Codebook
from .datasets.records import SiteRecords
from .entropy import role_key
from .errors import SettingError
from .federation.contribution import Data
from .federation.storage import write_private
from .plan import Plan
from .tasks import register, register_persons


@dataclass(frozen=True, slots=True)
class Registered:
    """What a site knows after it has registered its records; `clipped` never leaves it."""

    name: str
    data: Data
    clipped: int

    def note(self, folder: Path) -> None:
        """Leave the site's own note in its own folder."""
        note = json.dumps({"clipped_values": self.clipped}) + "\n"
        write_private(folder / "registered.json", note.encode())


def prepare_tasks(plan: Plan, sites: Sequence[SiteRecords], codebook: Codebook) -> dict[int, Registered]:
    """Each site's task or tasks, by client id 1..n, made from its own records alone.

    Rows are encoded as for the closed-form models; a network has biases of its own and is given them without the
    constant feature.
    """
    registered = {}
    for number, site in enumerate(sites, start=1):
        features, clipped = codebook.check_ranges(site.features, on_outside=plan.outside)
        rows = codebook.encode(features)
        if plan.mode != "bounded-glm":
            rows = np.ascontiguousarray(rows[:, :-1])
        data: Data
        if plan.unit == "task":
            data = register_persons(rows, site.labels, site.ids, plan=plan, site=site.name)
        else:
            key = role_key(site.name, plan.seed)
            data = register(rows, site.labels, site.ids, plan=plan, key=key, site=site.name)
        registered[number] = Registered(site.name, data, clipped)
    return registered


def check_one_site_each(sites: Sequence[SiteRecords]) -> None:
    """Refuse one id at two sites, where all sites are at hand; in a deployment this is an assumption.

    Raises:
        SettingError: an id appears twice.
    """
    ids = [record for site in sites for record in set(site.ids)]
    if len(set(ids)) != len(ids):
        raise SettingError("a record id appears at two sites", "sites", "register each person at one site")


def check_names(sites: Sequence[SiteRecords]) -> None:
    """A site's name is its folder: refuse repeated names, and those that would leave the run's own folder.

    Raises:
        SettingError: with the first such name.
    """
    seen: set[str] = set()
    for site in sites:
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", site.name):
            raise SettingError(
                f"{site.name[:70]!r} cannot name a folder", "sites", "use letters, digits, '.', '_', '-', 64 at most"
            )
        if site.name.casefold() in seen:
            raise SettingError(f"two sites are named {site.name!r}", "sites", "give each site its own name")
        seen.add(site.name.casefold())
