# SPDX-License-Identifier: Apache-2.0
"""The hospital pilot: twelve hospitals hold 569 real breast-cancer records; two of them join only after training."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from ..datasets.codebook import Codebook
from ..plan import Plan
from .pilot import Outcome, Pilot, Study

if TYPE_CHECKING:
    from ..datasets.federation import Federation

__all__ = ["DEFAULTS", "PILOT", "STATEMENTS", "HospitalPilot", "Outcome", "plan_with", "schedule_for", "slots_for"]

UNSEEN = 2
MOST_CLIENTS = 17
PATIENTS = 569  # public: the size of the published data set

# Chosen on seeds that the reported tables do not use; see docs/hospital.md.
DEFAULTS: dict[str, Any] = {
    "rounds": 80,
    "epsilon": 3.0,
    "delta": 1e-3,
    "clients": 10,
    "clip_norm": 0.3,
    "support_fraction": 0.2,
    "outer": "sgd",
    "outer_lr": 25.0,
    "tail_average": 0.5,
}
_LARGEST_SHARE = 1.3  # the largest hospital, over the mean; public, as the profiles are
_REGISTERED = 0.6

# What the pilot itself can state about its public records; an operator's own file goes over it.
STATEMENTS: dict[str, Any] = {
    "title": "Hospital pilot, simulated",
    "intended_use": "demonstration and teaching; not for care",
    "sector": "Healthcare",
    "person": "patient",
    "data_domain": "registered slots of simulated hospitals; 30 measurements of a biopsy within public ranges and a "
    "diagnosis (Breast Cancer Wisconsin, 569 public records)",
    "preprocessing": "scaling by public ranges; values outside are refused or clipped, nothing is fitted",
    "tuning": "settings were chosen on other seeds of the same public records (docs/hospital.md); not accounted",
    "records_per_person": "one",
}


def slots_for(plan: Plan) -> dict[str, Any]:
    """Slots with room for the largest hospital, and the largest inner step whose support role stays below the clip.

    Example:
        >>> slots_for(Plan.make(DEFAULTS))
        {'support_slots': 20, 'query_slots': 40, 'inner_lr': 0.5}
    """
    patients = math.ceil(PATIENTS * _LARGEST_SHARE / (plan.clients + UNSEEN))
    return slots_of_largest(plan, math.ceil(_REGISTERED * patients) + 2)


def slots_of_largest(plan: Plan, largest: int) -> dict[str, Any]:
    """Slots and inner step where the largest site registers `largest` records, a public number.

    The number of support records is binomial; 4.5 standard deviations above its mean are kept free. With all records in
    one role there is no other to stay below, and the rate is 1.
    """
    if plan.one_role:
        return {"support_slots": largest, "inner_lr": 1.0}
    share = plan.support_fraction
    support = math.ceil(share * largest + 4.5 * math.sqrt(share * (1 - share) * largest))
    rate = plan.clip_norm * support / (8 / 27 * 1.01 * largest)
    return {
        "support_slots": support,
        "query_slots": largest,
        "inner_lr": min(8.0, math.floor(rate * 20) / 20),
    }


def _load(plan: Plan) -> Federation:
    from ..datasets.hospital import load_hospitals

    return load_hospitals(seed=plan.seed, members=plan.clients, unseen=UNSEEN)


def _study(pilot: Pilot, plan: Plan) -> Study:
    from .records import RecordStudy

    return RecordStudy(pilot, plan)


def _pilot() -> Pilot:
    from .columns import AUROC, RECORDS, shot_columns

    shots = (1, 5, 10, 16)
    return Pilot(
        name="hospital",
        title="Hospital pilot",
        site="hospital",
        person="patient",
        generated=False,
        source="569 real, public records (Breast Cancer Wisconsin); the hospitals are simulated",
        later=UNSEEN,
        least=2,
        most=MOST_CLIENTS,
        defaults=DEFAULTS,
        statements=STATEMENTS,
        columns=(*RECORDS, *shot_columns(shots)),
        live=AUROC,
        shots=shots,
        codebook=Codebook.load,
        load=_load,
        slots=slots_for,
        study=_study,
    )


PILOT = _pilot()
plan_with = PILOT.plan_with
schedule_for = PILOT.schedule_for


def HospitalPilot(plan: Plan) -> Any:  # noqa: N802 - the name that notebooks and scripts know
    """Data and evaluation of one plan: `PILOT.study_of(plan)`."""
    return PILOT.study_of(plan)
