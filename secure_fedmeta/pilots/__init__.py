# SPDX-License-Identifier: Apache-2.0
"""Federations that come with the package, by name. Importing this loads none of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .pilot import Pilot

NAMES = ("hospital",)


def pilot_named(name: str) -> Pilot:
    """The pilot of this name, one of `NAMES`.

    Example:
        >>> pilot_named("hospital").persons
        'patients'
    """
    from importlib import import_module

    pilot: Pilot = import_module(f".{name}", __name__).PILOT
    return pilot
