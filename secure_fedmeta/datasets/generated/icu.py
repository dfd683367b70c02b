# SPDX-License-Identifier: Apache-2.0
"""The intensive-care pilot: patients followed over windows of six hours, each with a normal of their own.

Generated; no patient exists. Patient p of unit c has a hidden severity s_t, a baseline beta_p of twelve measurements
and a frailty u_p:

    s_0 ~ N(0.3, 1),  s_(t+1) = 0.8 s_t + N(0, 0.6)            severity, a number without a unit
    x_tj = centre_j + scale_j (beta_pj + load_j s_t + N(0, 0.6)),  beta_pj ~ N(b_cj, 0.9),  b_cj ~ N(0, 0.25)
    logit P(y_t) = -1.3 + 1.3 s_t + u_p,  u_p ~ N(0, 0.9)      y_t: deterioration within the next window

So the same pulse means different things in different patients: what a patient's own first windows show is worth
knowing, which is what adaptation is for. Realistic: repeated rows that depend on each other, units that measure
differently, a rare and uneven outcome. Not realistic: nothing is missing, no treatment answers to the measurements, and
a stay's length does not depend on how it goes.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from secure_fedmeta.datasets.codebook import Codebook, Feature
from secure_fedmeta.datasets.federation import Federation, Member
from secure_fedmeta.datasets.generated.counts import check_counts
from secure_fedmeta.datasets.records import SiteRecords

Float = NDArray[np.float64]

SMALLEST, LARGEST = 60, 120
"""Patients of the smallest and the largest unit; public."""
REGISTERED_SHARE = 0.6
WINDOWS = (10, 24)

_FEATURES = (
    Feature("heart_rate", 20.0, 250.0, "1/min", origin="what monitors show"),
    Feature("systolic", 40.0, 260.0, "mm Hg", origin="what arterial lines show"),
    Feature("respiratory_rate", 4.0, 70.0, "1/min", origin="what monitors show"),
    Feature("oxygen_saturation", 50.0, 100.0, "%", origin="below 50 the sensor gives no value"),
    Feature("temperature", 30.0, 43.0, "degree Celsius", origin="what probes show"),
    Feature("coma_scale", 3.0, 15.0, "points", origin="the scale's definition"),
    Feature("lactate", 0.1, 30.0, "mmol/l", "log", origin="the analyser's range"),
    Feature("creatinine", 0.1, 20.0, "mg/dl", "log", origin="the analyser's range"),
    Feature("leukocytes", 0.1, 100.0, "10^9/l", "log", origin="the counter's range"),
    Feature("platelets", 1.0, 1500.0, "10^9/l", "log", origin="the counter's range"),
    Feature("urine", 0.0, 1000.0, "ml/h", "sqrt", origin="what bags hold"),
    Feature("inspired_oxygen", 21.0, 100.0, "%", origin="air to pure oxygen"),
)
# Centre and scale in transformed units (log, square root), and how much a step of severity moves them.
_CENTRE = np.array([88, 122, 19, 95.5, 37.1, 12.5, 0.45, 0.1, 2.3, 5.2, 8.5, 38], dtype=np.float64)
_SCALE = np.array([13, 15, 4, 1.4, 0.45, 1.4, 0.42, 0.4, 0.35, 0.4, 2.0, 10], dtype=np.float64)
_LOAD = np.array([0.8, -0.8, 0.9, -0.7, 0.3, -0.7, 0.9, 0.4, 0.3, -0.3, -0.6, 0.7])


def codebook() -> Codebook:
    """Public limits of the twelve measurements.

    >>> codebook().width
    13
    """
    return Codebook("icu-generated", 1, _FEATURES)


def load_icus(*, seed: int, members: int = 10, later: int = 2) -> Federation:
    """The units of this seed: rows in the order of time, several for a patient, whose id is "patient-UU-NNN".

    Raises:
        RecordsError: SFM-137 for a negative seed, fewer than two units or more than 200.

    >>> held = load_icus(seed=0)
    >>> site = held.members[0].registered
    >>> site.features.shape[1], len(set(site.ids)) < len(site), held.generated
    (12, True, True)
    """
    check_counts("units", seed=seed, members=members, later=later)
    rng = np.random.default_rng([seed, members, later, 0x1C0])
    count = members + later
    sizes = np.rint(np.linspace(SMALLEST, LARGEST, count)).astype(int)[rng.permutation(count)]
    joined, newcomers = [], []
    for place in range(count):
        habits = rng.normal(0, 0.25, len(_FEATURES))
        stays = [_stay(habits, rng) for _ in range(int(sizes[place]))]
        ids = [f"patient-{place:02d}-{i:03d}" for i in range(len(stays))]
        name = f"unit-{place + 1:02d}" if place < members else f"later-{place - members + 1:02d}"
        cut = round(REGISTERED_SHARE * len(stays))
        if place < members:
            joined.append(Member(name, _site(name, stays[:cut], ids[:cut]), _site(name, stays[cut:], ids[cut:])))
        else:
            newcomers.append(_site(name, stays, ids))
    source = "generated intensive-care stays (docs/pilots.md): no patient exists"
    return Federation("icu-generated", codebook(), tuple(joined), tuple(newcomers), True, source)


def _stay(habits: Float, rng: np.random.Generator) -> tuple[Float, Float]:
    """One patient's windows: measurements (n, 12) in their units, and labels (n,)."""
    n = int(rng.integers(WINDOWS[0], WINDOWS[1] + 1))
    severity = np.empty(n)
    severity[0] = rng.normal(0.3, 1.0)
    for t in range(1, n):
        severity[t] = 0.8 * severity[t - 1] + rng.normal(0, 0.6)
    baseline = habits + rng.normal(0, 0.9, len(_FEATURES))
    moved = _CENTRE + _SCALE * (baseline + severity[:, None] * _LOAD + rng.normal(0, 0.6, (n, len(_FEATURES))))
    labels = (rng.random(n) < 1 / (1 + np.exp(1.3 - 1.3 * severity - rng.normal(0, 0.9)))).astype(float)
    return _in_units(moved), labels


def _in_units(moved: Float) -> Float:
    """Back from transformed units, kept a little inside the limits, as a device that reports no extremes."""
    values = moved.copy()
    for column, feature in enumerate(_FEATURES):
        if feature.transform == "log":
            values[:, column] = np.exp(moved[:, column])
        elif feature.transform == "sqrt":
            values[:, column] = np.maximum(moved[:, column], 0) ** 2
        room = 0.02 * (feature.high - feature.low) if feature.transform == "linear" else 0.0
        low = feature.low + (room if feature.name != "coma_scale" else 0.0)
        high = feature.high if feature.name in {"coma_scale", "oxygen_saturation", "inspired_oxygen"} else None
        values[:, column] = np.clip(values[:, column], low, feature.high - room if high is None else high)
    return values


def _site(name: str, stays: list[tuple[Float, Float]], ids: list[str]) -> SiteRecords:
    features = np.concatenate([rows for rows, _ in stays])
    labels = np.concatenate([own for _, own in stays])
    repeated = tuple(one for one, (rows, _) in zip(ids, stays, strict=True) for _ in rows)
    return SiteRecords(name, features, labels, repeated, rows_repeat=True)
