# SPDX-License-Identifier: Apache-2.0
"""How far one record can move a meta-gradient: mode `bounded-glm`.

Setting. Rows x with ||x|| <= R, a loss of `glm_losses` with constants G, beta, rho. A site adapts by K plain gradient
steps theta_{k+1} = theta_k - lr [(1/n_S) sum over its support rows of grad l(theta_k) + lambda theta_k], and
contributes, for every query row q, the gradient of l_q(theta_K) by theta_K (first order) or by theta_0 (second order:
A_0 ... A_{K-1} grad l_q(theta_K) with A_k = I - lr (H_S(theta_k) + lambda I)). n_S and m_Q are *slots*: public
numbers, registered once, never counts of the data. Neighbours differ in one slot: emptied (c = 1), or filled
otherwise (c = 2). lambda holds no data; it only enters the condition.

Conditions: lr (beta + lambda) <= 2, at most n_S support and m_Q query rows, role = a function of the record's own id,
plain steps of one constant rate (`check_adaptation`), a finite model with |theta_i| <= 2^20 (`check_model`), float64.

Query role. The slot's own terms are all that changes. ||A_k|| <= 1, so the change is at most c min(C, G) after clipping
each term to C.

Support role, first order. With lr (beta + lambda) <= 2 a full step is non-expansive, and the record adds at most
c lr G/n_S per step: theta_K moves by at most c K lr G/n_S, and each query gradient is beta-Lipschitz:
Delta_S = m_Q beta c K lr G/n_S. Logistic: a query gradient is R times a sigmoid of a number that moves by at most R
times
that, and |sigma(x) - sigma(y)| <= tanh(|x - y|/4): Delta_S = m_Q R tanh(c K a/4), where a = lr R^2/n_S.

Support role, second order. Telescoping over the K factors and the final gradient, with
||A'_k - A_k|| <= lr beta/n_S + lr rho d_k and d_k <= k c lr G/n_S (replacing: the difference of two positive
semi-definite Hessians is at most beta, hence 1 + c and not 2 c):
Delta_S = (m_Q lr G K/n_S) [(1 + c) beta + c lr rho G (K - 1)/2]. At K = 1 no rho is needed, so Huber passes there, if
the margins at theta_0 are computed row by row: how one row is summed must not depend on the rows beside it, since a
margin that crosses kappa by rounding would switch a whole Hessian term. Safe, and about four times what a search
attains.

Support role, second order, K = 1, logistic, c = 1: tighter. Give the record the weight s in [0, 1] and differentiate by
s. With e its residual at theta_0 (which does not depend on s) and p the query row's residual at theta_1(s), the Hessian
term moves the query's gradient by at most (lr/n_S) R^3 e(1-e) p and the adapted parameters move it by at most
(lr/n_S) R^3 p(1-p) e; p e (2 - p - e) <= 8/27 on the unit square. Integrated over s this gives m_Q R (8/27) a for hard
labels. A second derivation, over a path of length a on which e(1-e) is 1/(6 sqrt 3)-Lipschitz, adds a^2/(12 sqrt 3);
the
larger of the two is used: Delta_S = m_Q R [(8/27) a + a^2/(12 sqrt 3)].

Replace-one. In one role: the formulas with c = 2, or twice those with c = 1 (empty the slot, then fill it), whichever
is
smaller. A record that is replaced by one of the other role moves the sum by at most Delta_S + Delta_Q with c = 1. The
claim is the largest of the three.

Several rows of a person (at most g, all in one role): the rows go one by one, each through a valid data set: g times.

Reptile, FedAvg's local update, or a head alone on fixed features: the release is (theta_K - theta)/s with a public
number s (Reptile: lr K, a mean gradient; else 1), clipped to C; all records are in one role, and it moves by at most
min(c K lr G/(n_S s), 2 C). Attained in the limit: a lone record whose residual stays near its bound adds almost
lr G/n_S in one direction at every step.
ANIL on a linear model, whose head is all of it, is MAML, and its bound is MAML's.

Clipping is a projection (1-Lipschitz), so it leaves the support bounds as they are; a record is in one role, so the
claim
is the *larger* role. A clip below Delta_S therefore buys nothing: noise scaled by it alone would under-report.

Arithmetic. Two neighbours are two float64 computations, on models with |theta_i| <= 2^20 (checked before data are
touched); the K steps enlarge that by at most K lr G. With u = 2^-53, M that size and d parameters: the margins of a row
are off by at most d u R M sqrt(d) together (C margins of d/C parameters each: less); a step adds a rounding of theta
(u M a coordinate, three more with lambda), its margins' errors times lr R sup||r'|| <= 2/R, and the error of a sum of
n_S <= 2^17 terms; a residual itself is off by less than u 2^20. So a margin at theta_K is off by at most
eta = u M [R sqrt(d) (2d + 1)(K + 1) + 2K + 1], a query gradient by R sup||r'|| eta, and each of the K factors A_k by
lr R^2 sup||r''|| eta <= 2 eta. Both worlds together: m_Q R (4 K sup||r|| + max(1, 2 sup||r'||)) eta, an absolute term
on
*both* roles, since how a library sums one row may depend on the rows beside it. Summing m_Q clipped terms in any order
is
off by at most m_Q^2 u C in each world. The clip's own rounding is relative: 2^-20.

Sources: derivations in this module; constants of the logistic loss as in Bach 2010 (self-concordance); non-expansive
gradient steps as in Hardt, Recht and Singer 2016, Lemma 3.7 (arXiv 1509.01240v2).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from .claims import Adjacency
from .errors import PlanError, UnprovedAdaptation, UnsafeModel
from .glm_losses import LOGISTIC, Loss

ARITHMETIC_SLACK = 1 + 2.0**-20
LARGEST_PARAMETER = 2.0**20
LARGEST_COUNT = 2**17
SMALLEST_CLIP = 1e-5  # below this the clipping rule's own guard (1e-6) is no projection any more
_UNIT = 2.0**-53

_PROVED = frozenset({"maml", "fomaml", "reptile", "anil", "fedavg"})
_UNPROVED = {
    "clipped": "clipping inside the adaptation makes a step that is no gradient step, and the record's pull unbounded",
    "learned-rate": "a learned rate is data, and no constant bounds lr * beta",
    "momentum": "a step with momentum stretches differences between neighbours",
    "adam": "an adaptive step divides by what the records decide",
    "implicit": "an implicit gradient solves a system that the records make as ill-conditioned as they like",
    "finite-difference": "a difference quotient divides rounding by a small number",
    "personal": "a personal model that is kept between rounds carries a record's pull on from round to round",
    "alternating": "the body's gradient is taken at a head that the same records have fitted, however far that went",
    "trained-encoder": "through an encoder that is trained along, the loss is no loss of bounded rows any more",
}
# Algorithms that go by such a rule.
_RULE_OF = {
    "meta-sgd": "learned-rate",
    "imaml": "implicit",
    "per-fedavg": "finite-difference",
    "ditto": "personal",
    "fedrep": "alternating",
}
_TASK_OR_CLIENT = "use unit=task or unit=client, whose clip covers any adaptation"


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
        across: a record that is replaced by one of the other role; 0 where slots are only emptied.

    Example:
        >>> RoleSensitivity(support=0.3, query=0.25).worst > 0.3
        True
    """

    support: float
    query: float
    across: float = 0.0

    @property
    def worst(self) -> float:
        """The larger role, with the slack for float64 arithmetic: what noise is scaled by."""
        return max(self.support, self.query, self.across) * ARITHMETIC_SLACK


