# SPDX-License-Identifier: Apache-2.0
"""Folders of parties on machines of their own: what each reads, and nobody else writes.

NAME/pilot.toml              the plan: the same file at every party, compared through the behaviour hash
NAME/allow-list.toml         public keys of all parties, by a way that the server cannot bend
NAME/sites/SITE/site.toml    this site's own: where the plan, the list and its records are
NAME/sites/SITE/policy.toml  what its administrator allows
NAME/sites/SITE/...          its key, budget, heads
NAME/server/server.toml      the server's own
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fedmeta_crypto import SERVER

from ..entropy import role_key
from ..errors import FileError, IdentityRefused, SettingError
from ..federation.identities import Credentials, entropy_of, own_identity, read_allow_list
from ..federation.pipes import SiteParts
from ..pilots.stated import pilot_of
from ..plan import read_toml
from ..registration import prepare_tasks
from .policy import FILE as POLICY
from .policy import Policy

if TYPE_CHECKING:
    from ..datasets.records import SiteRecords
    from ..federation.contribution import Data
    from ..pilots.pilot import Pilot
    from ..plan import Plan
    from ..schedule import Schedule

SITE, SERVER_FILE = "site.toml", "server.toml"
MOST_BYTES = 1 << 16


@dataclass(frozen=True, slots=True)
class ServerParts:
    """What a server is made of.

    Attributes:
        pilot, plan, schedule: of the run.
        names: of the sites, by client id.
        credentials: its key and the list; None if nobody signs.
        allow_list: where that list is.
        folder: its own.
    """

    pilot: Pilot
    plan: Plan
    schedule: Schedule
    names: Mapping[int, str]
    credentials: Credentials | None
    allow_list: Path
    folder: Path


def read_place(folder: Path, pilot: Pilot | None = None) -> SiteParts:
    """A site of its own folder; its policy is asked before any record is read, and records only when they are wanted.

    `pilot` is the app's own, of the name in the plan, instead of one that this package knows.

    Raises:
        FileError, SettingError, IdentityRefused, TableError: a file is missing or unsound.
        PolicyRefused: the plan goes beyond what the site's administrator allows.
    """
    stated = _stated(folder / SITE, {"plan", "allow_list", "name"}, {"data"})
    pilot, plan, schedule = _planned(folder / str(stated["plan"]), pilot)
    Policy.read(folder / POLICY).check(schedule)
    listed = folder / str(stated["allow_list"])
    name = str(stated["name"])
    number = _numbers(listed).get(name)
    if number is None:
        raise IdentityRefused(f"site {name[:64]!r} is not on the list", str(listed), "have the site's key listed")
    credentials = None
    if schedule.hiding.signed:
        people = read_allow_list(listed, range(1, schedule.clients + 1))
        credentials = Credentials(own_identity(folder, entropy_of(schedule, number)), people)
        if people.public(number) != credentials.identity.public:
            raise IdentityRefused(f"the listed key of {name[:64]!r} is not this site's", str(listed), "restore the key")

    def records() -> Data:
        held = _records(pilot, plan, folder, name, stated.get("data"))
        return prepare_tasks(plan, [held], pilot.codebook())[1].data

    return SiteParts(number, records, schedule, credentials)


def read_server(folder: Path, pilot: Pilot | None = None) -> ServerParts:
    """The server of its own folder.

    Raises:
        as `read_place`, but for the policy.
    """
    stated = _stated(folder / SERVER_FILE, {"plan", "allow_list"}, set())
    pilot, plan, schedule = _planned(folder / str(stated["plan"]), pilot)
    listed = folder / str(stated["allow_list"])
    names = {number: name for name, number in _numbers(listed).items()}
    if len(names) != schedule.clients:
        what = f"{len(names)} sites are listed, the plan is for {schedule.clients}"
        raise SettingError(what, str(listed), "enrol the missing sites, or correct clients")
    credentials = None
    if schedule.hiding.signed:
        people = read_allow_list(listed, names)
        credentials = Credentials(own_identity(folder, entropy_of(schedule, SERVER)), people)
        if people.public(SERVER) != credentials.identity.public:
            raise IdentityRefused("the listed key of the server is not this one", str(listed), "restore the key")
    return ServerParts(pilot, plan, schedule, names, credentials, listed, folder)


def _planned(path: Path, pilot: Pilot | None) -> tuple[Pilot, Plan, Schedule]:
    if pilot is None:
        pilot, settings = pilot_of(str(path), {})
    else:
        name, settings = read_toml(path)
        if name != pilot.name:
            raise SettingError(f"the plan is of pilot {name!r}, the app of {pilot.name!r}", str(path), "correct one")
    plan = pilot.plan_with(settings, where=str(path))
    return pilot, plan, pilot.schedule_for(plan)


def _records(pilot: Pilot, plan: Plan, folder: Path, name: str, data: object) -> SiteRecords:
    """The site's registered records: from its own file, or the pilot's own of this name."""
    if data is None:
        members = {member.name: member.registered for member in pilot.load(plan).members}
        if name not in members:
            raise SettingError(f"the pilot has no site {name[:64]!r}", str(folder / SITE), "correct name, or give data")
        return members[name]
    if not pilot.data or not isinstance(data, str):
        raise SettingError('data is for a plan with pilot = "table"', str(folder / SITE), "leave it out")
    from ..datasets.described import Description
    from ..datasets.own import records_of
    from ..datasets.table import read_table

    kept = {key: value for key, value in pilot.data.items() if key not in {"file", "confirmed", "hidden"}}
    described = Description.from_table(kept, str(folder / SITE))
    key = role_key("own-table", plan.seed)
    return records_of(
        read_table(folder / data), described, site=name, outside=plan.outside, key=key, repeat=plan.unit == "task"
    )


def _numbers(listed: Path) -> dict[str, int]:
    rows = _toml(listed).get("site", [])
    try:
        return {str(row["name"]): int(row["id"]) for row in rows}
    except (TypeError, KeyError, ValueError):
        raise FileError("not an allow-list", str(listed), "get it again") from None


def _stated(path: Path, needed: set[str], more: set[str]) -> dict[str, Any]:
    stated = _toml(path)
    if set(stated) - more != needed or not all(isinstance(value, str) for value in stated.values()):
        raise FileError(
            f"it holds {', '.join(sorted(needed))} and at most {', '.join(sorted(more)) or 'no more'}",
            str(path),
            "correct the file",
        )
    return stated


def _toml(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > MOST_BYTES:
            raise FileError(f"more than {MOST_BYTES} bytes", str(path), "get the file again")
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        what = error.strerror if isinstance(error, OSError) else "not a TOML file"
        raise FileError(f"cannot read the file: {what}", str(path), "restore it") from None
