"""Deciding by what realised rounds cost together: the two-step toy that breaks its promise by more than a third.

The first output is a randomised response; the server then chooses the second mechanism from it. Along each of the two
paths the composition of the two pairs, as if chosen in advance, promises delta at eps. Together they keep 1.37 delta.
"""

import math

import numpy as np
import pytest

from fedmeta_privacy.budget import GdpFilter, PrivacyFilter, require_filter
from fedmeta_privacy.errors import NotAFilter
from fedmeta_privacy.events import Gaussian, PoissonGaussian
from fedmeta_privacy.filters import DominatingEventFilter, RdpFilter
from fedmeta_privacy.odometer import RunningEpsilon


def response(epsilon, leak):
    """Randomised response that reveals its input with probability `leak`: the laws in both worlds."""
    truth = math.exp(epsilon) / (1 + math.exp(epsilon))
    here = np.array([leak, (1 - leak) * truth, (1 - leak) * (1 - truth), 0.0])
    return here, here[::-1]


def divergence(p, q, epsilon):
    """The larger hockey-stick divergence of the two directions, exactly."""
    return max(np.maximum(a - math.exp(epsilon) * b, 0).sum() for a, b in ((p, q), (q, p)))


def composed(first, second, epsilon):
    return divergence(*(np.outer(a, b).ravel() for a, b in zip(first, second, strict=True)), epsilon)


def worst_break(tries=4000):
    """Largest ratio of what both paths together leak to what each was promised."""
    rng, worst = np.random.default_rng(0), 0.0
    for _ in range(tries):
        first = tuple(law[1:3] for law in response(rng.uniform(0.05, 1.5), 0.0))
        second = [response(rng.uniform(0, 1.5), rng.uniform(0, 0.15)) for _ in range(2)]
        epsilon = rng.uniform(0, 2)
        promised = max(composed(first, pair, epsilon) for pair in second)
        together = [np.concatenate([first[w][0] * second[0][w], first[w][1] * second[1][w]]) for w in (0, 1)]
        if promised > 1e-3:
            worst = max(worst, divergence(*together, epsilon) / promised)
    return worst


def test_stopping_by_realised_cost_breaks_its_promise():
    assert worst_break() > 1.3


def test_without_adaptivity_nothing_breaks():
    """The same search with one second mechanism for both outcomes: the toy's arithmetic is right."""
    rng = np.random.default_rng(1)
    for _ in range(500):
        first = tuple(law[1:3] for law in response(rng.uniform(0.05, 1.5), 0.0))
        second = response(rng.uniform(0, 1.5), rng.uniform(0, 0.15))
        epsilon = rng.uniform(0, 2)
        together = [np.concatenate([first[w][0] * second[w], first[w][1] * second[w]]) for w in (0, 1)]
        assert divergence(*together, epsilon) == pytest.approx(composed(first, second, epsilon), abs=1e-12)


def test_an_odometer_cannot_be_asked():
    spent = RunningEpsilon(delta=1e-5)
    spent.record(PoissonGaussian(1.0, 0.1))
    for ask in (spent.affords, spent.charge, spent.settle):
        with pytest.raises(NotAFilter, match=r"SFM-311: RunningEpsilon .*GdpFilter"):
            ask(round=1, event=PoissonGaussian(1.0, 0.1))


def test_an_odometer_cannot_be_passed_off_as_a_filter():
    for candidate in (RunningEpsilon(1e-5), object(), None, GdpFilter):
        with pytest.raises(NotAFilter):
            require_filter(candidate)
    for honest in (GdpFilter(1.0), RdpFilter({2: 1.0}), DominatingEventFilter(Gaussian(1.0), 1)):
        assert require_filter(honest) is honest


def test_an_odometer_cannot_inherit_from_a_filter():
    for base in (PrivacyFilter, GdpFilter, RdpFilter):
        with pytest.raises(NotAFilter, match="PlantedOdometer"):
            type("PlantedOdometer", (base,), {"affords": lambda *_: True, "__module__": __name__})