def check_adaptation(algorithm: str, rule: str = "gradient") -> None:
    """Refuse an adaptation that the bounds of this module do not cover.

    `rule` is "gradient" for plain steps of one constant rate, or what the steps are instead.

    Raises:
        UnprovedAdaptation: not MAML, FOMAML, Reptile, FedAvg or ANIL, or not plain gradient steps of one constant rate.

    Example:
        >>> check_adaptation("maml")
        >>> check_adaptation("maml", "momentum")
        Traceback (most recent call last):
        ...
        fedmeta_privacy.errors.UnprovedAdaptation: SFM-322: ...
    """
    if algorithm not in _PROVED:
        reason = _UNPROVED.get(_RULE_OF.get(algorithm, ""), "it is not known")
        raise UnprovedAdaptation(
            f"no record-level bound is proved for {algorithm!r}: {reason}",
            f"{_TASK_OR_CLIENT}, or one of {sorted(_PROVED)}",
        )
    if rule != "gradient":
        reason = _UNPROVED.get(rule, f"the rule {rule!r} is not known")
        raise UnprovedAdaptation(
            f"no record-level bound is proved for this adaptation: {reason}",
            f"{_TASK_OR_CLIENT}, or plain gradient steps",
        )


def glm_sensitivity(
    loss: Loss,
    *,
    order: Order,
    row_bound: float,
    inner_lr: float,
    inner_steps: int,
    support_slots: int,
    query_slots: int,
    clip_norm: float,
    dimension: int,
    adjacency: Adjacency = Adjacency.SLOT,
    rows_per_person: int = 1,
    l2: float = 0.0,
) -> RoleSensitivity:
    """Sensitivity of the sum of clipped query contributions (derivation above).

    Units: parameters' own; `clip_norm` and `row_bound` alike. `dimension` counts all parameters (C times the features'
        for softmax). `rows_per_person` is g. `l2` is lambda of the inner objective.
    Raises:
        PlanError: a setting outside the proof, above all inner_lr * (beta + l2) > 2.

    Example:
        >>> from fedmeta_privacy.glm_losses import SOFTMAX
        >>> bounds = glm_sensitivity(SOFTMAX, order=Order.FIRST, row_bound=1.0, inner_lr=1.0, inner_steps=1,
        ...                          support_slots=40, query_slots=40, clip_norm=2.0, dimension=93)
        >>> round(bounds.support, 4), round(bounds.query, 4)
        (0.7072, 1.4143)
    """
    _check(
        loss, row_bound, inner_lr, clip_norm, l2, (inner_steps, support_slots, query_slots, dimension, rows_per_person)
    )
    if loss.third is None and order is Order.SECOND and inner_steps > 1:
        raise PlanError(
            f"{loss.name} has no Hessian-Lipschitz constant: {inner_steps} steps in second order have no bound",
            "use one step, or first order",
        )
    query = min(clip_norm, row_bound * loss.residual)
    eta = _margin_error(loss, row_bound, inner_lr, inner_steps, dimension, l2)
    rounding = row_bound * (4 * inner_steps * loss.residual + max(1.0, 2 * loss.slope)) * eta
    summing = query_slots**2 * 2 * _UNIT * query

    def support(c: int) -> float:
        moved = _per_query(loss, order, row_bound, inner_lr, inner_steps, support_slots, c)
        # Two vectors in the ball of radius `query` are never further apart than its diameter.
        return query_slots * min(moved + rounding, 2 * query) + summing

    own = query + query_slots * min(rounding, 2 * query) + summing
    g = rows_per_person
    if adjacency is Adjacency.SLOT:
        return RoleSensitivity(support=g * support(1), query=g * own)
    if adjacency is Adjacency.REPLACE_ONE:
        both = min(support(2), 2 * support(1))
        return RoleSensitivity(support=g * both, query=2 * g * own, across=g * (support(1) + own))
    raise PlanError(f"adjacency {adjacency.value} has no bound for records", "use slot or replace-one")


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
    adjacency: Adjacency = Adjacency.SLOT,
) -> RoleSensitivity:
    """`glm_sensitivity` of the logistic loss.

    Example:
        >>> bounds = logistic_sensitivity(order=Order.SECOND, row_bound=1.0, inner_lr=1.0, inner_steps=1,
        ...                               support_slots=40, query_slots=40, clip_norm=1.0, dimension=31)
        >>> round(bounds.support, 4), round(bounds.query, 4)
        (0.2975, 1.0)
    """
    return glm_sensitivity(
        LOGISTIC,
        order=order,
        row_bound=row_bound,
        inner_lr=inner_lr,
        inner_steps=inner_steps,
        support_slots=support_slots,
        query_slots=query_slots,
        clip_norm=clip_norm,
        dimension=dimension,
        adjacency=adjacency,
    )


