# SPDX-License-Identifier: Apache-2.0
"""`secure-fedmeta epsilon`: account for any list of events, without a run."""

from __future__ import annotations

import json
import math
import sys
from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import typer

from ..errors import FileError, SettingError
from .envelope import line as envelope


class Format(str, Enum):  # noqa: UP042 - typer reads str enums
    """How to print."""

    TEXT = "text"
    JSON = "json"


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("epsilon", short_help="epsilon of a list of events")(epsilon)


def epsilon(
    events: Annotated[Path, typer.Option("--events", help='JSON: a list of cases, or {"cases": [...]}.')],
    form: Annotated[Format, typer.Option("--format", help="Output form.")] = Format.TEXT,
) -> None:
    """Account for cases of the form {"id", "delta", "events": [{"type": "gaussian", "sigma": 2, "count": 10}]}.

    Types: gaussian (sigma), poisson_gaussian (sigma, q), client_then_record (sigma, q_client, q_record), capped_poisson
    (sigma, q, population, cap), discrete_gaussian_sum (l2, variance, smallest_scale, parties, dimension,
    sampler_variation; q if sampled), skellam_sum (l1, l2, variance), repeated (event, count), composed (events),
    non_private: adjacency add/remove, sigma is noise over sensitivity. fixed_size_gaussian (sigma_over_clip,
    population, sample): replace-one; the two do not mix. The interval holds the true epsilon; eps_upper is the
    guarantee.

    Example: secure-fedmeta epsilon --events cases.json --format json
    """
    cases = _read(events)
    results = []
    for number, case in enumerate(cases):
        lower, upper = _account(case, f"{events}, case {case.get('id', number)}")
        shown = {"eps_lower": lower, "eps_upper": upper}
        results.append({"id": str(case.get("id", number))} | {k: _finite(v) for k, v in shown.items()})
    if form is Format.JSON:
        typer.echo(envelope("epsilon", {"cases": results}))
        return
    for result in results:
        typer.echo(f"{result['id']:<20} {_shown(result['eps_lower'])} <= epsilon <= {_shown(result['eps_upper'])}")


def _read(path: Path) -> list[dict[str, Any]]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise FileError(f"cannot read the events: {error.strerror}", str(path), "check the path") from None
    except (ValueError, RecursionError) as error:
        raise FileError(f"not a JSON file: {str(error)[:200]}", str(path), "correct the file") from None
    cases = content.get("cases") if isinstance(content, dict) else content
    if not isinstance(cases, list) or not all(isinstance(case, dict) for case in cases):
        raise FileError("no list of cases in the file", str(path), 'write a list, or {"cases": [...]}')
    return cases


def _account(case: dict[str, Any], where: str) -> tuple[float, float]:
    from fedmeta_privacy import accountant
    from fedmeta_privacy.errors import PrivacyError
    from fedmeta_privacy.events import ClientThenRecord, PoissonGaussian, event_from_json, flatten

    delta, entries = case.get("delta"), case.get("events")
    if isinstance(delta, bool) or not isinstance(delta, int | float) or not 0 < delta < 1:
        raise SettingError(f"delta is {delta!r}", where, "give a number between 0 and 1")
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise SettingError("there is no list of events", where, 'give "events": [{"type": ...}]')
    listed = [event_from_json(entry, where) for entry in entries]
    second = None
    if any(isinstance(event, PoissonGaussian | ClientThenRecord) for event, _ in flatten(listed)):
        from fedmeta_privacy.dp_sgd import prv_lower_bound

        second = prv_lower_bound
    try:
        result = accountant.epsilon(listed, float(delta), second_opinion=second)
    except PrivacyError as error:
        error.what = f"{where}: {error.what}"
        raise
    except MemoryError:
        raise SettingError("these events need more memory than there is", where, "account for fewer") from None
    return result.lower, result.upper


def _finite(value: float) -> float | None:
    """JSON has no infinity: null stands for "no epsilon"."""
    if math.isfinite(value):
        return value
    sys.stderr.write("note: null means that no finite epsilon holds\n")
    return None


def _shown(value: object) -> str:
    return "none" if value is None else f"{value:.6f}"
