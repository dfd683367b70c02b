# SPDX-License-Identifier: Apache-2.0
"""A lower bound on epsilon from independent trials of a mechanism taken to be Gaussian.

Source: Nasr et al. 2023, "Tight Auditing of Differentially Private Machine Learning" (arXiv 2302.07956), section 4.

Derivation. Of a mu-GDP mechanism the errors of every test satisfy FNR >= Phi(Phi^{-1}(1 - FPR) - mu), that is
mu >= -Phi^{-1}(FPR) - Phi^{-1}(FNR). The right side falls in both rates, so with upper limits a and b of both (error
p/2 each) mu >= -Phi^{-1}(a) - Phi^{-1}(b) holds with probability 1 - p. Epsilon is that of the Gaussian curve at mu:
tight where `multi_run_bound` needs events rarer than the trials can show, and only as good as the family.
"""

from __future__ import annotations

from scipy.special import ndtri

from .multi_run import Decisions, check_kind
from .one_run_fdp import epsilon_at
from .result import AuditBound, AuditContext, Kind, check_rates


def gaussian_bound(
    decisions: Decisions, *, delta: float, p: float, context: AuditContext, kind: Kind = Kind.MECHANISM_TEST
) -> AuditBound:
    """Epsilon at `delta` of the least mu that the decisions allow at error p.

    Guarantee: a mu-GDP mechanism with independent trials is given a larger epsilon than its own with probability at
        most p; for a threshold in the middle far less, since both limits must fail.
    Raises:
        ErrorRateRefused: delta outside (0, 1) or p outside (0, 1).
        ContextRefused: a one-run audit does not have independent trials.

    Example:
        >>> from fedmeta_privacy.claims import Unit, View
        >>> where = AuditContext(Unit.TASK, View.SERVER, colluders=0, survivors=7)
        >>> bound = gaussian_bound(Decisions(5, 1000, 700, 1000), delta=1e-5, p=0.05, context=where)
        >>> round(bound.epsilon, 4), bound.kind.value
        (7.9739, 'mechanism test')
    """
    check_rates(delta, p)
    check_kind(kind)
    a, b = decisions.error_limits(p)
    mu = 0.0 if max(a, b) >= 1.0 else max(0.0, -float(ndtri(a)) - float(ndtri(b)))
    method = "Gaussian Clopper-Pearson"
    return AuditBound(epsilon_at(mu, delta), mu, delta, p, decisions.trials, method, kind, context)