def displacement_sensitivity(
    loss: Loss,
    *,
    row_bound: float,
    inner_lr: float,
    inner_steps: int,
    slots: int,
    clip_norm: float,
    dimension: int,
    adjacency: Adjacency = Adjacency.SLOT,
    rows_per_person: int = 1,
    l2: float = 0.0,
    divisor: float = 1.0,
) -> RoleSensitivity:
    """Sensitivity of (theta_K - theta)/divisor, clipped as a whole: Reptile, FedAvg's local update. One role only.

    `divisor` is a public number: inner_lr * inner_steps for Reptile as this project defines it.

    Raises:
        PlanError: a setting outside the proof.

    Example:
        >>> from fedmeta_privacy.glm_losses import LOGISTIC
        >>> bounds = displacement_sensitivity(LOGISTIC, row_bound=1.0, inner_lr=1.0, inner_steps=5, slots=40,
        ...                                   clip_norm=1.0, dimension=31)
        >>> round(bounds.support, 4)
        0.125
    """
    _check(loss, row_bound, inner_lr, clip_norm, l2, (inner_steps, slots, 1, dimension, rows_per_person))
    if not (math.isfinite(divisor) and divisor > 0):
        raise PlanError(f"divisor must be a positive number, not {divisor!r}", "correct divisor")
    if adjacency is Adjacency.ZERO_OUT:
        raise PlanError("adjacency zero-out has no bound for records", "use slot or replace-one")
    c = 1 if adjacency is Adjacency.SLOT else 2
    moved = c * inner_steps * inner_lr * row_bound * loss.residual / slots
    rounding = 2 * _margin_error(loss, row_bound, inner_lr, inner_steps, dimension, l2) / row_bound
    apart = min((moved + rounding) / divisor, 2 * clip_norm)  # never further than the diameter of the clip's ball
    return RoleSensitivity(support=rows_per_person * apart, query=0.0)


