# SPDX-License-Identifier: Apache-2.0
"""A tighter one-run audit, against the hypothesis that the mechanism is mu-GDP.

Source: Mahloujifar, Melis and Chaudhuri 2024, "Auditing f-Differential Privacy in One Run" (arXiv 2410.22235), its
numerical recursion for two classes; the reference values came from an implementation of that recursion.

Derivation. m canaries with fair coins, c guesses, W of them right. Let J be a canary chosen at random and

    r_i = P[guess of J right, W >= i] = sum_{j >= i} (j / m) P[W = j],
    h_i = P[guess of J wrong, W >= i] = sum_{j >= i} ((c - j) / m) P[W = j].

Fix the event "J is guessed to be s and at least i - 1 of the other guesses are right". Under coin s it is counted in
r_i, under coin 1 - s in h_{i-1}. The two coins are neighbours, so by f-DP its probabilities satisfy a <= 1 - f(b), and
as 1 - f is concave this survives averaging over s and J: r_i <= fbar(h_{i-1}), fbar = 1 - f. Hence

    h_{i-1} >= fbar^{-1}(r_i),    r_{i-1} = r_i + (i - 1) / (c - i + 1) * (h_{i-1} - h_i).

Suppose that P[W >= v] = p. The recursion starts from all of p at W = v and adds the least mass that the inequality
asks for; if it ends with r_0 + h_0 > c / m, which is its true value, then P[W >= v] < p: mu is rejected at error p.
The test suite compares it with the linear program of these constraints, solved by another library.

For mu-GDP, fbar(x) = Phi(Phi^{-1}(x) + mu), so fbar^{-1}(x) = Phi(Phi^{-1}(x) - mu).

Rejecting the claimed mu is valid for any mechanism that claims mu-GDP. The *epsilon* printed is that of the largest
rejected mu, and reading it as a lower bound on epsilon at delta assumes the family.
"""

from __future__ import annotations

import math
from statistics import NormalDist

from ..gdp import epsilon_bounds
from .errors import ErrorRateRefused
from .one_run import check_guesses, largest_rejected
from .result import AuditBound, AuditContext, Kind, check_rates

_QUANTILE = NormalDist().inv_cdf
_LARGEST_MU = 64.0


def gaussian_is_rejected(mu: float, *, canaries: int, guesses: int, correct: int, p: float) -> bool:
    """Whether `correct` right guesses refute mu-GDP at error p.

    Example:
        >>> counts = {"canaries": 1000, "guesses": 1000, "p": 0.05}
        >>> gaussian_is_rejected(0.4, correct=750, **counts), gaussian_is_rejected(0.4, correct=500, **counts)
        (True, False)
    """
    right, wrong = p * correct / canaries, p * (guesses - correct) / canaries
    whole = guesses / canaries
    for i in range(correct - 1, -1, -1):
        least = max(wrong, _fewest_wrong(right, mu))
        right = min(right + i / (guesses - i) * (least - wrong), 1.0)
        wrong = least
        if right + wrong > whole * (1 + 1e-12):  # both only grow
            return True
    return False


def _fewest_wrong(right: float, mu: float) -> float:
    """fbar^{-1}: the least mass of wrong guesses beside this mass of right ones."""
    if right <= 0.0:
        return 0.0
    if right >= 1.0:
        return 1.0
    return 0.5 * math.erfc((mu - _QUANTILE(right)) / math.sqrt(2))


def one_run_gaussian_bound(
    *, canaries: int, guesses: int, correct: int, delta: float, p: float, context: AuditContext
) -> AuditBound:
    """Epsilon at `delta` of the largest mu that the guesses refute.

    Guarantee: a mu-GDP mechanism is given a larger epsilon than its own with probability at most p, provided that
        `guesses` was fixed before the output was seen.
    Raises:
        CountsRefused: as `one_run_bound`.
        ErrorRateRefused: as `one_run_bound`, and delta = 0, at which a Gaussian mechanism has no epsilon.

    Example:
        >>> from fedmeta_privacy.claims import Unit, View
        >>> where = AuditContext(Unit.TASK, View.SERVER, colluders=0, survivors=7)
        >>> bound = one_run_gaussian_bound(canaries=1000, guesses=100, correct=98, delta=1e-5, p=0.05, context=where)
        >>> round(bound.epsilon, 4), bound.gaussian_family_assumed
        (4.2279, True)
    """
    check_guesses(canaries, guesses, correct)
    check_rates(delta, p)
    epsilon_at(0.0, delta)

    def rejected(mu: float) -> bool:
        return gaussian_is_rejected(mu, canaries=canaries, guesses=guesses, correct=correct, p=p)

    mu = largest_rejected(rejected, _LARGEST_MU)
    method = "f-DP in one run, Mahloujifar et al. 2024"
    return AuditBound(epsilon_at(mu, delta), mu, delta, p, canaries, method, Kind.ONE_RUN, context)


def epsilon_at(mu: float, delta: float) -> float:
    """Epsilon of a mu-GDP mechanism, rounded down."""
    if delta <= 0:
        raise ErrorRateRefused(f"delta is {delta}: a Gaussian mechanism has no epsilon there", "choose 0 < delta < 1")
    return epsilon_bounds(mu, delta)[0]
