# SPDX-License-Identifier: Apache-2.0
"""Pilots with one record a person and a logistic model: run, watch, judge."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedmeta_privacy.statements import Statements

from .. import scores
from ..algorithms.glm.logistic import sigmoid
from ..baselines import fedavg, fine_tune, fit_alone, local_only
from ..evaluation import EncodedSite, adapt, calibrate, evaluate_unseen, mean_auroc, mean_loss
from ..plan import Plan
from .pilot import OnRound, Outcome, Pilot, Row

Float = NDArray[np.float64]
Adapter = Callable[[Float, Float, Float], Float]


@dataclass(frozen=True, slots=True, eq=False)
class Predicted:
    """Labels (n,) of a site's test persons with probabilities before and after calibration on site."""

    labels: Float
    raw: Float
    calibrated: Float


def predictions(parameters: Sequence[Float], sites: Sequence[EncodedSite]) -> list[Predicted]:
    """Of one (d,) vector per site; calibration is fitted on the site's own registered records."""
    made = []
    for theta, site in zip(parameters, sites, strict=True):
        if not len(site.test_labels):
            continue  # everybody is registered; there is nobody to judge by
        slope, offset = calibrate(site.rows @ theta, site.labels)
        logits = site.test_rows @ theta
        made.append(Predicted(site.test_labels, sigmoid(logits), sigmoid(slope * logits + offset)))
    return made


def summary(predicted: Sequence[Predicted]) -> Row:
    """All figures but those of later sites. Means over sites, except ECE and the lender's: of all sites' persons.

    Calibrated probabilities of all sites may be pooled, since they are probabilities of one event; raw scores of
    adapted models may not (their ranking would move with the sites' label shares).
    """
    if not predicted:
        return {}
    ranks = [scores.auroc(p.labels, p.raw) for p in predicted]
    labels = np.concatenate([p.labels for p in predicted])
    pooled = np.concatenate([p.calibrated for p in predicted])
    return {
        "auroc": scores.mean_known(ranks),
        "auprc": scores.mean_known([scores.auprc(p.labels, p.raw) for p in predicted]),
        "worst": scores.low_end(ranks, 0.0),
        "low": scores.low_end(ranks, 0.1),
        "brier": scores.mean_known([scores.brier(p.labels, p.raw) for p in predicted]),
        "calibrated": scores.mean_known([scores.brier(p.labels, p.calibrated) for p in predicted]),
        "ece": scores.calibration_error(labels, pooled),
        "ks": scores.kolmogorov_smirnov(labels, pooled),
        "gini": scores.gini(labels, pooled),
        "loss": scores.expected_loss(labels, pooled),
    }


class RecordStudy:
    """Data and evaluation of one plan. `members` and `unseen` hold encoded records of the simulation."""

    def __init__(self, pilot: Pilot, plan: Plan) -> None:
        self.pilot = pilot
        self.plan = plan
        data = pilot.load(plan)
        self.codebook = data.codebook
        self.sites = [member.registered for member in data.members]
        encode = self._encode
        self.members = [
            EncodedSite(m.name, encode(m.registered), m.registered.labels, encode(m.unseen), m.unseen.labels)
            for m in data.members
        ]
        nothing = (np.empty((0, self.codebook.width)), np.empty(0))
        self.unseen = [EncodedSite(s.name, encode(s), s.labels, *nothing) for s in data.later]

    def _encode(self, site: Any) -> Float:
        features, _ = self.codebook.check_ranges(site.features, on_outside=self.plan.outside)
        return self.codebook.encode(features)

    def watch(self, theta: Float) -> dict[str, float]:
        """Loss and AUROC of the shared model on the members' unseen persons."""
        judged = [site for site in self.members if len(site.test_labels)]
        if not judged:
            return {}
        found = {"loss": mean_loss(theta, judged), "auroc": mean_auroc(theta, judged)}
        return {name: value for name, value in found.items() if not math.isnan(value)}

    def execute(
        self,
        *,
        out: Path | None,
        on_round: OnRound | None = None,
        statements: Statements | None = None,
        resume: bool = False,
    ) -> Outcome:
        """Run all rounds, or with `resume` those that a killed run in `out` has left; `on_round` sees each report."""
        return self.pilot.federated(
            self.plan,
            self.sites,
            self.codebook,
            self.watch,
            out=out,
            on_round=on_round,
            statements=statements,
            resume=resume,
        )

    def compare(self, theta: Float, name: str) -> list[Row]:
        """The model beside FedAvg, FedAvg with fine-tuning, one model of all records, and each site alone."""
        shared, pooled = fedavg(self.members), self._pooled()
        rows = [
            self.row(name, theta, adapted=True),
            self.row("FedAvg, no privacy", shared, adapted=False),
            self.row("FedAvg + fine-tuning, no privacy", shared, adapted=True),
            self.row("all records in one place, no privacy", pooled, adapted=False),
        ]
        zeros = np.zeros(self.codebook.width)
        alone = self._row(
            f"each {self.pilot.site} alone", local_only(self.members), zeros, lambda _, x, y: fit_alone(x, y)
        )
        return [*rows, alone]

    def row(self, name: str, theta: Float, *, adapted: bool) -> Row:
        """One model's figures: as it is, or after each site has adapted it to its own records."""
        own = fine_tune(theta, self.members) if adapted else [theta] * len(self.members)
        return self._row(name, own, theta, adapt if adapted else lambda shared, *_: shared)

    def _row(self, name: str, own: Sequence[Float], shared: Float, adapter: Adapter) -> Row:
        few = self._later(shared, adapter) if self.unseen else {}
        pairs = zip(own, self.members, strict=True)
        betrayed = scores.mean_known([self._betrayed(theta, site) for theta, site in pairs if len(site.test_labels)])
        return {"name": name, **summary(predictions(own, self.members)), "members": betrayed, **few}

    def _later(self, shared: Float, adapter: Adapter) -> Row:
        """Mean AUROC of later sites by number of shots; NaN where a site has no more records than that."""
        room = min(len(site.labels) for site in self.unseen)
        shots = [k for k in self.pilot.shots if k < room]
        found = evaluate_unseen(shared, self.unseen, seed=self.plan.seed, shots=shots, adapter=adapter)
        return {f"unseen_{k}": found[k].mean_auroc if k in found else math.nan for k in self.pilot.shots}

    def _pooled(self) -> Float:
        return fit_alone(
            np.concatenate([site.rows for site in self.members]),
            np.concatenate([site.labels for site in self.members]),
            steps=1000,
        )

    @staticmethod
    def _betrayed(theta: Float, site: EncodedSite) -> float:
        """Membership inference by the loss at one site: registered persons against those it did not register."""
        losses = [
            np.logaddexp(0.0, rows @ theta) - labels * (rows @ theta)
            for rows, labels in ((site.rows, site.labels), (site.test_rows, site.test_labels))
        ]
        return scores.membership_auc(*losses)
