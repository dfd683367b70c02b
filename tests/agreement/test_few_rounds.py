# SPDX-License-Identifier: Apache-2.0
"""A handful of rarely sampled rounds: the tail of one round outweighs the bulk of all, and the window must hold it."""

import numpy as np
import pytest
from dp_accounting import dp_event
from dp_accounting.pld import PLDAccountant

from fedmeta_privacy.composition import Rounds, _solve, composed_epsilon


@pytest.mark.parametrize(
    ("noise", "sampling", "rounds", "delta"),
    [(1.0, 0.01, 6, 1e-5), pytest.param(0.7, 0.001, 6, 1e-6, marks=pytest.mark.long), (2.0, 0.01, 6, 1e-5)],
)
def test_few_rounds_cost_what_another_accountant_says(noise: float, sampling: float, rounds: int, delta: float) -> None:
    one = np.ones(1)
    ours = composed_epsilon(Rounds(noise * one, sampling * one, one, rounds * one), delta)
    other = PLDAccountant(value_discretization_interval=1e-5)
    other.compose(dp_event.PoissonSampledDpEvent(sampling, dp_event.GaussianDpEvent(noise)), rounds)
    upper = other.get_epsilon(delta)
    assert upper * 0.9999 <= ours <= upper * 1.01


def test_a_window_above_zero_never_gives_an_epsilon_below_itself() -> None:
    # All the mass that the window holds is within delta; what lies between zero and its edge is not known.
    grid = 5.0 + np.arange(16) * 0.1
    assert _solve(np.full(16, 1e-9), 0.0, 0.0, grid, 1e-3, 0.0) >= grid[0]


def test_a_frequency_at_which_a_round_cancels_exactly_is_no_error() -> None:
    rounds = Rounds(np.array([4.0, 0.75]), np.array([0.14488061668433103, 0.25]), np.ones(2), np.array([2.0, 1.0]))
    assert 0 < composed_epsilon(rounds, 1e-5) < 10
