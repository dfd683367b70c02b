"""The Fourier composition against dp-accounting, Opacus' PRV accountant and the exact curve."""

import numpy as np
import pytest

from fedmeta_privacy import accountant, gdp
from fedmeta_privacy.composition import Rounds, composed_epsilon
from fedmeta_privacy.dp_sgd import prv_lower_bound
from fedmeta_privacy.events import ClientThenRecord, PoissonGaussian


def rounds(noise, sampling, count=None, keep=None):
    noise, sampling = np.atleast_1d(np.asarray(noise, float)), np.atleast_1d(np.asarray(sampling, float))
    ones = np.ones(len(noise))
    return Rounds(noise, sampling, ones if keep is None else keep * ones, ones if count is None else count * ones)


def unequal(number, seed=0):
    rng = np.random.default_rng(seed)
    return rng.uniform(0.9, 1.3, number), rng.uniform(0.005, 0.02, number)


@pytest.mark.parametrize(
    ("noise", "sampling", "count", "delta"),
    [
        (1.0, 0.01, 1000, 1e-5),
        pytest.param(1.1, 0.00427, 14063, 1e-5, marks=pytest.mark.long),
        (1.0, 0.1, 100, 1e-5),
        pytest.param(0.3, 0.01, 100, 1e-5, marks=pytest.mark.long),
        pytest.param(0.6, 0.05, 1000, 1e-9, marks=pytest.mark.long),
        pytest.param(10.0, 0.5, 1000, 1e-6, marks=pytest.mark.long),
        (1.0, 0.01, 1, 1e-5),
        (2.0, 0.999, 30, 1e-7),
    ],
)
def test_equal_rounds_against_the_loss_distribution(noise, sampling, count, delta):
    ours = composed_epsilon(rounds(noise, sampling, count), delta)
    events = [PoissonGaussian(noise, sampling, count)]
    theirs = accountant.loss_distribution_epsilon(events, delta, interval=3e-4)
    assert theirs * (1 - 1e-3) - 1e-4 <= ours <= theirs * 1.002 + 2e-4
    assert ours >= prv_lower_bound(events, delta) - 1e-9


@pytest.mark.parametrize(
    ("noise", "count", "delta"), [(1.0, 1, 1e-5), (4.0, 100, 1e-5), (0.5, 1, 1e-6), (30.0, 9, 1e-3)]
)
def test_unsampled_rounds_against_the_exact_curve(noise, count, delta):
    exact = gdp.epsilon_bounds(count**0.5 / noise, delta)[0]
    assert exact <= composed_epsilon(rounds(noise, 1.0, count), delta) <= exact * 1.001 + 1e-4


@pytest.mark.long
@pytest.mark.parametrize("classes", [16, 128, 10_000])
def test_unequal_rounds_against_the_loss_distribution(classes):
    noise, sampling = unequal(30)
    events = [PoissonGaussian(float(z), float(q)) for z, q in zip(noise, sampling, strict=True)]
    theirs = accountant.loss_distribution_epsilon(events, 1e-6, interval=1e-3)
    ours = composed_epsilon(rounds(noise, sampling), 1e-6, classes=classes)
    # Sixteen corners are too few for such a spread: still no less than the truth, but not tight.
    assert theirs * (1 - 1e-3) <= ours <= theirs * (1.01 if classes > 16 else 1.1)


@pytest.mark.long
def test_thousands_of_unequal_rounds_are_loose_by_less_than_one_percent():
    noise, sampling = unequal(3000)
    every_kind = composed_epsilon(rounds(noise, sampling), 1e-6, classes=300, fineness=0.001)
    ours = composed_epsilon(rounds(noise, sampling), 1e-6)
    assert every_kind * (1 - 1e-3) <= ours <= every_kind * 1.01


def test_a_few_unequal_rounds_against_the_loss_distribution():
    noise, sampling = unequal(6)
    events = [PoissonGaussian(float(z), float(q)) for z, q in zip(noise, sampling, strict=True)]
    theirs = accountant.loss_distribution_epsilon(events, 1e-6, interval=1e-3)
    assert theirs * (1 - 1e-3) <= composed_epsilon(rounds(noise, sampling), 1e-6) <= theirs * 1.01


@pytest.mark.long
def test_hundred_thousand_unequal_rounds():
    noise, sampling = unequal(100_000)
    ours = composed_epsilon(rounds(noise, sampling), 1e-6)
    fine = composed_epsilon(rounds(noise, sampling), 1e-6, classes=400, fineness=0.002)
    assert fine * (1 - 1e-3) <= ours <= fine * 1.01
    # Every round replaced by the least, and by the most costly one of all.
    least = composed_epsilon(rounds(1.3, 0.005, 100_000), 1e-6)
    most = composed_epsilon(rounds(0.9, 0.02, 100_000), 1e-6)
    assert least < ours < most


@pytest.mark.long
def test_unequal_rounds_never_below_the_lower_bound_of_another_accountant():
    noise, sampling = unequal(40, seed=3)
    events = [PoissonGaussian(float(z), float(q), 20) for z, q in zip(noise, sampling, strict=True)]
    ours = composed_epsilon(rounds(noise, sampling, 20), 1e-6, classes=16)
    lower = prv_lower_bound(events, 1e-6)
    assert 0.9 * ours < lower <= ours


@pytest.mark.parametrize(
    ("keep", "sampling", "noise", "count", "delta", "reference"),
    [
        (0.1, 0.1, 1.0, 1000, 1e-5, 7.139),
        (0.05, 0.2, 1.0, 500, 1e-5, 7.618),
        (0.1, 1.0, 1.0, 200, 1e-5, 34.02),
        (0.1, 0.5, 2.0, 500, 1e-6, 11.096),
    ],
)
def test_client_then_record_against_mixed_loss_distributions(keep, sampling, noise, count, delta, reference):
    """The reference values come from dp-accounting's distributions mixed by hand with an atom at loss 0."""
    ours = accountant.epsilon([ClientThenRecord(noise, keep, sampling, count)], delta).upper
    assert ours == pytest.approx(reference, rel=1.5e-3)
