# SPDX-License-Identifier: Apache-2.0
"""Runs and judges the wearables pilot."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from .. import scores
from ..algorithms.core import tape_grad
from ..algorithms.inner import GradientSteps
from ..datasets.generated.wearables import Wearers, load_wearers
from ..engines.batch import BatchLosses, TaskBatch
from ..engines.stacked import batched_outputs
from ..federation.storage import claim_folder
from ..files import toml_value
from ..losses import ROW_LOSSES
from ..parameters import bind
from ..population.result import Result
from ..population.training import train
from ..tasks import Task
from .pilot import Column, Row
from .wearables import LATER, NAME, SHOTS, TRAINED_WINDOWS, WearablesPlan, network, training_of

Float = NDArray[np.float64]
Tensor = torch.Tensor

COLUMNS = (
    Column("accuracy", "accuracy"),
    Column("low", "10th pct"),
    Column("worst", "worst person"),
    Column("loss", "log loss", low_is_good=True),
    Column("ece", "ECE", low_is_good=True),
    Column("members", "membership", low_is_good=True),
    *(Column(f"unseen_{k}", f"new, k={k}") for k in SHOTS),
)
TUNING = GradientSteps(0.5, 5)  # a person's own steps, free: they stay on the device
_ALONE = GradientSteps(0.5, 60)
_BASE_LR, _BASE_ROUNDS = 1.0, 120


@dataclass(slots=True)
class PopulationOutcome:
    """What the pilot leaves; scores are simulation only."""

    plan: WearablesPlan
    result: Result
    metrics: list[dict[str, float]] = field(default_factory=list)
    table: list[Row] = field(default_factory=list)


class WearablesStudy:
    """People of one seed: the first twelve windows of each train, the other eight judge."""

    def __init__(self, plan: WearablesPlan) -> None:
        self.plan = plan
        self.users, self.later = load_wearers(seed=plan.seed, users=plan.users, later=LATER)
        self.training = training_of(plan, self.users.rows[:, :TRAINED_WINDOWS], self.users.labels[:, :TRAINED_WINDOWS])
        self.architecture = bind(network())
        self.forward = batched_outputs(self.architecture)
        self.judged = _tasks(self.users)
        self.outsiders = _tasks(self.later)

    def execute(
        self, *, out: Path | None = None, on_round: Callable[[int, dict[str, float]], None] | None = None
    ) -> PopulationOutcome:
        """All rounds; each is charged before it is computed."""
        metrics: list[dict[str, float]] = []
        lines = None
        if out is not None:
            claim_folder(out)
            _write_config(out / "config.toml", self.plan)
            lines = (out / "metrics.jsonl").open("w", encoding="utf-8")

        def watch(step: int, survivors: NDArray[np.int64], theta: Tensor) -> None:
            said = self._said(theta, TaskBatch.of(self.judged[:200]), None)
            row = {"round": step, "people": len(survivors), **_figures(said, self.judged[:200])}
            kept = {name: row[name] for name in ("round", "people", "loss", "accuracy")}
            metrics.append(kept)
            if lines is not None:
                lines.write(json.dumps(kept) + "\n")
            if on_round is not None:
                on_round(step, kept)

        start = self.architecture.start_tensor()
        folder = None if out is None else out / "rounds"
        try:
            result = train(self.training, start, folder=folder, every=5, watch=watch)
        finally:
            if lines is not None:
                lines.close()
        outcome = PopulationOutcome(self.plan, result, metrics)
        if out is not None:
            self._keep(out, outcome)
        return outcome

    def _keep(self, out: Path, outcome: PopulationOutcome) -> None:
        from safetensors.numpy import save_file

        result = outcome.result
        save_file({"theta": result.theta.numpy()}, out / "model.safetensors")
        (out / "charges.jsonl").write_bytes((out / "rounds" / "charges.jsonl").read_bytes())
        account = {
            "format": "secure-fedmeta/population/1",
            "pilot": NAME,
            "unit": "client",
            "adjacency": "zero-out",
            "rounds": result.rounds,
            "charged": result.charged,
            "delta": result.delta,
            "epsilon": {"server": _known(result.server), "release": _known(result.release)},
            "protects": result.protects,
            "stopped": result.stopped,
            "sentence": result.sentence(),
        }
        (out / "account.json").write_text(json.dumps(account, indent=1) + "\n", encoding="utf-8")

    def compare(self, theta: Tensor, name: str) -> list[Row]:
        """The model, before and after a person's own steps, beside FedAvg and one model of all without privacy."""
        pooled, alone = self._baselines()
        free = train(training_of(self.plan.model_copy(update={"epsilon": None}), *self._trained()), self._start()).theta
        return [
            self.row(f"{name} + fine-tuning", theta, TUNING),
            self.row(name, theta, None),
            self.row("FedAvg, no privacy", free, None),
            self.row("FedAvg + fine-tuning, no privacy", free, TUNING),
            self.row("all windows in one place + fine-tuning, no privacy", pooled, TUNING),
            self.row("each person alone", alone, _ALONE),
        ]

    def row(self, name: str, theta: Tensor, tuning: GradientSteps | None) -> Row:
        """One model's figures, for people who trained (on windows they did not train on) and for later ones."""
        said = self._said(theta, TaskBatch.of(self.judged), tuning)
        row: Row = {"name": name, **_figures(said, self.judged)}
        inside = _losses(
            self._said(theta, TaskBatch.of([_own(task) for task in self.judged]), None), self.judged, own=True
        )
        outside = _losses(
            self._said(theta, TaskBatch.of([_own(task) for task in self.outsiders]), None), self.outsiders, own=True
        )
        row["members"] = scores.membership_auc(inside, outside)
        for k in SHOTS:
            few = [Task(t.support_rows[:k], t.support_labels[:k], t.query_rows, t.query_labels) for t in self.outsiders]
            row[f"unseen_{k}"] = float(_right(self._said(theta, TaskBatch.of(few), tuning), few).mean())
        return row

    def _start(self) -> Tensor:
        return self.architecture.start_tensor()

    def _trained(self) -> tuple[Float, Float]:
        return self.users.rows[:, :TRAINED_WINDOWS], self.users.labels[:, :TRAINED_WINDOWS]

    def _baselines(self) -> tuple[Tensor, Tensor]:
        rows, labels = self._trained()
        every = Task(rows[0][:0], labels[0][:0], rows.reshape(-1, rows.shape[-1]), labels.reshape(-1))
        losses = BatchLosses(TaskBatch.of([every]), self.forward, ROW_LOSSES["cross-entropy"])
        steps = GradientSteps(_BASE_LR, _BASE_ROUNDS)
        return steps(self._start().expand(1, -1), losses.query, tape_grad).detach()[0], self._start()

    def _said(self, theta: Tensor, batch: TaskBatch, tuning: GradientSteps | None) -> Float:
        """Log probabilities (people, windows, 5) on each one's query windows."""
        stacked = theta.expand(len(batch), -1)
        losses = BatchLosses(batch, self.forward, ROW_LOSSES["cross-entropy"])
        at = stacked if tuning is None else tuning(stacked, losses.support, tape_grad).detach()
        with torch.no_grad():
            logs: Float = torch.log_softmax(self.forward(at, batch.query.rows), dim=-1).numpy()
        return logs


