# SPDX-License-Identifier: Apache-2.0
"""How far one record can move a meta-gradient: mode `bounded-glm`, logistic loss.

Setting. Rows x with ||x|| <= R (a constant feature counts), labels in {0, 1}, loss
l(theta; x, y) = log(1 + e^(x.theta)) - y x.theta. A site adapts by K plain gradient steps
theta_{k+1} = theta_k - (lr / n_S) * sum over its support rows of grad l(theta_k), and contributes, for
every query row q, the gradient of l_q(theta_K) by theta_K (first order) or by theta_0 (second order:
A_0 ... A_{K-1} grad l_q(theta_K) with A_k = I - lr H_S(theta_k)). n_S and m_Q are *slots*: public numbers,
registered once, never counts of the data. Neighbours differ in the emptying of one slot.

Constants of the loss: gradient at most R, Hessian at most beta = R^2/4, Hessian Lipschitz with
rho = R^3/(6 sqrt 3): the third derivative is the third central moment of a variable on an interval of
width R, times its direction, and w^3/(6 sqrt 3) is the largest such moment.

Query role. The slot's own term is all that changes. ||A_k|| <= 1 when lr * beta <= 2 and at most n_S
support rows are present, so the change is at most R, and at most min(C, R) after clipping to C.

Support role, first order. With lr * beta <= 2 a full step is non-expansive, and the record adds at most
lr R/n_S per step: theta_K moves by at most K lr R/n_S. Each query gradient is R times a sigmoid of a
number that moves by at most R times that, and |sigma(x) - sigma(y)| <= tanh(|x - y|/4):
Delta_S = m_Q R tanh(K a/4), where a = lr R^2/n_S.

Support role, second order, K = 1. Give the record the weight s in [0, 1] and differentiate by s. With e
its residual at theta_0 (which does not depend on s) and p the query row's residual at theta_1(s), the
Hessian term moves the query's gradient by at most (lr/n_S) R^3 e(1-e) p and the adapted parameters move
it by at most (lr/n_S) R^3 p(1-p) e; p e (2 - p - e) <= 8/27 on the unit square. Integrated over s this gives
m_Q R (8/27) a for hard labels. A second derivation, over a path of length a on which e(1-e) is
1/(6 sqrt 3)-Lipschitz, adds a^2/(12 sqrt 3); the larger of the two is used:
Delta_S = m_Q R [(8/27) a + a^2/(12 sqrt 3)].

Support role, second order, K > 1. Telescoping over the K factors and the final gradient:
Delta_S = m_Q R a [K/2 + lr R^2 K(K-1)/(12 sqrt 3)]. Safe, and about four times what a search attains.

Clipping is a projection (1-Lipschitz), so it leaves the support bounds as they are; a record is in one
role, so the claim is the *larger* role. A clip below Delta_S therefore buys nothing, and scaling noise by
the clip alone would under-report.

Arithmetic. Two neighbours are two float64 computations, on models with |theta_i| <= 2^20 (checked before data are
touched). With u = 2^-53: a margin x.theta is off by at most d u R 2^20 sqrt(d); a step adds a rounding of theta
(2^-33 a coordinate), its margins' errors times lr R <= 8/R, and the error of a sum of n_S <= 2^17 terms. So a margin at
theta_K is off by at most eta = 2^-33 [R sqrt(d) (2d + 1)(K + 1) + K], a query gradient by R eta/4, and each of the K
factors A_k by lr R^2 eta/4 <= 2 eta. Both worlds together: m_Q R (4K + 1) eta, an absolute term on *both* roles,
since how a library sums one row may depend on the rows beside it. Sums over records and the clip's own rounding are
relative: 2^-20.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from .errors import PlanError, UnsafeModel

ARITHMETIC_SLACK = 1 + 2.0**-20
LARGEST_PARAMETER = 2.0**20
LARGEST_COUNT = 2**17
_RHO = 1 / (6 * math.sqrt(3))


class Order(Enum):
    """Whether the meta-gradient differentiates through the adaptation."""

    FIRST = "first"
    SECOND = "second"


@dataclass(frozen=True, slots=True)
class RoleSensitivity:
    """L2 sensitivity of one site's clipped sum, per role of the record.

    Attributes:
        support: a record that the site adapts on.
        query: a record that the site is judged on.

    Example:
        >>> RoleSensitivity(support=0.3, query=0.25).worst > 0.3
        True
    """

    support: float
    query: float

    @property
    def worst(self) -> float:
        """The larger role, with the slack for float64 arithmetic: what noise is scaled by."""
        return max(self.support, self.query) * ARITHMETIC_SLACK


def logistic_sensitivity(
    *,
    order: Order,
    row_bound: float,
    inner_lr: float,
    inner_steps: int,
    support_slots: int,
    query_slots: int,
    clip_norm: float,
    dimension: int,
) -> RoleSensitivity:
    """Sensitivity of the sum of clipped query contributions, one slot emptied (derivation above).

    Units: parameters' own; `clip_norm` and `row_bound` alike.
    Raises:
        PlanError: a setting outside the proof, above all inner_lr * R^2/4 > 2.
    Source: derivation in this module; constants of the logistic loss as in Bach 2010 (self-concordance).

    Example:
        >>> bounds = logistic_sensitivity(order=Order.SECOND, row_bound=1.0, inner_lr=1.0, inner_steps=1,
        ...                               support_slots=40, query_slots=40, clip_norm=1.0, dimension=31)
        >>> round(bounds.support, 4), round(bounds.query, 4)
        (0.2975, 1.0)
    """
    for name, value in (("row_bound", row_bound), ("inner_lr", inner_lr), ("clip_norm", clip_norm)):
        if not (math.isfinite(value) and value > 0):
            raise PlanError(f"{name} must be a positive number, not {value!r}", f"correct {name}")
    counts = (
        ("inner_steps", inner_steps),
        ("support_slots", support_slots),
        ("query_slots", query_slots),
        ("dimension", dimension),
    )
    for name, count in counts:
        if not 1 <= count <= LARGEST_COUNT:
            raise PlanError(f"{name} must be from 1 to {LARGEST_COUNT}, not {count!r}", f"correct {name}")
    if clip_norm < 1e-5:  # below this the clipping rule's own guard (1e-6) is no projection any more
        raise PlanError(f"clip_norm={clip_norm} is too small", "choose clip_norm >= 1e-5")
    curvature = row_bound**2 / 4
    if inner_lr * curvature > 2:
        raise PlanError(
            f"inner_lr={inner_lr} is too large: inner_lr * R^2/4 = {inner_lr * curvature:.3g} exceeds 2, "
            "and an inner step would stretch differences between neighbours",
            f"choose inner_lr <= {8 / row_bound**2:g}",
        )
    query = min(clip_norm, row_bound)
    a = inner_lr * row_bound**2 / support_slots
    steps = inner_steps
    if order is Order.FIRST:
        per_query = row_bound * math.tanh(steps * a / 4)
    elif steps == 1:
        per_query = row_bound * (8 / 27 * a + a**2 * _RHO / 2)
    else:
        per_query = row_bound * a * (steps / 2 + inner_lr * row_bound**2 * _RHO * steps * (steps - 1) / 2)
    margin = 2.0**-33 * (row_bound * math.sqrt(dimension) * (2 * dimension + 1) * (steps + 1) + steps)
    rounding = row_bound * (4 * steps + 1) * margin
    # Two vectors in the ball of radius `query` are never further apart than its diameter.
    return RoleSensitivity(
        support=query_slots * min(per_query + rounding, 2 * query),
        query=query + query_slots * min(rounding, 2 * query),
    )


def check_model(theta: NDArray[np.float64]) -> None:
    """Refuse a model that the float64 bounds do not cover. Called before any record is touched.

    Raises:
        UnsafeModel: wrong type, a non-finite entry, or |theta_i| > 2^20. Without this check an overflow
            to NaN would make all query terms vanish together, a sensitivity of m_Q * R.

    Example:
        >>> check_model(np.array([0.0, np.inf]))
        Traceback (most recent call last):
        ...
        fedmeta_privacy.errors.UnsafeModel: SFM-306: the model has an entry that is not finite. Remedy: ...
    """
    if theta.dtype != np.float64 or theta.ndim != 1:
        raise UnsafeModel("the model is not a flat float64 vector", "send the parameters as float64")
    if not np.isfinite(theta).all():
        raise UnsafeModel("the model has an entry that is not finite", "restart from the last good model")
    if theta.size and float(np.abs(theta).max()) > LARGEST_PARAMETER:
        raise UnsafeModel("the model has an entry beyond 2^20 in size", "lower the outer learning rate")
