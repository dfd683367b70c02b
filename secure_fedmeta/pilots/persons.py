# SPDX-License-Identifier: Apache-2.0
"""Pilots where a person with many rows is one task, and a network adapts to each: run, watch, judge."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from fedmeta_privacy.statements import Statements

from .. import scores
from ..algorithms.core import tape_grad
from ..algorithms.glm.logistic import sigmoid
from ..algorithms.inner import GradientSteps
from ..algorithms.planned import algorithm_of
from ..baselines.networks import Clients, fedavg
from ..datasets.records import SiteRecords
from ..engines.batch import BatchLosses, TaskBatch
from ..engines.stacked import batched_outputs
from ..evaluation import calibrate
from ..losses import ROW_LOSSES
from ..parameters import bind
from ..plan import Plan
from ..tasks import Task, persons_of
from .pilot import OnRound, Outcome, Pilot, Row
from .records import Predicted, summary

Float = NDArray[np.float64]
Tensor = torch.Tensor
Adapt = Callable[[Tensor, BatchLosses], Tensor]


@dataclass(frozen=True, slots=True)
class Baselines:
    """How the baselines train and adapt; chosen for their own good, on seeds that no table reports.

    Attributes:
        rounds, steps, lr: of FedAvg; the others take as many steps in all.
        tuning: a person's fine-tuning.
    """

    rounds: int
    steps: int
    lr: float
    tuning: GradientSteps


@dataclass(frozen=True, slots=True, eq=False)
class PersonSite:
    """A site's persons as tasks: those it registered, and those that only the evaluation sees."""

    name: str
    registered: tuple[Task, ...]
    unseen: tuple[Task, ...]


