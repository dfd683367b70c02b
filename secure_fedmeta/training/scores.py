# SPDX-License-Identifier: Apache-2.0
"""What a learned start is worth: each test task's error after several numbers of steps, as mean and median over tasks.

A long adaptation may diverge on a few tasks; then the mean is infinite and stays so, while the median still describes
the others: both are given, and no task is ever left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import torch

from ..algorithms.anil import Anil
from ..algorithms.core import Algorithm, tape_grad
from ..algorithms.fedavg import FedAvg
from ..algorithms.imaml import Imaml
from ..algorithms.inner import GradientSteps
from ..algorithms.maml import Maml
from ..algorithms.meta_sgd import MetaSgd
from ..algorithms.per_fedavg import PerFedAvg
from ..algorithms.reptile import Reptile
from ..engines.batch import BatchLosses, TaskBatch
from ..engines.stacked import batched_outputs
from ..errors import TrainingRefused
from ..losses import ROW_LOSSES
from ..parameters import Architecture

Tensor = torch.Tensor


@dataclass(frozen=True, slots=True)
class Score:
    """Over tasks: mean and median; and how many tasks have no finite value, which make the mean infinite.

    Example:
        >>> Score.of(torch.tensor([1.0, 2.0, 6.0])), Score.of(torch.tensor([1.0, 2.0, float("nan")]))
        (Score(mean=3.0, median=2.0, diverged=0), Score(mean=inf, median=2.0, diverged=1))
    """

    mean: float
    median: float
    diverged: int

    @classmethod
    def of(cls, values: Tensor) -> Score:
        """Of one error a task, (T,)."""
        worst = torch.where(torch.isfinite(values), values, torch.inf)
        diverged = int((~torch.isfinite(values)).sum())
        ordered = worst.sort().values  # not `quantile`, which makes NaN of a number and infinity
        middle = (ordered[(len(ordered) - 1) // 2] + ordered[len(ordered) // 2]) / 2
        return cls(float(worst.mean()), float(middle), diverged)


def with_steps(algorithm: Algorithm, count: int) -> Algorithm | None:
    """The algorithm adapting by `count` steps; None for none at all: the parameters as they are.

    Per-FedAvg adapts by one step; more of them are plain gradient steps of the same rate. FedAvg's are its fine-tuning
    by its local steps' rate, unless it has its own.

    Raises:
        TrainingRefused: an algorithm whose steps are not known here, or a negative count.

    Example:
        >>> with_steps(Maml(GradientSteps(lr=0.1, count=1)), 5).steps.count
        5
    """
    if count < 0:
        raise TrainingRefused(f"{count} steps", "evaluation", "count from 0")
    if count == 0:
        return None
    match algorithm:
        case Maml() | Anil() | Reptile() | Imaml():
            return replace(algorithm, steps=replace(algorithm.steps, count=count))
        case MetaSgd():
            return replace(algorithm, count=count)
        case PerFedAvg():
            return Maml(GradientSteps(algorithm.lr, count, max_norm=algorithm.max_norm))
        case FedAvg():
            return replace(algorithm, fine_tuning=replace(algorithm.fine_tuning or algorithm.steps, count=count))
    raise TrainingRefused(f"the steps of {type(algorithm).__name__} are not known", "evaluation", "evaluate a member")


def evaluate(
    architecture: Architecture,
    algorithm: Algorithm,
    theta: Tensor,
    batch: TaskBatch,
    *,
    loss: str,
    steps: Sequence[int] = (0, 1, 5, 10),
    score: Literal["loss", "accuracy"] = "loss",
) -> dict[int, Score]:
    """Adapt to each task's support rows, score on its query rows; by number of steps.

    Args:
        architecture: the network.
        algorithm: whose inner steps adapt.
        theta: what was learned, (D,); of learned rates too.
        batch: test tasks in theta's type.
        loss: a key of `losses.ROW_LOSSES`.
        steps: after how many to score.
        score: "loss", the mean over a task's rows; "accuracy", the share of rows whose largest output (of one output,
            its sign) is the label.
    """
    outputs, row_loss = batched_outputs(architecture), ROW_LOSSES[loss]
    losses, stacked = BatchLosses(batch, outputs, row_loss), theta.expand(len(batch), -1)
    found = {}
    for count in steps:
        stepped = with_steps(algorithm, count)
        network = stacked[:, : architecture.dimension]
        at = network if stepped is None else stepped.adapt(stacked, losses, tape_grad).detach()
        with torch.no_grad():
            found[count] = Score.of(
                losses.query(at) if score == "loss" else accuracy(outputs(at, batch.query.rows), batch)
            )
    return found


def accuracy(outputs: Tensor, batch: TaskBatch) -> Tensor:
    """Share of each task's query rows that are classified rightly, (T,); NaN where an output is not finite.

    Shapes: outputs (T, n, C); of one output its sign is the class.
    """
    part = batch.query
    single = outputs.shape[-1] == 1
    guessed = outputs.squeeze(-1) > 0 if single else outputs.argmax(-1)
    right = (guessed.to(part.labels.dtype) == part.labels).to(outputs.dtype)
    broken = ~torch.isfinite(outputs).all(-1) & (part.weights > 0)
    return torch.where(broken.any(-1), torch.nan, (right * part.weights).sum(-1))
