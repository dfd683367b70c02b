# SPDX-License-Identifier: Apache-2.0
"""FedAvg, Ditto and FedRep of networks, batched over clients: one row of parameters each, one autograd pass.

Clients count alike and take all their rows in a step, as everywhere here, so that no count of records is used. All
three train on every row of a client (support and query); a client that took no part adapts on its support rows.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch

from ..algorithms.anil import Spans
from ..algorithms.core import Tensor, tape_grad
from ..algorithms.inner import GradientSteps
from ..engines.batch import BatchLosses, TaskBatch
from ..engines.stacked import batched_outputs
from ..errors import BaselineRefused
from ..losses import ROW_LOSSES
from ..parameters import Architecture

Loss = Callable[[Tensor], Tensor]


@dataclass(frozen=True, slots=True, eq=False)
class Clients:
    """The losses of T clients of one network: what the baselines train on.

    Attributes:
        architecture: the network.
        batch: their rows.
        loss: a key of `losses.ROW_LOSSES`.
    """

    architecture: Architecture
    batch: TaskBatch
    loss: str

    def __len__(self) -> int:
        """T."""
        return len(self.batch)

    @property
    def losses(self) -> BatchLosses:
        """Of parameters (T, P)."""
        return BatchLosses(self.batch, batched_outputs(self.architecture), ROW_LOSSES[self.loss])

    def stacked(self, theta: Tensor) -> Tensor:
        """(P,) or (T, P) to (T, P)."""
        return theta.expand(len(self), -1) if theta.dim() == 1 else theta


def fedavg(clients: Clients, theta: Tensor, *, rounds: int, steps: GradientSteps) -> Tensor:
    """Rounds of local steps on all rows and the plain mean of the models (McMahan et al. 2017, Algorithm 1); (P,).

    Raises:
        BaselineRefused: no round or no step.
    """
    _positive(rounds=rounds, steps=steps.count)
    loss = clients.losses.every
    for _ in range(rounds):
        theta = steps(clients.stacked(theta), loss, tape_grad).detach().mean(0)
    return theta


@dataclass(frozen=True, slots=True)
class Ditto:
    """Ditto (Li, Hu, Beirami and Smith 2021, arXiv 2012.04221v3, Algorithm 1), the common model by FedAvg.

    In every round each client also moves its own model v_k from where it stood: `count` steps
    v <- v - lr (grad F_k(v) + lambda (v - w)), w the common model at the round's start. lambda = 0 is training alone;
    with lambda = 1/lr, the largest that does not overshoot, v ends one step of F_k from w, and as lr goes to zero
    at lambda = 1/lr it ends at w itself: FedAvg.

    Attributes:
        steps: of the common model, in each client.
        lr, count: of the client's own model.
        regularization: lambda.
    Raises:
        BaselineRefused: a setting out of range; lr lambda above 1.
    """

    steps: GradientSteps
    lr: float
    count: int
    regularization: float

    def __post_init__(self) -> None:
        _positive(lr=self.lr, count=self.count, steps=self.steps.count)
        if not (math.isfinite(self.regularization) and 0 <= self.regularization * self.lr <= 1 + 1e-12):
            raise BaselineRefused(
                f"lr times regularization is {self.lr * self.regularization:g}", "ditto", "keep it from 0 to 1"
            )

    def train(self, clients: Clients, theta: Tensor, *, rounds: int) -> tuple[Tensor, Tensor]:
        """The common model (P,) and each client's own, (T, P)."""
        _positive(rounds=rounds)
        own, every = clients.stacked(theta).clone(), clients.losses.every
        for _ in range(rounds):
            own = self._own(own, theta, every)
            theta = self.steps(clients.stacked(theta), every, tape_grad).detach().mean(0)
        return theta, own

    def adapt(self, clients: Clients, theta: Tensor, *, count: int) -> Tensor:
        """Models of clients that took no part, (T, P): `count` of their own steps from the common model."""
        return self._own(clients.stacked(theta), theta, clients.losses.support, count)

    def _own(self, own: Tensor, common: Tensor, loss: Loss, count: int | None = None) -> Tensor:
        slope = tape_grad(loss)
        for _ in range(self.count if count is None else count):
            own = own - self.lr * (slope(own) + self.regularization * (own - common))
        return own.detach()


@dataclass(frozen=True, slots=True)
class FedRep:
    """FedRep (Collins, Hassani, Mokhtari and Shakkottai 2021, arXiv 2102.07078v3, Algorithm 1): a common body.

    Each round each client trains its own head with the body fixed, then the body with its head fixed; bodies are
    averaged, heads stay with their clients and are never sent.

    Attributes:
        head: where it lies in the flat vector, from `algorithms.anil.head_of`.
        head_steps, body_steps: of a round.
    Raises:
        BaselineRefused: no steps, or a head that is not inside the vector.
    """

    head: Spans
    head_steps: GradientSteps
    body_steps: GradientSteps

    def __post_init__(self) -> None:
        _positive(head_steps=self.head_steps.count, body_steps=self.body_steps.count)
        if not self.head or any(not 0 <= start < stop for start, stop in self.head):
            raise BaselineRefused(f"head {self.head}", "fedrep", "use `algorithms.anil.head_of`")

    def train(self, clients: Clients, theta: Tensor, *, rounds: int) -> tuple[Tensor, Tensor]:
        """What the server holds, (P,): the body, with the *initial* head; and each client's network, (T, P)."""
        _positive(rounds=rounds)
        head, every = self._mask(theta), clients.losses.every
        own = clients.stacked(theta).clone()
        for _ in range(rounds):
            own = self._part(own, head, self.head_steps, every)
            moved = self._part(own, 1 - head, self.body_steps, every)
            own = torch.where(head > 0, moved, moved.mean(0))
        return torch.where(head > 0, theta, own[0]), own

    def adapt(self, clients: Clients, theta: Tensor, *, count: int) -> Tensor:
        """Networks of clients that took no part, (T, P): `count` steps of a new head on the common body."""
        steps = GradientSteps(self.head_steps.lr, count, self.head_steps.max_norm, self.head_steps.rule)
        return self._part(clients.stacked(theta), self._mask(theta), steps, clients.losses.support)

    def _mask(self, theta: Tensor) -> Tensor:
        mask = torch.zeros_like(theta)
        for start, stop in self.head:
            if stop > len(theta):
                raise BaselineRefused(f"head {self.head} in a vector of {len(theta)}", "fedrep", "use `head_of`")
            mask[start:stop] = 1
        return mask

    @staticmethod
    def _part(own: Tensor, mask: Tensor, steps: GradientSteps, loss: Loss) -> Tensor:
        """Steps on the coordinates of the mask, the others as they stand."""
        fixed = (own * (1 - mask)).detach()
        return fixed + mask * steps(own, lambda at: loss(fixed + mask * at), tape_grad).detach()


def _positive(**values: float) -> None:
    for name, value in values.items():
        if not (math.isfinite(value) and value > 0):
            raise BaselineRefused(f"{name} is {value!r}", "baseline", "give a positive number")
