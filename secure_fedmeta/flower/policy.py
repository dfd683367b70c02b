# SPDX-License-Identifier: Apache-2.0
"""What a site's administrator allows, whatever the server announces: `policy.toml` in the site's own folder."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from ..errors import FileError, PolicyRefused
from ..schedule import Schedule

FILE = "policy.toml"
MOST_BYTES = 1 << 16


@dataclass(frozen=True, slots=True)
class Policy:
    """Limits on a run; what is left out limits nothing.

    Attributes:
        least_sites: fewest member sites.
        least_survivors: fewest sites in an opened sum.
        most_epsilon, most_delta: of the server's view, of the whole run; a run without noise is refused under them.
        most_rounds: planned ones.
        algorithms, strengths, aggregations, units: allowed names; empty allows all.
        most_parameters: of the model.
        architecture: digest of the only network allowed (hex), as `secure-fedmeta plan --format json` prints it.

    Raises:
        FileError: a value of another kind.

    Example:
        >>> Policy(least_sites=8, algorithms=("maml", "fomaml")).least_survivors is None
        True
    """

    least_sites: int | None = None
    least_survivors: int | None = None
    most_epsilon: float | None = None
    most_delta: float | None = None
    most_rounds: int | None = None
    algorithms: tuple[str, ...] = ()
    strengths: tuple[str, ...] = ()
    aggregations: tuple[str, ...] = ()
    units: tuple[str, ...] = ()
    most_parameters: int | None = None
    architecture: str | None = None

    def __post_init__(self) -> None:
        for each in fields(self):
            value = getattr(self, each.name)
            if isinstance(value, list):
                value = tuple(value)
                object.__setattr__(self, each.name, value)
            if not _fits(each.name, value):
                raise FileError(f"{each.name} is of another kind", FILE, "see docs/flower.md")

    @classmethod
    def read(cls, path: Path) -> Policy:
        """The policy of a file; a missing one is refused, so that nobody forgets it.

        Raises:
            FileError: missing, too large, not TOML, or with unknown keys.
        """
        try:
            if path.stat().st_size > MOST_BYTES:
                raise FileError(f"more than {MOST_BYTES} bytes", str(path), "this is no policy")
            stated = tomllib.loads(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            what = error.strerror if isinstance(error, OSError) else "not a TOML file"
            raise FileError(
                f"cannot read the site's policy: {what}", str(path), "write one; an empty file allows all"
            ) from None
        known = {each.name for each in fields(cls)}
        if strange := sorted(set(stated) - known):
            raise FileError(f"unknown key {strange[0][:40]!r}", str(path), f"use some of: {', '.join(sorted(known))}")
        return cls(**stated)

    def check(self, schedule: Schedule) -> None:
        """Refuse a run that goes beyond.

        Raises:
            PolicyRefused: with the first limit that it breaks.
        """
        plan, hiding = schedule.plan, schedule.hiding
        epsilon = plan.epsilon if schedule.private else None

        def least(name: str, allowed: float | None, value: float) -> None:
            if allowed is not None and value < allowed:
                raise PolicyRefused(name, f"{value:g} is below {allowed:g}")

        def most(name: str, allowed: float | None, value: float | None) -> None:
            if allowed is not None and (value is None or value > allowed):
                raise PolicyRefused(name, "there is no bound" if value is None else f"{value:g} is above {allowed:g}")

        def one_of(name: str, allowed: tuple[str, ...], value: str) -> None:
            if allowed and value not in allowed:
                raise PolicyRefused(name, f"{value} is not among {', '.join(allowed)}")

        least("least_sites", self.least_sites, hiding.clients)
        least("least_survivors", self.least_survivors, hiding.min_survivors)
        most("most_epsilon", self.most_epsilon, epsilon)
        most("most_delta", self.most_delta, plan.delta if schedule.private else None)
        most("most_rounds", self.most_rounds, plan.rounds)
        most("most_parameters", self.most_parameters, schedule.dimension)
        one_of("algorithms", self.algorithms, plan.algorithm)
        one_of("strengths", self.strengths, plan.strength)
        one_of("aggregations", self.aggregations, plan.aggregation)
        one_of("units", self.units, plan.unit)
        if self.architecture is not None and self.architecture != architecture_digest(schedule):
            raise PolicyRefused("architecture", "the network is another one")


def architecture_digest(schedule: Schedule) -> str:
    """Of the network's layers, shapes and frozen weights; "none" for the closed forms."""
    return "none" if schedule.architecture is None else schedule.architecture.digest.hex()


_NUMBERS = {"least_sites", "least_survivors", "most_rounds", "most_parameters"}
_LISTS = {"algorithms", "strengths", "aggregations", "units"}


def _fits(name: str, value: Any) -> bool:
    if name in _LISTS:
        return isinstance(value, tuple) and all(isinstance(one, str) for one in value)
    if value is None:
        return True
    if name == "architecture":
        return isinstance(value, str)
    kind = int if name in _NUMBERS else (int, float)
    return isinstance(value, kind) and not isinstance(value, bool) and value >= 0