class PersonStudy:
    """Data and evaluation of one plan. Labels are 0 and 1 (loss logistic), or numbers (loss squared).

    Args:
        pilot: with a network.
        plan: of unit task.
        baselines: of this pilot.
        unit_of_label: what a step of 1 in a label is worth in the figures, such as 2 stars.
    """

    def __init__(self, pilot: Pilot, plan: Plan, *, baselines: Baselines, unit_of_label: float = 1.0) -> None:
        assert pilot.network is not None
        self.pilot, self.plan, self.baselines, self._scale = pilot, plan, baselines, unit_of_label
        data = pilot.load(plan)
        self.codebook = data.codebook
        self.sites = [member.registered for member in data.members]
        self.architecture = bind(pilot.network())
        self.algorithm = algorithm_of(plan, self.architecture)
        self.members = [PersonSite(m.name, self._tasks(m.registered), self._tasks(m.unseen)) for m in data.members]
        self.later = [PersonSite(site.name, (), self._tasks(site)) for site in data.later]

    def _tasks(self, site: SiteRecords) -> tuple[Task, ...]:
        features, _ = self.codebook.check_ranges(site.features, on_outside=self.plan.outside)
        rows = np.ascontiguousarray(self.codebook.encode(features)[:, :-1])
        return persons_of(rows, site.labels, site.ids, support_fraction=self.plan.support_fraction)

    # What a model says of persons

    def outputs(self, theta: Tensor, tasks: Sequence[Task], adapt: Adapt) -> list[Float]:
        """Outputs (m,) on each person's query rows, after adapting on the support rows. theta: (D,) or (T, D)."""
        if not tasks:
            return []
        batch = TaskBatch.of(tasks)
        forward = batched_outputs(self.architecture)
        stacked = theta.expand(len(tasks), -1) if theta.dim() == 1 else theta
        at = adapt(stacked, BatchLosses(batch, forward, ROW_LOSSES[self.plan.loss])).detach()
        with torch.no_grad():
            said = forward(at, batch.query.rows).reshape(len(tasks), -1).numpy()
        return [row[: len(task.query_labels)] for row, task in zip(said, tasks, strict=True)]

    def learned(self, theta: Tensor, losses: BatchLosses) -> Tensor:
        """As the plan's algorithm adapts."""
        return self.algorithm.adapt(theta, losses, tape_grad)

    def tuned(self, theta: Tensor, losses: BatchLosses) -> Tensor:
        """As the baselines adapt."""
        return self.baselines.tuning(theta[:, : self.architecture.dimension], losses.support, tape_grad)

    def unchanged(self, theta: Tensor, losses: BatchLosses) -> Tensor:
        """Not at all."""
        del losses
        return theta[:, : self.architecture.dimension]

    # The run

    def watch(self, theta: Float) -> dict[str, float]:
        """Mean loss and the pilot's figure over the members' unseen persons, each after its own adaptation."""
        at = torch.from_numpy(np.array(theta))
        said = [self.outputs(at, site.unseen, self.learned) for site in self.members]
        losses = [
            self._loss(out, task) for outs, s in zip(said, self.members, strict=True) for out, task in _of(outs, s)
        ]
        found = {"loss": scores.mean_known(losses), self.pilot.live.key: self._figure(said)}
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

    # Beside baselines

    def compare(self, theta: Float, name: str) -> list[Row]:
        """The model beside FedAvg, with and without fine-tuning, one model of all rows, and each site alone."""
        shared, pooled, alone = self._trained()
        start = self.architecture.start_tensor()
        return [
            self.row(name, torch.from_numpy(np.array(theta)), self.learned),
            self.row("FedAvg, no privacy", shared, self.unchanged),
            self.row("FedAvg + fine-tuning, no privacy", shared, self.tuned),
            self.row("all rows in one place + fine-tuning, no privacy", pooled, self.tuned),
            self.row(f"each {self.pilot.site} alone + fine-tuning", alone, self.tuned, newcomers=start),
        ]

    def row(self, name: str, theta: Tensor, adapt: Adapt, *, newcomers: Tensor | None = None) -> Row:
        """One model's figures. theta: (D,) for all, or (sites, D), and then `newcomers` for later sites."""
        own = [theta if theta.dim() == 1 else theta[place] for place in range(len(self.members))]
        said = [self.outputs(at, site.unseen, adapt) for at, site in zip(own, self.members, strict=True)]
        inside = [self.outputs(at, site.registered, adapt) for at, site in zip(own, self.members, strict=True)]
        row: Row = {"name": name, "members": self._betrayed(inside, said)}
        row |= self._ranked(said, inside) if self.plan.loss == "logistic" else self._rated(said)
        base = theta if newcomers is None else newcomers
        for k in self.pilot.shots if self.later else ():
            few = [tuple(_few(task, k) for task in site.unseen) for site in self.later]
            found = [self.outputs(base, tasks, adapt) for tasks in few]
            row[f"unseen_{k}"] = self._figure(found, later=True)
        return row

    def _trained(self) -> tuple[Tensor, Tensor, Tensor]:
        """FedAvg's model, the one of all rows, and one a site."""
        b, start = self.baselines, self.architecture.start_tensor()
        sites = [_whole(site.registered) for site in self.members]
        every = Task(*(np.concatenate([getattr(task, part) for task in sites]) for part in _PARTS))
        once, all_steps = GradientSteps(b.lr, b.steps), GradientSteps(b.lr, b.rounds * b.steps)
        clients = Clients(self.architecture, TaskBatch.of(sites), self.plan.loss)
        pooled = Clients(self.architecture, TaskBatch.of([every]), self.plan.loss)
        return (
            fedavg(clients, start, rounds=b.rounds, steps=once),
            fedavg(pooled, start, rounds=b.rounds, steps=once),
            all_steps(clients.stacked(start), clients.losses.every, tape_grad).detach(),
        )

    def _figure(self, said: Sequence[Sequence[Float]], *, later: bool = False) -> float:
        """The pilot's live figure: mean over sites of AUROC, or over persons of RMSE."""
        sites = self.later if later else self.members
        if self.plan.loss == "logistic":
            return scores.mean_known(
                [scores.auroc(*_pooled(outs, site)) for outs, site in zip(said, sites, strict=True)]
            )
        return scores.mean_known(
            [self._rmse(o, t) for outs, s in zip(said, sites, strict=True) for o, t in _of(outs, s)]
        )

    def _ranked(self, said: Sequence[Sequence[Float]], inside: Sequence[Sequence[Float]]) -> Row:
        predicted = []
        for outs, own, site in zip(said, inside, self.members, strict=True):
            registered = replace(site, unseen=site.registered)
            known, logits = _pooled(own, registered)
            slope, offset = calibrate(logits, known)
            labels, z = _pooled(outs, site)
            predicted.append(Predicted(labels, sigmoid(z), sigmoid(slope * z + offset)))
        return summary(predicted)

    def _rated(self, said: Sequence[Sequence[Float]]) -> Row:
        pairs = [[_of(outs, site) for outs, site in zip(said, self.members, strict=True)]]
        by_site = [[self._rmse(o, t) for o, t in persons] for persons in pairs[0]]
        everyone = [value for site in by_site for value in site]
        lists = [scores.ndcg(self._stars(t.query_labels), o) for persons in pairs[0] for o, t in persons]
        return {
            "rmse": scores.mean_known(everyone),
            "ndcg": scores.mean_known(lists),
            "worst": max(scores.mean_known(site) for site in by_site),
            "high": -scores.low_end([-value for value in everyone], 0.1),
        }

    def _stars(self, labels: Float) -> Float:
        """Labels in [-1, 1] on the scale of the figures, from 0."""
        return (labels + 1.0) * self._scale

    def _rmse(self, outputs: Float, task: Task) -> float:
        return self._scale * float(np.sqrt(np.mean((outputs - task.query_labels) ** 2)))

    def _loss(self, outputs: Float, task: Task) -> float:
        losses = ROW_LOSSES[self.plan.loss](torch.from_numpy(outputs), torch.from_numpy(task.query_labels))
        return float(losses.mean())

    def _betrayed(self, inside: Sequence[Sequence[Float]], outside: Sequence[Sequence[Float]]) -> float:
        """Membership inference of whole persons, by the mean loss of their query rows."""
        found = []
        for site, own, others in zip(self.members, inside, outside, strict=True):
            known = [self._loss(o, t) for o, t in zip(own, site.registered, strict=True)]
            found.append(
                scores.membership_auc(np.array(known), np.array([self._loss(o, t) for o, t in _of(others, site)]))
            )
        return scores.mean_known(found)


_PARTS = ("support_rows", "support_labels", "query_rows", "query_labels")


def _of(outputs: Sequence[Float], site: PersonSite) -> list[tuple[Float, Task]]:
    return list(zip(outputs, site.unseen, strict=True))


def _pooled(outputs: Sequence[Float], site: PersonSite) -> tuple[Float, Float]:
    """Labels and outputs of all a site's persons."""
    return np.concatenate([task.query_labels for task in site.unseen]), np.concatenate(list(outputs))


def _few(task: Task, k: int) -> Task:
    return Task(task.support_rows[:k], task.support_labels[:k], task.query_rows, task.query_labels)


def _whole(tasks: Sequence[Task]) -> Task:
    """All rows of all persons of a site as one task's query part."""
    rows = np.concatenate([part for task in tasks for part in (task.support_rows, task.query_rows)])
    labels = np.concatenate([part for task in tasks for part in (task.support_labels, task.query_labels)])
    return Task(rows[:0], labels[:0], rows, labels)
