# SPDX-License-Identifier: Apache-2.0
"""The numbers of a disclosure: one view's guarantee in every form, rounds one by one, and what a gap looks like."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from . import gdp, profile
from .calibration import Release
from .disclosed_text import VIEWS_SEE
from .run_record import RunRecord
from .statements import NOT_STATED

MOST_ROUNDS_LISTED = 500

Field = Any  # text, number, list, object, or a gap


def gap(reason: str = NOT_STATED) -> dict[str, str]:
    """A field that is missing, by name.

    Example:
        >>> gap()
        {'gap': 'NOT STATED by operator'}
    """
    return {"gap": reason}


def or_gap(value: object, reason: str = NOT_STATED) -> Field:
    """The value, or a gap where there is none."""
    return gap(reason) if value in (None, "", (), [], {}) else list(value) if isinstance(value, tuple) else value


def view_numbers(record: RunRecord, view: str) -> dict[str, Any]:
    """One view's guarantee in every form that can be derived from its epsilon."""
    epsilon = record.epsilon.get(view)
    if epsilon is None:
        return {"sees": VIEWS_SEE[view], "epsilon": "none", "delta": record.delta}
    numbers: dict[str, Any] = {"sees": VIEWS_SEE[view], "epsilon": epsilon, "delta": record.delta}
    loose = profile.detection_bound(epsilon, record.delta)
    variation = _variation(record)
    if not record.gaussian or variation is None or epsilon > gdp.LARGEST_EPSILON:
        reason = "not a Gaussian mechanism by its ledger: one epsilon does not fix the curve; `audit` recomputes it"
        numbers |= {"gdp_mu": gap(reason), "profile": gap(reason), "renyi": gap(reason)}
        numbers["groups"] = {
            str(k): dict(zip(("epsilon", "delta"), profile.loose_group(epsilon, record.delta, k), strict=True))
            for k in profile.GROUPS
        }
        numbers["detection_at_1_percent_false_alarms"] = {"from_epsilon_delta": loose, "bound": loose}
        return numbers
    return numbers | dict(_gaussian_numbers(epsilon, record.delta, variation))


@lru_cache(maxsize=64)  # several views of a run often cost the same
def _gaussian_numbers(epsilon: float, delta: float, variation: float) -> Mapping[str, Any]:
    mu = profile.mu_from(epsilon, delta)
    loose, exact = profile.detection_bound(epsilon, delta), profile.gaussian_detection(mu, variation)
    return {
        "gdp_mu": mu,
        "profile": {f"{d:g}": _number(e) for d, e in profile.epsilon_profile(mu, variation).items()},
        "total_variation": variation,
        "renyi": {f"{order:g}": value for order, value in profile.renyi_curve(mu).items()},
        "groups": {
            str(k): {"epsilon": _number(profile.group_epsilon(mu, delta, k, variation)), "delta": delta}
            for k in profile.GROUPS
        },
        "detection_at_1_percent_false_alarms": {
            "from_epsilon_delta": loose,
            "exact_gaussian": exact,
            "bound": min(loose, exact),
        },
    }


def _number(epsilon: float) -> float | str:
    return epsilon if math.isfinite(epsilon) else "none"


def _variation(record: RunRecord) -> float | None:
    """Total variation of the whole run's noise from the law that it is accounted for; None if it cannot be told."""
    clients, dimension, rounds = (record.settings.get(name) for name in ("clients", "dimension", "rounds"))
    steps = record.sensitivity.get("steps")
    if clients is None or dimension is None or rounds is None or steps is None:
        return None
    # Rounds that were redone after a crash are in the ledger, beyond the planned number; noise inside the adaptation is
    # at most two releases a step. All of it is some 1e-25: far below any delta, and counted generously.
    stated = record.number("total_variation") or 0.0
    releases = max(int(rounds), len(record.rounds)) * 2 * (int(record.settings.get("inner_steps") or 0) + 1)
    # A site's removable noise is one draw for its base and one for each of fewer parts than there are sites.
    draws = int(clients) ** 2 if str(record.settings.get("dropout_noise")) == "surplus" else int(clients)
    return max(stated, Release(float(steps), int(dimension), draws).variation(releases))


def per_round(record: RunRecord) -> Field:
    """Epsilon of each executed round alone (server's view) and so far; thinned out beyond `MOST_ROUNDS_LISTED`."""
    if not record.rounds:
        return gap("no round was executed")
    step = math.ceil(len(record.rounds) / MOST_ROUNDS_LISTED)
    kept = [r for i, r in enumerate(record.rounds) if (i + 1) % step == 0 or i in (0, len(record.rounds) - 1)]
    variation = _variation(record)
    rows = [
        {
            "round": each.number,
            "invited": each.invited,
            "survivors": each.survivors,
            "aborted": each.aborted,
            "epsilon_of_this_round_alone": _alone(record, each.shift, variation),
            "epsilon_charged_beforehand": _alone(record, each.floor, variation),
            "epsilon_so_far": {view: "none" if value is None else value for view, value in each.epsilon.items()},
        }
        for each in kept
    ]
    return {"executed": len(record.rounds), "listed": len(rows), "rows": rows}


def _alone(record: RunRecord, shift: float | None, variation: float | None) -> float | str:
    """Epsilon of one release with this squared Gaussian shift."""
    if shift is None or variation is None or not (record.private and record.gaussian):
        return "none"
    return _number(gdp.epsilon_upper(math.sqrt(shift), record.delta, total_variation=variation))
