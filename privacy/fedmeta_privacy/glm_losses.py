# SPDX-License-Identifier: Apache-2.0
"""Losses of generalised linear models, by the constants that the sensitivity proofs use.

Rows x have ||x|| <= R (a constant feature counts). A loss is a function of the margins z = W x, of one output or of C.
Write r(z) for its gradient by z (the residual): then the gradient by W is r(z) x^T, the Hessian is the outer product
of r'(z) and x x^T, and

    G = R sup||r||,   beta = R^2 sup||r'||,   rho = R^3 sup||r''||.

    logistic  r = sigma(z) - y, y in [0, 1]:     1        1/4    1/(6 sqrt 3)
    softmax   r = softmax(z) - e_y, any C:       sqrt 2   1/2    sqrt 2/(3 sqrt 3)
    Huber     r = z - y, cut off at kappa:       kappa    1      none: r' jumps

Proof of rho: r'' is the third central moment of a variable under the predicted law, the variable being a unit
direction's
coordinates. It lies on an interval of width w = 1 (logistic) or w = sqrt 2 (softmax: the largest spread of a unit
vector), and the largest third central moment there is w^3/(6 sqrt 3), at a two-point law. beta is the largest variance,
w^2/4. The largest ||softmax(z) - e_y|| is the diameter sqrt 2 of the simplex.

Left out on purpose: squared loss (no bounded gradient), hinge (no Hessian), and every loss behind a *trained* encoder.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from .errors import PlanError


@dataclass(frozen=True, slots=True)
class Loss:
    """sup||r||, sup||r'|| and sup||r''|| of a loss as a function of its margins; `third` is None where r' jumps.

    Example:
        >>> LOGISTIC.slope, round(SOFTMAX.third, 4), huber(0.5).residual
        (0.25, 0.2722, 0.5)
    """

    name: str
    residual: float
    slope: float
    third: float | None


LOGISTIC = Loss("logistic", 1.0, 0.25, 1 / (6 * math.sqrt(3)))
SOFTMAX = Loss("softmax", math.sqrt(2), 0.5, math.sqrt(2) / (3 * math.sqrt(3)))


def huber(kappa: float) -> Loss:
    """The Huber loss that turns linear at |z - y| = kappa; targets must satisfy |y| <= 2^20.

    Raises:
        PlanError: kappa is not a positive number.
    """
    if not (math.isfinite(kappa) and kappa > 0):
        raise PlanError(f"kappa must be a positive number, not {kappa!r}", "correct kappa")
    return Loss("huber", kappa, 1.0, None)
