# SPDX-License-Identifier: Apache-2.0
"""A plan's algorithm, made for a network, and the shape of what it learns."""

from __future__ import annotations

from collections.abc import Callable

from ..errors import AlgorithmRefused
from ..parameters import Architecture
from ..plan import Plan
from .anil import Anil, head_of
from .core import Algorithm
from .fedavg import FedAvg
from .imaml import Imaml
from .inner import GradientSteps
from .maml import Maml
from .meta_sgd import MetaSgd
from .per_fedavg import PerFedAvg
from .reptile import Reptile


def algorithm_of(plan: Plan, architecture: Architecture) -> Algorithm:
    """The algorithm with the plan's settings.

    Raises:
        AlgorithmRefused: settings that do not go together, or a head that the network does not have.

    Example:
        >>> import torch
        >>> from secure_fedmeta.parameters import bind
        >>> algorithm_of(Plan(algorithm="reptile", inner_lr=0.1, inner_steps=5), bind(torch.nn.Linear(2, 1)))
        Reptile(steps=GradientSteps(lr=0.1, count=5, max_norm=None, rule='gradient'))
    """
    _check(plan)
    lr, most = plan.inner_lr, plan.inner_max_norm
    steps = GradientSteps(lr, plan.inner_steps, max_norm=most, rule=plan.inner_rule)
    made: dict[str, Callable[[], Algorithm]] = {
        "maml": lambda: Maml(steps),
        "fomaml": lambda: Maml(steps, first_order=True),
        "anil": lambda: Anil(steps, head_of(architecture, plan.head), architecture.dimension),
        "meta-sgd": lambda: MetaSgd(
            lr, plan.inner_steps, architecture.lengths, per_tensor=plan.rates == "per-tensor", max_norm=most
        ),
        "reptile": lambda: Reptile(steps),
        "per-fedavg": lambda: PerFedAvg(lr, local_steps=plan.local_steps, local_lr=plan.local_lr, max_norm=most),
        "imaml": lambda: Imaml(steps, regularization=plan.regularization, cg_steps=plan.cg_steps),
        "fedavg": lambda: FedAvg(steps),
    }
    return made[plan.algorithm]()


def _check(plan: Plan) -> None:
    name = plan.algorithm
    if name in ("meta-sgd", "per-fedavg") and plan.inner_rule != "gradient":
        raise AlgorithmRefused(
            f"{name} steps by its own rule, not by {plan.inner_rule}", "inner_rule", "leave it at gradient"
        )
    if name == "per-fedavg" and plan.inner_steps != 1:
        raise AlgorithmRefused(
            f"per-fedavg adapts by one step, not {plan.inner_steps}", "inner_steps", "set it to 1; see local_steps"
        )


def theta_lengths(plan: Plan, architecture: Architecture) -> tuple[int, ...]:
    """Lengths of the named parts of what is learned, in the order of the flat vector; their sum is its dimension.

    The network's parameters, and with meta-sgd their rates: a part for each parameter, or one of a rate a tensor.

    Example:
        >>> import torch
        >>> from secure_fedmeta.parameters import bind
        >>> net, plan = bind(torch.nn.Linear(3, 2)), Plan(algorithm="meta-sgd")
        >>> theta_lengths(plan, net), theta_lengths(plan.changed(rates="per-tensor"), net)
        ((6, 2, 6, 2), (6, 2, 2))
    """
    own = architecture.lengths
    if plan.algorithm != "meta-sgd":
        return own
    return own + (own if plan.rates == "per-parameter" else (len(own),))
