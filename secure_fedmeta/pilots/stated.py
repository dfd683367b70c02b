# SPDX-License-Identifier: Apache-2.0
"""The pilot that a name or a TOML file stands for."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import FileError, UsageError
from . import NAMES, pilot_named, pilot_reading

if TYPE_CHECKING:
    from .pilot import Pilot

OWN, POPULATION = "table", "wearables"


def pilot_of(
    what: str, given: Mapping[str, Any], *, data: Path | None = None, confirmed: bool = False
) -> tuple[Pilot, dict[str, Any]]:
    """The pilot of a name or a TOML file, and the file's settings. `given` are the command line's, which go over them.

    `data` is a real file for a pilot that reads one; in a TOML file it is `file` of `[data]`, relative to that file.

    Raises:
        UsageError, FileError, SettingError: there is no such pilot or file, or the file is unsound.
    """
    if what in NAMES:
        return (pilot_named(what) if data is None else pilot_reading(what, data)), {}
    if not what.endswith(".toml"):
        known = ", ".join((*NAMES, POPULATION))
        raise UsageError(f"there is no pilot {what!r}", "secure-fedmeta", f"use one of: {known}; or a .toml file")
    from ..plan import read_toml

    name, settings = read_toml(Path(what))
    if name == OWN:
        from .own import own_pilot

        table = settings.pop("data", None)
        return own_pilot(table, {**settings, **given}, Path(what), confirmed=confirmed), settings
    if name not in NAMES:
        known = ", ".join((*NAMES, POPULATION, OWN))
        raise FileError(f"there is no pilot {name!r}", f"{what}, pilot", f"use one of: {known}")
    stated = settings.pop("data", None)
    if stated is not None and (not isinstance(stated, dict) or set(stated) != {"file"}):
        raise FileError("[data] of a pilot holds one key, file", f"{what}, [data]", "correct it")
    if data is None and stated is not None:
        data = Path(what).parent / str(stated["file"])
    return (pilot_named(name) if data is None else pilot_reading(name, data)), settings
