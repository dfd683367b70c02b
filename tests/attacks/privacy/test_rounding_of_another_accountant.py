# SPDX-License-Identifier: Apache-2.0
"""dp-accounting's Fourier transforms lose a little of delta in each round: at a tiny delta, an epsilon too small.

Rounds that are sampled with probability 1 have an exact curve to compare with.
"""

import math

import pytest

from fedmeta_privacy import accountant, gdp
from fedmeta_privacy.events import PoissonGaussian

CASES = [
    (noise, rounds, delta) for noise, rounds in ((30.0, 1000), (20.0, 1000)) for delta in (1e-9, 1e-11, 1e-12, 1e-14)
]


@pytest.mark.parametrize(("noise", "rounds", "delta"), CASES)
def test_no_epsilon_below_the_exact_one(noise: float, rounds: int, delta: float) -> None:
    exact, _ = gdp.epsilon_bounds(math.sqrt(rounds) / noise, delta)
    events = [PoissonGaussian(noise, 1.0, rounds)]
    found = accountant.epsilon(events, delta).upper
    assert exact <= found <= exact * 1.01 + 1e-3
    # The foreign distribution by itself, as a second accountant: loose at worst.
    assert accountant.loss_distribution_epsilon(events, delta) >= exact


def test_without_the_charge_it_is_too_small(monkeypatch: pytest.MonkeyPatch) -> None:
    exact, _ = gdp.epsilon_bounds(math.sqrt(1000) / 30.0, 1e-12)
    monkeypatch.setattr(accountant, "PLD_ROUNDING", 0.0)
    assert accountant.loss_distribution_epsilon([PoissonGaussian(30.0, 1.0, 1000)], 1e-12) < exact