def _tasks(people: Wearers) -> list[Task]:
    cut = TRAINED_WINDOWS
    return [Task(r[:cut], y[:cut], r[cut:], y[cut:]) for r, y in zip(people.rows, people.labels, strict=True)]


def _own(task: Task) -> Task:
    """The windows that a member trains on, as what is asked about."""
    return Task(task.support_rows[:0], task.support_labels[:0], task.support_rows, task.support_labels)


def _figures(said: Float, tasks: list[Task]) -> dict[str, float]:
    right = _right(said, tasks)
    labels = np.stack([task.query_labels for task in tasks]).astype(int)
    chosen, sure = said.argmax(-1), np.exp(said.max(-1))
    return {
        "accuracy": float(right.mean()),
        "low": scores.low_end(right, 0.1),
        "worst": float(right.min()),
        "loss": float(_losses(said, tasks, own=False).mean()),
        "ece": scores.calibration_error((chosen == labels).astype(float).ravel(), sure.ravel()),
    }


def _right(said: Float, tasks: list[Task]) -> Float:
    """Share of each person's query windows that are told rightly."""
    labels = np.stack([task.query_labels for task in tasks])
    return np.asarray((said.argmax(-1) == labels).mean(axis=1))


def _losses(said: Float, tasks: list[Task], *, own: bool) -> Float:
    """Mean log loss of each person's windows."""
    labels = np.stack([task.support_labels if own else task.query_labels for task in tasks]).astype(int)
    return np.asarray(-np.take_along_axis(said, labels[..., None], -1)[..., 0].mean(axis=1))


def _write_config(path: Path, plan: WearablesPlan) -> None:
    stated: dict[str, Any] = {"pilot": NAME, **plan.model_dump()}
    stated["epsilon"] = "none" if plan.epsilon is None else plan.epsilon
    path.write_text("".join(f"{name} = {toml_value(value)}\n" for name, value in stated.items()), encoding="utf-8")


def _known(value: float) -> float | None:
    return value if np.isfinite(value) else None
