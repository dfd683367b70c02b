import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedmeta_privacy import accountant
from fedmeta_privacy.calibration import Release
from fedmeta_privacy.errors import PlanError
from fedmeta_privacy.events import (
    ClientThenRecord,
    FixedSizeGaussian,
    Gaussian,
    PoissonDiscreteGaussianSum,
    PoissonGaussian,
    Repeated,
)
from fedmeta_privacy.inverse import NOISE_GRID, clients_for, noise_for, rounds_for


def upper(event, delta=1e-5):
    return accountant.epsilon([event], delta).upper


@given(st.floats(0.1, 20), st.integers(1, 500), st.sampled_from([1e-3, 1e-5, 1e-8]))
@settings(max_examples=20, deadline=None)
def test_noise_without_sampling(target, count, delta):
    z = noise_for(Gaussian(1.0, count), target=target, delta=delta)
    assert upper(Gaussian(z, count), delta) <= target < upper(Gaussian(z - NOISE_GRID, count), delta)


@pytest.mark.parametrize(
    "make",
    [
        lambda z: PoissonGaussian(z, 0.02, 200),
        lambda z: ClientThenRecord(z, 0.1, 0.1, 300),
        pytest.param(lambda z: FixedSizeGaussian(z, 1000, 10, 20), marks=pytest.mark.long),
    ],
)
def test_noise_with_sampling(make):
    z = noise_for(make(1.0), target=2.0, delta=1e-5)
    assert upper(make(z)) <= 2.0 < upper(make(z - NOISE_GRID))


@given(st.floats(0.2, 10), st.floats(3, 50), st.sampled_from([1e-3, 1e-6]))
@settings(max_examples=20, deadline=None)
def test_rounds_without_sampling(target, noise, delta):
    rounds = rounds_for(Gaussian(noise), target=target, delta=delta)
    assert rounds == 0 or upper(Gaussian(noise, rounds), delta) <= target
    assert upper(Gaussian(noise, rounds + 1), delta) > target


def test_rounds_with_sampling():
    event = PoissonGaussian(1.5, 0.1)
    rounds = rounds_for(event, target=3.0, delta=1e-5)
    assert upper(Repeated(event, rounds)) <= 3.0 < upper(Repeated(event, rounds + 1))


@pytest.mark.parametrize("sampling", [1.0, 0.3])
def test_clients(sampling):
    release = Release(1000.0, dimension=31, parties=100)
    honest = clients_for(release, scale=500.0, rounds=10, target=2.0, delta=1e-5, sampling_probability=sampling)

    def cost(number):
        event = release.event(500.0, number)
        return upper(Repeated(event if sampling == 1 else PoissonDiscreteGaussianSum(event, sampling), 10))

    assert cost(honest) <= 2.0 < cost(honest - 1)


def test_targets_that_cannot_be_met():
    for target, delta in ((0.0, 1e-5), (-1.0, 1e-5), (800.0, 1e-5), (1.0, 0.0), (1.0, 1.0), (float("nan"), 1e-5)):
        with pytest.raises(PlanError):
            noise_for(Gaussian(1.0), target=target, delta=delta)
    with pytest.raises(PlanError, match="no number of rounds"):
        rounds_for(Gaussian(1e9), target=1.0, delta=1e-5)
    with pytest.raises(PlanError, match="no number of clients"):
        clients_for(Release(1e9, dimension=1, parties=2), scale=4.0, rounds=1, target=0.1, delta=1e-5)