def _per_query(loss: Loss, order: Order, R: float, lr: float, K: int, slots: int, c: int) -> float:
    """How far one query row's gradient moves when one support slot changes."""
    G, beta = R * loss.residual, R**2 * loss.slope
    a = lr * R**2 / slots
    if order is Order.FIRST:
        return R * math.tanh(c * K * a / 4) if loss is LOGISTIC else beta * c * K * lr * G / slots
    if K == 1 and c == 1 and loss is LOGISTIC:
        return R * (8 / 27 * a + a**2 / (12 * math.sqrt(3)))
    rho = R**3 * (loss.third or 0.0)  # at K = 1 its factor is zero
    return lr * G * K / slots * ((1 + c) * beta + c * lr * rho * G * (K - 1) / 2)


def _margin_error(loss: Loss, R: float, lr: float, K: int, d: int, l2: float) -> float:
    """Return eta of the section on arithmetic."""
    size = LARGEST_PARAMETER + K * lr * R * loss.residual
    rest = 5 if l2 else 1
    return _UNIT * size * (R * math.sqrt(d) * (2 * d + rest) * (K + 1) + 2 * K + 1)


def _check(loss: Loss, row_bound: float, inner_lr: float, clip_norm: float, l2: float, counts: tuple[int, ...]) -> None:
    for name, value in (("row_bound", row_bound), ("inner_lr", inner_lr), ("clip_norm", clip_norm)):
        if not (math.isfinite(value) and value > 0):
            raise PlanError(f"{name} must be a positive number, not {value!r}", f"correct {name}")
    if not (math.isfinite(l2) and l2 >= 0):
        raise PlanError(f"l2 must be zero or a positive number, not {l2!r}", "correct l2")
    names = ("inner_steps", "support_slots", "query_slots", "dimension", "rows_per_person")
    for name, count in zip(names, counts, strict=True):
        if not 1 <= count <= LARGEST_COUNT:
            raise PlanError(f"{name} must be from 1 to {LARGEST_COUNT}, not {count!r}", f"correct {name}")
    if clip_norm < SMALLEST_CLIP:
        raise PlanError(f"clip_norm={clip_norm} is too small", f"choose clip_norm >= {SMALLEST_CLIP:g}")
    curvature = row_bound**2 * loss.slope
    if inner_lr * (curvature + l2) > 2:
        part = {0.25: "R^2/4", 0.5: "R^2/2"}.get(loss.slope, "R^2") + (" + l2" if l2 else "")
        stretch = f"inner_lr * ({part})" if l2 else f"inner_lr * {part}"
        raise PlanError(
            f"inner_lr={inner_lr} is too large: {stretch} = {inner_lr * (curvature + l2):.3g} exceeds 2, "
            "and an inner step would stretch differences between neighbours",
            f"choose inner_lr <= {2 / (curvature + l2):g}",
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
