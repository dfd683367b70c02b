"""Client sampling times record sampling is no Poisson sampling: the product claims a quarter of the truth."""

import numpy as np

from fedmeta_privacy import accountant
from fedmeta_privacy.dp_sgd import prv_lower_bound
from fedmeta_privacy.events import ClientThenRecord, PoissonGaussian


def test_the_product_rule_claims_a_quarter():
    product = accountant.epsilon([PoissonGaussian(1.0, 0.01, 1000)], 1e-5).upper
    honest = accountant.epsilon([ClientThenRecord(1.0, 0.1, 0.1, 1000)], 1e-5, second_opinion=prv_lower_bound)
    assert product < 1.84 and honest.upper > 7.13
    assert honest.lower <= product <= honest.upper  # the product is only what forgetting the client's coin leaves


def test_an_observer_of_the_client_s_other_records_beats_the_product_claim():
    """Count rounds with the client in, then test the record in those rounds only; 200 rounds, exact arithmetic.

    Given the coins, the record's rounds are Poisson(q_r); over k participations the loss distribution's delta at the
    product's epsilon is far above the promised one already for the average k.
    """
    rounds, keep, sampling, delta = 200, 0.1, 0.5, 1e-5
    promised = accountant.epsilon([PoissonGaussian(1.0, keep * sampling, rounds)], delta).upper
    seen = int(np.ceil(rounds * keep))  # happens in about every second run
    lower = prv_lower_bound([PoissonGaussian(1.0, sampling, seen)], delta * 10)
    assert lower > promised * 1.5  # even at ten times the delta, which half of all runs make up for
