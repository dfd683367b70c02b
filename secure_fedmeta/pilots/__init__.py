# SPDX-License-Identifier: Apache-2.0
"""Federations that come with the package, by name. Importing this loads none of them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import UsageError

if TYPE_CHECKING:
    from .pilot import Pilot

NAMES = ("hospital", "icu", "credit", "recommender")
GENERATED = frozenset({"icu", "credit", "recommender", "wearables"})
"""Pilots whose own records are of nobody."""
READERS = {"credit": "german.data of the UCI repository", "recommender": "a folder of MovieLens (latest or 100k)"}
"""Pilots that read real files, and which."""


def pilot_named(name: str) -> Pilot:
    """The pilot of this name, one of `NAMES`.

    Example:
        >>> pilot_named("hospital").persons
        'patients'
    """
    from importlib import import_module

    pilot: Pilot = import_module(f".{name}", __name__).PILOT
    return pilot


def pilot_reading(name: str, data: Path) -> Pilot:
    """The pilot on a real file in place of its own records.

    Raises:
        UsageError: the pilot reads no file.
    """
    from importlib import import_module

    if name not in READERS:
        known = ", ".join(f"{pilot} reads {what}" for pilot, what in READERS.items())
        raise UsageError(f"pilot {name} reads no file", "--data", f"{known}; `secure-fedmeta new` takes any table")
    pilot: Pilot = import_module(f".{name}", __name__).reading(data)
    return pilot
