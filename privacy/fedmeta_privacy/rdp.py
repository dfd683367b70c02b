# SPDX-License-Identifier: Apache-2.0
"""Renyi accounting, for events that have nothing tighter: Skellam sums and samples of fixed size.

A run's Renyi divergence of order a is the sum of its events' (Mironov 2017, Proposition 1, arXiv 1702.07476v3). From
it, for every order, (eps, delta) holds with

    eps = rho_a + log(1 - 1/a) - (log delta + log a) / (a - 1)

(Canonne, Kamath and Steinke 2020, Proposition 12, arXiv 2004.00010v5). Whole orders only: the Skellam bound is proved
for these. For samples of fixed size the bound is Theorem 27 of Wang, Balle and Kasiviswanathan 2019 (arXiv
1808.00087v2), taken from dp-accounting, which wants noise over *replace-one sensitivity*, twice the clip norm.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from . import gdp
from .errors import UnsupportedEvent
from .events import (
    Basic,
    ClientThenRecord,
    DiscreteGaussianSum,
    Event,
    FixedSizeGaussian,
    Gaussian,
    NonPrivate,
    PoissonDiscreteGaussianSum,
    PoissonGaussian,
    SkellamSum,
    common_adjacency,
    flatten,
    total_variation,
)

Curve = NDArray[np.float64]
ORDERS: tuple[int, ...] = (*range(2, 65), *(int(order) for order in np.unique(np.geomspace(65, 1024, 24).round())))
_OUTWARD = 1 + 2.0**-40


def renyi_curve(event: Basic, orders: Sequence[int] = ORDERS) -> Curve:
    """Renyi divergence of one event at each order, rounded up.

    Raises:
        UnsupportedEvent: no Renyi bound is proved for it.

    Example:
        >>> float(renyi_curve(Gaussian(2.0), [8])[0])
        1.00...
    """
    a = np.array(orders, np.float64)
    match event:
        case Gaussian() | DiscreteGaussianSum():
            return a * (event.mu_squared / 2) * _OUTWARD
        case SkellamSum():
            return np.array([event.renyi(order) for order in orders]) * _OUTWARD
        case PoissonGaussian() | PoissonDiscreteGaussianSum():
            return event.count * _poisson(event.noise_multiplier, event.sampling_probability, orders) * _OUTWARD
        case ClientThenRecord():
            # The mixture with "nothing": E of the likelihood ratio's power is (1 - q_c) + q_c * that of Poisson(q_r).
            inner = (a - 1) * _poisson(event.noise_multiplier, event.record_probability, orders)
            q = event.client_probability
            rest = math.log1p(-q) if q < 1 else -math.inf
            return event.count * np.logaddexp(rest, math.log(q) + inner) / (a - 1) * _OUTWARD
        case FixedSizeGaussian():
            return event.count * _without_replacement(event, orders) * _OUTWARD
        case NonPrivate():
            return np.full(len(orders), math.inf)
    raise UnsupportedEvent(f"{type(event).__name__} has no proved Renyi bound", "account for it separately")


def _poisson(multiplier: float, probability: float, orders: Sequence[int]) -> Curve:
    """Both directions: for whole orders the Poisson bound holds for adding and removing (Mironov et al. 2019)."""
    from dp_accounting import dp_event
    from dp_accounting.rdp import RdpAccountant

    accountant = RdpAccountant(list(orders))
    accountant.compose(dp_event.PoissonSampledDpEvent(probability, dp_event.GaussianDpEvent(multiplier)))
    return np.asarray(accountant.rdp, np.float64)


def _without_replacement(event: FixedSizeGaussian, orders: Sequence[int]) -> Curve:
    from dp_accounting import dp_event
    from dp_accounting.privacy_accountant import NeighboringRelation
    from dp_accounting.rdp import RdpAccountant

    if event.sample == event.population:
        return np.array(orders, np.float64) / (2 * event.noise_multiplier**2)
    accountant = RdpAccountant(list(orders), NeighboringRelation.REPLACE_ONE)
    release = dp_event.GaussianDpEvent(event.noise_multiplier)  # over 2 C, not over C
    accountant.compose(dp_event.SampledWithoutReplacementDpEvent(event.population, event.sample, release))
    return np.asarray(accountant.rdp, np.float64)


def converted(curve: Curve, delta: float, orders: Sequence[int] = ORDERS) -> float:
    """Epsilon at `delta` from Renyi divergences, rounded up.

    Example:
        >>> 4.3 < converted(renyi_curve(Gaussian(1.0)), 1e-5) < 4.8
        True
    """
    a = np.array(orders, np.float64)
    with np.errstate(invalid="ignore"):
        values = curve + np.log1p(-1 / a) - (math.log(delta) + np.log(a)) / (a - 1)
    least = float(np.min(values, initial=math.inf))
    return max(0.0, least * _OUTWARD if least > 0 else 0.0)


def rdp_epsilon(events: Iterable[Event], delta: float, orders: Sequence[int] = ORDERS) -> float:
    """Epsilon of all events together, with the noise's total variation charged to delta.

    Example:
        >>> 1.0 < rdp_epsilon([SkellamSum(1e3, 100.0, 1e5)], 1e-5) < 1.6
        True
    """
    events = list(events)
    common_adjacency(event for event, _ in flatten(events))
    curve = np.zeros(len(orders))
    for event, times in flatten(events):
        curve = (curve + times * renyi_curve(event, orders)) * (1 + 2.0**-50)
    return gdp.spend_variation(lambda left: converted(curve, left, orders), delta, total_variation(events))
