# SPDX-License-Identifier: Apache-2.0
"""The reference engine: one unit at a time, by automatic differentiation, for any `torch.nn.Module`.

MAML (Finn, Abbeel and Levine 2017, arXiv 1703.03400v3), with L_S and L_Q the mean losses of a task's rows:
theta_{k+1} = theta_k - lr grad L_S(theta_k); second order is the gradient of L_Q(theta_K(theta)) by theta, first order
(FOMAML) the gradient of L_Q at theta_K.

Each unit is computed from copies of its own rows, so its result is the same to the last bit whoever stands beside it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from ..parameters import Architecture
from ..tasks import Task

Float = NDArray[np.float64]


def logistic_loss(outputs: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Mean cross-entropy of one output and labels in {0, 1}."""
    return functional.binary_cross_entropy_with_logits(outputs.reshape(labels.shape), labels)


def class_loss(outputs: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Mean cross-entropy of C outputs and labels 0 .. C - 1."""
    return functional.cross_entropy(outputs, labels.long())


LOSSES: dict[str, Callable[[torch.Tensor, torch.Tensor], torch.Tensor]] = {
    "logistic": logistic_loss,
    "cross-entropy": class_loss,
}


class LoopEngine:
    """Per-unit gradients of a network, unit by unit.

    Args:
        architecture: the network, bound and checked.
        loss: a key of `LOSSES`.
        inner_lr, inner_steps: of the adaptation.
        second_order: differentiate through the adaptation.

    Example:
        >>> from secure_fedmeta.parameters import bind
        >>> engine = LoopEngine(bind(torch.nn.Linear(2, 1)), loss="logistic", inner_lr=0.5, inner_steps=1)
        >>> one = np.ones((1, 2))
        >>> engine.meta_gradients(np.zeros(3), [Task(one, np.ones(1), one, np.ones(1))]).round(4).tolist()
        [[-0.2005, -0.2005, -0.2005]]
    """

    def __init__(
        self,
        architecture: Architecture,
        *,
        loss: str,
        inner_lr: float,
        inner_steps: int,
        second_order: bool = True,
    ) -> None:
        self._architecture = architecture
        self._loss = LOSSES[loss]
        self._lr = inner_lr
        self._steps = inner_steps
        self._second = second_order

    def meta_gradients(self, theta: Float, tasks: Sequence[Task]) -> Float:
        """One meta-gradient a task, (tasks, P); a task without query rows gives zeros, a broken one NaN."""
        return self._rows(len(tasks), lambda index: self._meta_gradient(_tensor(theta), tasks[index]))

    def example_gradients(self, theta: Float, rows: Float, labels: Float) -> Float:
        """One gradient of the loss a row, (n, P); a broken one is NaN."""
        return self._rows(
            len(rows), lambda i: self._gradient(_tensor(theta), _tensor(rows[i : i + 1]), _tensor(labels[i : i + 1]))
        )

    def example_products(self, theta: Float, rows: Float, labels: Float, vector: Float) -> Float:
        """Hessian of each row's loss times `vector`, (n, P): the gradient of the gradient's product with it."""

        def product(i: int) -> torch.Tensor:
            at = _tensor(theta).requires_grad_()
            loss = self._loss_of(at, _tensor(rows[i : i + 1]), _tensor(labels[i : i + 1]))
            (gradient,) = torch.autograd.grad(loss, at, create_graph=True)
            if not gradient.requires_grad:  # a loss that is linear in theta
                return torch.zeros_like(at)
            return torch.autograd.grad(gradient @ _tensor(vector), at)[0]

        return self._rows(len(rows), product)

    def _rows(self, count: int, unit: Callable[[int], torch.Tensor]) -> Float:
        found = np.full((count, self._architecture.dimension), np.nan)
        for index in range(count):
            try:
                found[index] = unit(index).detach().numpy()
            except Exception:  # noqa: BLE001, S112 - whatever a network raises on one unit's rows must not end a round
                continue  # stays NaN, counts as zero
        return found

    def _loss_of(self, flat: torch.Tensor, rows: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        return self._loss(self._architecture.outputs(flat, rows), labels)

    def _gradient(self, theta: torch.Tensor, rows: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        at = theta.detach().requires_grad_()
        return torch.autograd.grad(self._loss_of(at, rows, labels), at)[0]

    def _meta_gradient(self, theta: torch.Tensor, task: Task) -> torch.Tensor:
        if not len(task.query_labels):
            return torch.zeros_like(theta)
        support, labels = _tensor(task.support_rows), _tensor(task.support_labels)
        query, query_labels = _tensor(task.query_rows), _tensor(task.query_labels)
        steps = self._steps if len(labels) else 0
        if not self._second:
            for _ in range(steps):
                theta = theta - self._lr * self._gradient(theta, support, labels)
            return self._gradient(theta, query, query_labels)
        start = theta.detach().requires_grad_()
        at: torch.Tensor = start
        for _ in range(steps):
            (inner,) = torch.autograd.grad(self._loss_of(at, support, labels), at, create_graph=True)
            at = at - self._lr * inner
        return torch.autograd.grad(self._loss_of(at, query, query_labels), start)[0]


def _tensor(values: Float) -> torch.Tensor:
    """A copy in fresh memory: how an array is aligned can change how it is summed."""
    return torch.from_numpy(np.array(values, dtype=np.float64)).clone()
