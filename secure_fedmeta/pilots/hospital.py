# SPDX-License-Identifier: Apache-2.0
"""The hospital pilot: twelve hospitals hold 569 real breast-cancer records; two of them join only after training."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedmeta_privacy.statements import Statements

from ..datasets.codebook import Codebook
from ..errors import SettingError
from ..plan import Plan
from ..schedule import Schedule, make_schedule

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

Row = dict[str, float | str | None]


def plan_with(settings: Mapping[str, Any], *, where: str = "settings") -> Plan:
    """The pilot's defaults with these settings on top; slots follow the number of hospitals.

    Example:
        >>> plan = plan_with({"rounds": 5})
        >>> plan.support_slots, plan.query_slots, plan.inner_lr, plan.rounds
        (20, 40, 0.5, 5)
    """
    checked = Plan.make({**DEFAULTS, **settings}, where=where)
    if checked.clients > MOST_CLIENTS:
        raise SettingError(
            f"clients = {checked.clients} hospitals would have too few patients", where, f"use at most {MOST_CLIENTS}"
        )
    return Plan.make({**DEFAULTS, **slots_for(checked), **settings}, where=where)


def slots_for(plan: Plan) -> dict[str, Any]:
    """Slots with room for the largest hospital, and the largest inner step whose support role stays below the clip.

    The number of support records is binomial; 4.5 standard deviations above its mean are kept free. With all records in
    one role there is no other to stay below, and the rate is 1.
    """
    patients = math.ceil(PATIENTS * _LARGEST_SHARE / (plan.clients + UNSEEN))
    largest = math.ceil(_REGISTERED * patients) + 2
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


def schedule_for(plan: Plan) -> Schedule:
    """Everything that can be said before any record is read."""
    book = Codebook.load()
    return make_schedule(plan, clients=plan.clients, dimension=book.width, codebook_hash=book.digest())


@dataclass(slots=True)
class HospitalResult:
    """What the pilot leaves beside the run itself. All scores are simulation only, not covered by epsilon."""

    run: Any
    table: list[Row] = field(default_factory=list)


class HospitalPilot:
    """Data and evaluation of one seed. Loads scikit-learn; make it after the plan has been shown."""

    def __init__(self, plan: Plan) -> None:
        from ..datasets.hospital import load_hospitals
        from ..evaluation import EncodedSite

        self.plan = plan
        self.codebook = Codebook.load()
        data = load_hospitals(seed=plan.seed, members=plan.clients, unseen=UNSEEN)
        encode = self.codebook.encode
        self.sites = [member.registered for member in data.members]
        self.members = [
            EncodedSite(
                m.name,
                encode(m.registered.features),
                m.registered.labels,
                encode(m.unseen.features),
                m.unseen.labels,
            )
            for m in data.members
        ]
        nothing = (np.empty((0, self.codebook.width)), np.empty(0))
        self.unseen = [EncodedSite(s.name, encode(s.features), s.labels, *nothing) for s in data.later]

    def watch(self, theta: NDArray[np.float64]) -> dict[str, float]:
        """Loss and AUROC of the shared model on the members' unseen patients."""
        from ..evaluation import mean_auroc, mean_loss

        return {"loss": mean_loss(theta, self.members), "auroc": mean_auroc(theta, self.members)}

    def execute(
        self,
        *,
        out: Path | None,
        on_round: Callable[[Any, dict[str, float]], None] | None = None,
        statements: Statements | None = None,
        resume: bool = False,
    ) -> HospitalResult:
        """Run all rounds, or those that are left; `on_round` sees each report with its metrics."""
        from ..run import federate

        def watch(report: Any, theta: NDArray[np.float64]) -> dict[str, float]:
            metrics = self.watch(theta)
            if on_round is not None:
                on_round(report, metrics)
            return metrics

        derived = [name for name, value in slots_for(self.plan).items() if getattr(self.plan, name) == value]
        run = federate(
            self.plan,
            self.sites,
            self.codebook,
            out=out,
            watch=watch,
            pilot="hospital",
            derived=derived,
            statements=statements or Statements.from_table(STATEMENTS),
            resume=resume,
        )
        return HospitalResult(run)

    def compare(self, theta: NDArray[np.float64], name: str) -> list[Row]:
        """The run beside honest baselines, none of which is private."""
        from ..baselines import fedavg, fit_alone, local_only
        from ..evaluation import evaluate_unseen, score_sites

        shared = fedavg(self.members)
        rows = [
            self._row(name, theta, adapted=True),
            self._row("FedAvg, no privacy", shared, adapted=False),
            self._row("FedAvg + fine-tuning, no privacy", shared, adapted=True),
        ]
        alone = score_sites(local_only(self.members), self.members)
        few = evaluate_unseen(
            theta, self.unseen, seed=self.plan.seed, adapter=lambda _, rows, labels: fit_alone(rows, labels)
        )
        rows.append(_scores("each hospital alone", alone) | _few(few, adapted=True))
        return rows

    def _row(self, name: str, theta: NDArray[np.float64], *, adapted: bool) -> Row:
        from ..evaluation import evaluate_members, evaluate_unseen

        scores = evaluate_members(theta, self.members)
        unseen = evaluate_unseen(theta, self.unseen, seed=self.plan.seed)
        return _scores(name, scores.after if adapted else scores.before) | _few(unseen, adapted=adapted)


def _scores(name: str, scores: Any) -> Row:
    return {
        "name": name,
        "auroc": scores.mean_auroc,
        "worst": scores.worst_auroc,
        "brier": scores.mean_brier,
        "calibrated": scores.mean_brier_calibrated,
    }


def _few(scores: Mapping[int, Any], *, adapted: bool) -> Row:
    return {f"unseen_{k}": scores[k if adapted else 0].mean_auroc for k in (1, 5, 16)}
