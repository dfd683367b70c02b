import json
import math
from pathlib import Path

import pytest

from fedmeta_privacy import accountant
from fedmeta_privacy.dp_sgd import prv_lower_bound
from fedmeta_privacy.errors import MixedAdjacency, PlanError, UnsupportedEvent
from fedmeta_privacy.events import (
    CappedPoisson,
    ClientThenRecord,
    Composed,
    DiscreteGaussianSum,
    FixedSizeGaussian,
    Gaussian,
    NonPrivate,
    PoissonDiscreteGaussianSum,
    PoissonGaussian,
    Repeated,
    SkellamSum,
    as_replace_one,
    event_from_json,
)
from fedmeta_privacy.rdp import rdp_epsilon

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


SUM = DiscreteGaussianSum(100.0, noise_variance=10 * 50.0**2, smallest_scale=50.0, parties=10, dimension=31,
                          sampler_variation=2.0**-105)  # fmt: skip


def test_repeated_and_composed_are_what_they_stand_for():
    nested = [Repeated(Composed((Gaussian(2.0), Repeated(PoissonGaussian(1.0, 0.1, 5), 2))), 3)]
    flat = [Gaussian(2.0, 3), PoissonGaussian(1.0, 0.1, 30)]
    assert accountant.epsilon(nested, 1e-5) == accountant.epsilon(flat, 1e-5)
    assert accountant.epsilon([Repeated(SUM, 20)], 1e-5).upper == pytest.approx(
        accountant.epsilon([SUM] * 20, 1e-5).upper, rel=1e-9
    )


def test_sampled_discrete_sums_use_the_corrected_deviation_and_pay_for_their_variation():
    sampled = accountant.epsilon([PoissonDiscreteGaussianSum(SUM, 0.1, 200)], 1e-5).upper
    plain = accountant.epsilon([PoissonGaussian(SUM.noise_variance**0.5 / 100, 0.1, 200)], 1e-5).upper
    corrected = accountant.epsilon([PoissonGaussian(SUM.mu_squared**-0.5, 0.1, 200)], 1e-5).upper
    assert plain < corrected <= sampled <= corrected * 1.0001
    rough = DiscreteGaussianSum(100.0, 10 * 50.0**2, 50.0, 10, 31, sampler_variation=1e-12)
    assert accountant.epsilon([PoissonDiscreteGaussianSum(rough, 0.1, 200)], 1e-5).upper > sampled * 1.001
    hopeless = DiscreteGaussianSum(100.0, 10 * 50.0**2, 50.0, 10, 31, sampler_variation=1e-8)
    assert accountant.epsilon([PoissonDiscreteGaussianSum(hopeless, 0.1, 200)], 1e-5).upper == math.inf


def test_discrete_sums_beside_sampled_rounds():
    both = accountant.epsilon([SUM, PoissonGaussian(1.0, 0.1, 20)], 1e-5)
    assert both.lower == 0 and both.upper > accountant.epsilon([PoissonGaussian(1.0, 0.1, 20)], 1e-5).upper


def test_two_adjacencies_have_no_common_epsilon_until_converted():
    fixed = FixedSizeGaussian(4.0, 1000, 20, 50)
    for other in (Gaussian(2.0), SUM, SkellamSum(1e3, 100.0, 1e5)):
        with pytest.raises(MixedAdjacency, match=r"SFM-312: .*replace-one, slot"):
            accountant.epsilon([fixed, other], 1e-5)
        assert accountant.epsilon([fixed, as_replace_one(other)], 1e-5).upper > accountant.epsilon([fixed], 1e-5).upper
    for unproved in (
        PoissonGaussian(1.0, 0.1),
        ClientThenRecord(1.0, 0.1, 0.1),
        Repeated(PoissonGaussian(1.0, 0.1), 2),
    ):
        with pytest.raises(MixedAdjacency):
            accountant.epsilon([fixed, unproved], 1e-5)
        with pytest.raises(UnsupportedEvent, match="replace-one"):
            as_replace_one(unproved)


def test_converting_doubles_the_sensitivity_once():
    assert (
        accountant.epsilon([as_replace_one(Gaussian(2.0))], 1e-5).upper
        == accountant.epsilon([Gaussian(1.0)], 1e-5).upper
    )
    for event in (Gaussian(2.0), SUM, SkellamSum(1e3, 100.0, 1e5)):
        assert as_replace_one(as_replace_one(event)) == as_replace_one(event)
    assert as_replace_one(SUM).mu_squared == pytest.approx(4 * SUM.mu_squared)


def test_renyi_is_a_valid_and_loose_bound_where_both_apply():
    for events in ([Gaussian(2.0, 4)], [PoissonGaussian(1.0, 0.05, 100)], [ClientThenRecord(1.0, 0.3, 0.1, 100)]):
        tight, loose = accountant.epsilon(events, 1e-5).upper, rdp_epsilon(events, 1e-5)
        assert tight < loose < 1.4 * tight


def test_a_sample_of_everybody_is_a_plain_release():
    everybody = accountant.epsilon([FixedSizeGaussian(4.0, 50, 50)], 1e-5).upper
    assert everybody == pytest.approx(rdp_epsilon([Gaussian(2.0)], 1e-5), rel=1e-9)


def test_refusals():
    with pytest.raises(PlanError):
        accountant.epsilon([], 1.0)
    event = DiscreteGaussianSum(1.0, 100.0, 10.0, 1, 1, 0.0)
    with pytest.raises(UnsupportedEvent, match="capped"):
        accountant.epsilon([CappedPoisson(1.0, 0.1, 100, 20), ClientThenRecord(1.0, 0.1, 0.1)], 1e-5)
    with pytest.raises(UnsupportedEvent, match="no event"):
        accountant.epsilon(["gaussian"], 1e-5)
    with pytest.raises(UnsupportedEvent):
        accountant.loss_distribution_epsilon([ClientThenRecord(1.0, 0.1, 0.1)], 1e-5)
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
