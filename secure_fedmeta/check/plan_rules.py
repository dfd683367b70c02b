# SPDX-License-Identifier: Apache-2.0
"""SFM-55x: what a plan of this project gives up, seen before any record is read."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..aggregation import EXPOSED
from ..errors import SettingError
from ..pilots import NAMES as PILOTS
from ..plan import Plan
from .findings import Finding
from .sources import BrokenSource, read_text

LARGE_EPSILON = 10.0


def is_plan(path: Path) -> bool:
    """Whether a TOML file names a pilot, as plans do."""
    return "pilot" in _content(path)


def check_plan(path: Path) -> list[Finding]:
    """Findings of one plan.

    Raises:
        SettingError, BrokenSource: it is no plan, or a setting is unknown or wrong.
    """
    settings = _content(path)
    pilot, data = settings.pop("pilot", None), settings.pop("data", None)
    if not isinstance(pilot, str):
        raise SettingError("no pilot is named", f"{path}, pilot", 'add a line such as pilot = "hospital"')
    lines = {line.split("=")[0].strip(): n for n, line in reversed(list(enumerate(read_text(path).splitlines(), 1)))}

    def found(setting: str, code: str, what: str) -> Finding:
        return Finding(str(path), lines.get(setting, 1), code, what)

    if pilot == "wearables":
        return _population(settings, path, found)
    plan, why_not = _schedule(pilot, settings, data, path)
    findings = []
    if pilot == "table":
        from .table_rules import check_table

        findings += check_table(data, plan, path, found)
    if why_not is not None and (" 1/N " in why_not or "1/N =" in why_not):
        findings.append(found("delta", "SFM-550", why_not))
    elif why_not is not None:
        findings.append(found("clients", "SFM-555", why_not))
    if plan.insecure_reproducible:
        findings.append(found("insecure_reproducible", "SFM-551", "insecure_reproducible = true"))
    if plan.aggregation in EXPOSED:
        findings.append(found("aggregation", "SFM-552", f'aggregation = "{plan.aggregation}"'))
    elif plan.strength == "semi-honest":
        findings.append(found("strength", "SFM-553", 'strength = "semi-honest"'))
    elif plan.strength == "semi-malicious":
        findings.append(found("strength", "SFM-557", 'strength = "semi-malicious"'))
    if plan.epsilon is None:
        findings.append(found("epsilon", "SFM-554", 'epsilon = "none"'))
    elif plan.epsilon > LARGE_EPSILON:
        findings.append(found("epsilon", "SFM-556", f"epsilon = {plan.epsilon:g}"))
    return findings


def _content(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(read_text(path))
    except tomllib.TOMLDecodeError as error:
        raise BrokenSource(f"not TOML: {error}", str(path), "correct the file") from None


def _population(settings: dict[str, Any], path: Path, found: Callable[[str, str, str], Finding]) -> list[Finding]:
    """Of the pilot that is a population simulation: its own settings, few of which can leak."""
    from ..pilots.wearables import WearablesPlan

    plan = WearablesPlan.of(settings, where=str(path))
    findings = []
    if plan.delta * plan.users >= 1:
        findings.append(found("delta", "SFM-550", f"delta = {plan.delta:g} is not below 1/N = {1 / plan.users:.3g}"))
    if plan.epsilon is None:
        findings.append(found("epsilon", "SFM-554", 'epsilon = "none"'))
    elif plan.epsilon > LARGE_EPSILON:
        findings.append(found("epsilon", "SFM-556", f"epsilon = {plan.epsilon:g}"))
    return findings


def _schedule(pilot: str, settings: dict[str, Any], data: object, path: Path) -> tuple[Plan, str | None]:
    """The plan, and why no schedule can be made of it."""
    from fedmeta_privacy.errors import PrivacyError

    from ..errors import AggregationRefused
    from ..pilots import pilot_named

    where = str(path)
    if pilot == "table":
        from ..pilots.own import own_pilot

        known = own_pilot(data, settings, path)
    elif pilot in PILOTS:
        known = pilot_named(pilot)
    else:
        return Plan.make(settings, where=where), None
    plan = known.plan_with(settings, where=where)
    if known.network is not None:
        return plan, None  # a schedule would load the network, and torch with it; `run` makes it before any record
    try:
        known.schedule_for(plan)
    except (PrivacyError, AggregationRefused) as error:
        return plan, error.what
    return plan, None
