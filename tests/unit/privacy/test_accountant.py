import json
import math
from pathlib import Path

import pytest

from fedmeta_privacy import accountant
from fedmeta_privacy.dp_sgd import prv_lower_bound
from fedmeta_privacy.errors import PlanError, UnsupportedEvent
from fedmeta_privacy.events import DiscreteGaussianSum, Gaussian, NonPrivate, PoissonGaussian, event_from_json

CASES = json.loads((Path(__file__).parents[2] / "vectors/privacy/reference_epsilons.json").read_text())["cases"]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["id"])
def test_reference_values(case):
    events = [event_from_json(entry, case["id"]) for entry in case["events"]]
    result = accountant.epsilon(events, case["delta"], second_opinion=prv_lower_bound)
    exact, reference = case.get("eps_exact"), case["eps"]
    never_below = exact if exact is not None else max(case["eps_prv_lower"], reference * (1 - 2e-4))
    assert never_below <= result.upper <= reference * 1.001 + 5e-4
    least = reference * (1 - 1e-9) - 1e-9 if exact is not None else reference - 4e-3
    assert least <= result.lower <= result.upper


def test_sampled_without_second_opinion_has_an_empty_lower_end():
    assert accountant.epsilon([PoissonGaussian(1.0, 0.1)], 1e-5).lower == 0


def test_equal_sampled_events_are_composed_together():
    split = accountant.epsilon([PoissonGaussian(1.0, 0.1, 5), PoissonGaussian(1.0, 0.1, 5)], 1e-5)
    assert split.upper == accountant.epsilon([PoissonGaussian(1.0, 0.1, 10)], 1e-5).upper


def test_non_private_release_leaves_nothing():
    result = accountant.epsilon([Gaussian(1.0), NonPrivate()], 1e-5)
    assert result.upper == math.inf and "not private" in result.accountant


def test_discrete_sums_use_the_corrected_variance():
    event = DiscreteGaussianSum(100.0, noise_variance=10 * 50.0**2, smallest_scale=50.0, parties=10, dimension=31,
                                sampler_variation=2.0**-105)  # fmt: skip
    plain = accountant.epsilon([Gaussian(math.sqrt(10) * 50 / 100)], 1e-5)
    assert accountant.epsilon([event], 1e-5).upper > plain.upper
    assert accountant.epsilon([event], 1e-5).lower == 0


def test_second_accountant_agrees_on_discrete_sums():
    event = DiscreteGaussianSum(100.0, noise_variance=1000 * 50.0**2, smallest_scale=50.0, parties=1000, dimension=31,
                                sampler_variation=2.0**-105)  # fmt: skip
    exact = accountant.epsilon([event] * 20, 1e-5).upper
    assert accountant.loss_distribution_epsilon([event] * 20, 1e-5) == pytest.approx(exact, rel=1e-4)


def test_refusals():
    with pytest.raises(PlanError):
        accountant.epsilon([], 1.0)
    event = DiscreteGaussianSum(1.0, 100.0, 10.0, 1, 1, 0.0)
    with pytest.raises(UnsupportedEvent):
        accountant.epsilon([event, PoissonGaussian(1.0, 0.5)], 1e-5)
    with pytest.raises(UnsupportedEvent):
        prv_lower_bound([event], 1e-5)


@pytest.mark.parametrize(
    "entry",
    [
        {"type": "laplace", "sigma": 1},
        {"sigma": 1},
        {"type": "gaussian"},
        {"type": "gaussian", "sigma": "1"},
        {"type": "gaussian", "sigma": True},
        {"type": "gaussian", "sigma": 1, "q": 0.1},
        {"type": "gaussian", "sigma": 0},
        {"type": "gaussian", "sigma": float("nan")},
        {"type": "gaussian", "sigma": 1, "count": 1.5},
        {"type": "gaussian", "sigma": 1, "count": 0},
        {"type": "poisson_gaussian", "sigma": 1, "q": 1.5},
        {"type": "poisson_gaussian", "sigma": 1},
        {"type": ["gaussian"], "sigma": 1},
    ],
)
def test_bad_events_are_refused_with_their_place(entry):
    with pytest.raises(UnsupportedEvent, match=r"SFM-303: case 7"):
        event_from_json(entry, "case 7")
