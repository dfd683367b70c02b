# SPDX-License-Identifier: Apache-2.0
"""SFM-55x: what a plan of this project gives up, seen before any record is read."""

from __future__ import annotations

import tomllib
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
    pilot = settings.pop("pilot", None)
    if not isinstance(pilot, str):
        raise SettingError("no pilot is named", f"{path}, pilot", 'add a line such as pilot = "hospital"')
    lines = {line.split("=")[0].strip(): n for n, line in reversed(list(enumerate(read_text(path).splitlines(), 1)))}

    def found(setting: str, code: str, what: str) -> Finding:
        return Finding(str(path), lines.get(setting, 1), code, what)

    plan, why_not = _schedule(pilot, settings, str(path))
    findings = []
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


def _schedule(pilot: str, settings: dict[str, Any], where: str) -> tuple[Plan, str | None]:
    """The plan, and why no schedule can be made of it."""
    from fedmeta_privacy.errors import PrivacyError

    from ..errors import AggregationRefused
    from ..pilots.hospital import plan_with, schedule_for

    plan = plan_with(settings, where=where) if pilot in PILOTS else Plan.make(settings, where=where)
    if pilot not in PILOTS:
        return plan, None
    try:
        schedule_for(plan)
    except (PrivacyError, AggregationRefused) as error:
        return plan, error.what
    return plan, None
