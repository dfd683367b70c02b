"""Numbers that other accountants get wrong, or mean otherwise, pinned so that a change of theirs is noticed."""

import numpy as np
import pytest
from dp_accounting import dp_event
from dp_accounting.pld import PLDAccountant
from dp_accounting.privacy_accountant import NeighboringRelation
from dp_accounting.rdp import RdpAccountant
from opacus.accountants import GaussianAccountant

from fedmeta_privacy import accountant, gdp
from fedmeta_privacy.events import FixedSizeGaussian, Gaussian, PoissonGaussian, as_replace_one

REPLACE_ONE = NeighboringRelation.REPLACE_ONE


def test_dp_accounting_means_two_things_by_replace_one():
    renyi, losses = RdpAccountant(neighboring_relation=REPLACE_ONE), PLDAccountant(REPLACE_ONE)
    renyi.compose(dp_event.GaussianDpEvent(1.0))
    losses.compose(dp_event.GaussianDpEvent(1.0))
    assert renyi.get_epsilon(1e-5) < 4.74 and losses.get_epsilon(1e-5) > 9.99
    # Ours says which one it is: noise over sensitivity, and the sensitivity doubles.
    assert accountant.epsilon([as_replace_one(Gaussian(1.0))], 1e-5).upper == pytest.approx(
        losses.get_epsilon(1e-5), rel=1e-4
    )


def test_a_sample_of_fixed_size_is_charged_twice_the_clip():
    naive = RdpAccountant(neighboring_relation=REPLACE_ONE)
    naive.compose(dp_event.SampledWithoutReplacementDpEvent(1000, 10, dp_event.GaussianDpEvent(2.0)), 100)
    ours = accountant.epsilon([FixedSizeGaussian(2.0, 1000, 10, 100)], 1e-5).upper
    assert ours > 1.4 * naive.get_epsilon(1e-5)


def test_the_attack_on_the_naive_reading():
    """A sample of everybody, one record exchanged for its opposite: the exact curve is above the naive claim."""
    naive = RdpAccountant(neighboring_relation=REPLACE_ONE)
    naive.compose(dp_event.GaussianDpEvent(2.0))  # noise 2 over a clip of 1
    truth = gdp.epsilon_bounds(2 / 2.0, 1e-5)[0]  # +1 to -1 moves the sum by 2
    assert naive.get_epsilon(1e-5) < truth <= accountant.epsilon([FixedSizeGaussian(2.0, 50, 50)], 1e-5).upper


def test_opacus_gdp_reports_too_little():
    with pytest.warns(UserWarning, match="can underestimate"):
        theirs = GaussianAccountant()
    theirs.history = [(1.0, 0.01, 1000)]
    ours = accountant.epsilon([PoissonGaussian(1.0, 0.01, 1000)], 1e-5).upper
    assert theirs.get_epsilon(1e-5) == pytest.approx(1.618, abs=2e-3)
    assert 1.827 < ours < 1.832


def test_a_plain_rounded_class_is_loose_where_a_mixture_is_not():
    """Why `dominance` mixes: rounding to the costlier corner alone costs more than the one percent allowed."""
    sampling = np.linspace(0.005, 0.02, 200)
    rounded = np.ceil((sampling - 0.005) / 0.001) * 0.001 + 0.005
    assert (rounded**2).sum() / (sampling**2).sum() > 1.02**2
