"""Each way to claim more amplification than a cohort gives, and what the account makes of it."""

import math

import numpy as np
import pytest
import torch
from populations import client, small_net, small_training
from scipy import stats

from fedmeta_privacy import accountant
from fedmeta_privacy.claims import View
from fedmeta_privacy.clipping import FlatClip, l2_sensitivity
from fedmeta_privacy.encoding import IntegerEncoding
from fedmeta_privacy.events import FixedSizeGaussian, Gaussian, NonPrivate, PoissonGaussian, Repeated
from secure_fedmeta.errors import CohortRefused, SettingError
from secure_fedmeta.population.accounting import account_of
from secure_fedmeta.population.clients import MadeClients
from secure_fedmeta.population.cohorts import Available, Everyone, FixedSize, Poisson
from secure_fedmeta.population.local_sgd import LocalSgd
from secure_fedmeta.population.result import result_of
from secure_fedmeta.population.rounds import DiscreteNoise, NormalNoise, ring_round
from secure_fedmeta.population.updates import Trained

CENTRAL, OWN = NormalNoise(2.0, draws="sum"), NormalNoise(0.2)


def release(cohorts, noise=CENTRAL, **given):
    return account_of(cohorts, noise, clip_norm=1.0, **given)


def test_fixed_size_is_never_accounted_as_poisson():
    account = release(FixedSize(1000, 10))
    assert isinstance(account.release, FixedSizeGaussian)
    assert (account.release.population, account.release.sample) == (1000, 10)
    assert 0.999 < account.release.noise_over_clip / 2.0 < 1.0
    poisson = accountant.epsilon([Repeated(PoissonGaussian(2.0, 0.01), 500)], 1e-5).upper
    assert account.epsilon(View.RELEASE, rounds=500, delta=1e-5) > poisson


def test_the_fixed_size_pair_breaks_what_poisson_would_claim():
    """N = 2, m = 1: the other client holds -C when this one holds +C; zeroed, the sums are (N(1) + N(-1)) / 2 and
    (N(0) + N(-1)) / 2. Their divergence exceeds Poisson's at q = 1/2, and keeps below the replace-one bound.
    """
    sigma, grid = 2.0, np.linspace(-30, 30, 400_001)
    inside = (stats.norm.pdf(grid, 1, sigma) + stats.norm.pdf(grid, -1, sigma)) / 2
    zeroed = (stats.norm.pdf(grid, 0, sigma) + stats.norm.pdf(grid, -1, sigma)) / 2
    width, eps = grid[1] - grid[0], 0.2
    true = width * max(
        np.maximum(inside - math.exp(eps) * zeroed, 0).sum(), np.maximum(zeroed - math.exp(eps) * inside, 0).sum()
    )
    sampled = (stats.norm.pdf(grid, 1, sigma) + stats.norm.pdf(grid, 0, sigma)) / 2
    nothing = stats.norm.pdf(grid, 0, sigma)
    poisson = width * max(
        np.maximum(sampled - math.exp(eps) * nothing, 0).sum(), np.maximum(nothing - math.exp(eps) * sampled, 0).sum()
    )
    assert true > poisson * 1.01
    assert release(FixedSize(2, 1)).epsilon(View.RELEASE, rounds=1, delta=float(true)) > eps


def test_a_published_size_costs_a_poisson_sample_its_coins():
    hidden, shown = release(Poisson(1000, 0.01)), release(Poisson(1000, 0.01, largest=25))
    assert isinstance(hidden.release, PoissonGaussian) and hidden.release.sampling_probability == 0.01
    assert isinstance(shown.release, FixedSizeGaussian) and shown.release.sample == 25
    spent = [one.epsilon(View.RELEASE, rounds=300, delta=1e-5) for one in (hidden, shown)]
    assert spent[1] > 2 * spent[0]


@pytest.mark.parametrize("cohorts", [Everyone(50), Available(50, np.arange)])
def test_a_schedule_lowers_nothing(cohorts):
    account = release(cohorts)
    assert isinstance(account.release, Gaussian)
    assert account.release.noise_multiplier <= 2.0


def test_noise_by_members_of_a_poisson_sample_is_refused():
    with pytest.raises(CohortRefused, match="SFM-141: a Poisson sample whose members draw the noise"):
        release(Poisson(1000, 0.1), OWN, floor=50, colluders=0)


def test_noise_by_clients_counts_at_the_floor_and_with_dropouts_without_amplification():
    with pytest.raises(CohortRefused, match="no floor"):
        release(FixedSize(1000, 100), OWN)
    whole = release(FixedSize(1000, 100), OWN, floor=100, colluders=0)
    assert isinstance(whole.release, FixedSizeGaussian)
    assert whole.server.noise_multiplier == pytest.approx(0.2 * 10)
    short = release(FixedSize(1000, 100), OWN, floor=64, colluders=0, dropouts=True)
    assert isinstance(short.release, Gaussian) and short.release.noise_multiplier == pytest.approx(0.2 * 8)
    assert isinstance(release(FixedSize(1000, 100), OWN, floor=64, colluders=0).release, Gaussian)


def test_a_published_size_with_dropouts_is_refused():
    with pytest.raises(CohortRefused, match="members drop out"):
        release(Poisson(1000, 0.1, largest=150), dropouts=True)


def test_the_server_that_draws_the_noise_is_promised_nothing():
    for cohorts in (Poisson(100, 0.1), FixedSize(100, 10), Everyone(100)):
        account = release(cohorts)
        assert account.server == NonPrivate()
        assert account.epsilon(View.SERVER, rounds=1, delta=1e-5) == math.inf
        assert account.epsilon(View.LOCAL, rounds=1, delta=1e-5) == math.inf


def test_no_noise_no_promise():
    account = release(Poisson(100, 0.1), None)
    assert account.epsilon(View.RELEASE, rounds=1, delta=1e-5) == math.inf
    assert account.epsilon(View.RELEASE, rounds=0, delta=1e-5) == 0.0


def test_a_cohort_that_somebody_else_chose_is_refused():
    class Mine:
        def draw(self, number, words):
            return np.array([0])

    with pytest.raises(CohortRefused, match="nothing is proved"):
        release(Mine())


@pytest.mark.parametrize("scale", [4.0, 50.0, 3000.0])
def test_discrete_noise_is_charged_above_its_plain_formula(scale):
    encoding = IntegerEncoding(2.0**-10, 20, 32)
    noise = DiscreteNoise(scale, draws="sum")
    account = account_of(Everyone(10), noise, clip_norm=1.0, encoding=encoding)
    moved = 1024.0 * l2_sensitivity(FlatClip(1.0), slots=1, dimension=20) + math.sqrt(20)
    assert account.release.noise_multiplier <= math.sqrt(scale**2 - 9) / moved
    assert account.release.noise_multiplier >= math.sqrt(scale**2 - 9) / moved * (1 - 1e-9)
    assert account.variation > 0 and not account.simulated
    two = account_of(FixedSize(10, 5), noise, clip_norm=1.0, encoding=encoding).release
    both = 2048.0 * l2_sensitivity(FlatClip(1.0), slots=1, dimension=20) + math.sqrt(20)
    assert two.noise_multiplier <= math.sqrt(scale**2 - 9) / both
    with pytest.raises(CohortRefused, match="without an encoding"):
        account_of(Everyone(10), noise, clip_norm=1.0)


def test_the_variation_is_taken_off_delta():
    encoding = IntegerEncoding(2.0**-10, 20, 32)
    account = account_of(Poisson(100, 0.1), DiscreteNoise(3000.0, draws="sum"), clip_norm=1.0, encoding=encoding)
    assert account.variation >= 2.0**-100
    assert account.epsilon(View.RELEASE, rounds=10, delta=1e-5) < 10
    assert account.epsilon(View.RELEASE, rounds=10, delta=5 * account.variation) == math.inf


def test_whoever_may_work_with_the_server_hides_nobody():
    """Their noise is known to it: of 100 draws with 36 colluders 64 hide a client."""
    with pytest.raises(CohortRefused, match="not stated how many may work with the server"):
        release(FixedSize(1000, 100), OWN, floor=100)
    account = release(FixedSize(1000, 100), OWN, floor=100, colluders=36)
    assert account.server.noise_multiplier <= 0.2 * 8
    assert isinstance(account.release, Gaussian) and account.release == account.server
    for floor, colluders in ((5, 5), (5, 9), (5, -1)):
        with pytest.raises(CohortRefused):
            release(Everyone(50), OWN, floor=floor, colluders=colluders)


@pytest.mark.parametrize("cohorts", [Everyone(50), Poisson(50, 0.9)])
def test_a_client_replaced_costs_more_than_the_account_which_does_not_speak_of_it(cohorts):
    """+C for -C in a sum of everybody: twice the shift. So no sentence may say "replaced"."""
    spent = release(cohorts).epsilon(View.RELEASE, rounds=1, delta=1e-5)
    grid, sigma, q = np.linspace(-40, 40, 400_001), 2.0, getattr(cohorts, "probability", 1.0)

    def law(at):
        return (1 - q) * stats.norm.pdf(grid, 0, sigma) + q * stats.norm.pdf(grid, at, sigma)

    above = np.maximum(law(1.0) - math.exp(spent) * law(-1.0), 0).sum() * (grid[1] - grid[0])
    assert above > 1e-4  # not 1e-5
    said = result_of(
        release(cohorts), 1e-5, theta=None, rounds=1, charged=1, most_taken=1, protects=True, stopped=""
    ).sentence()
    assert "its vector zeroed out, not replaced" in said


def test_the_servers_number_does_not_tell_who_was_drawn():
    account = release(FixedSize(1000, 10), OWN, floor=10, colluders=0)
    for most in (1, 7):
        result = result_of(account, 1e-5, theta=None, rounds=9, charged=9, most_taken=most, protects=True, stopped="")
        assert result.server == account.epsilon(View.SERVER, rounds=9, delta=1e-5)


class Beside:
    """Contributions that move with whoever is computed beside them, as the last bits of a batch do."""

    def rows(self, theta, source, cohort):
        yield torch.tensor([[0.25 * index + 0.125 * (len(cohort) - 1)] * 4 for index in cohort.tolist()])


def test_a_client_is_computed_without_those_who_were_drawn_with_it():
    encoding = IntegerEncoding(2.0**-10, 4, 32)
    settings = {"clip_norm": 9.0, "encoding": encoding, "noise": DiscreteNoise(50.0, draws="sum")}

    def opened(*cohort):
        return ring_round(Beside(), None, None, np.array(cohort), **settings, keys=lambda client: bytes(16))

    assert (opened(0, 1, 2) - opened(0, 2) == 256).all()  # client 1's own vector and nothing else
    assert (opened(1) - opened() == 256).all()


def test_others_lengths_and_chunks_move_no_bit():
    """Real local training, clients of unequal length, steps as fine as the last bits of float32."""
    sgd = LocalSgd(small_net(width=33), loss="cross-entropy", lr=0.1, batch_size=4, chunk=64)
    clients = MadeClients(40, lambda index: client(index, rows=2 + index % 7))
    theta = sgd.architecture.start_tensor().float()
    encoding = IntegerEncoding(2.0**-26, sgd.dimension, 32)

    def opened(cohort):
        return ring_round(
            Trained(sgd),
            theta,
            clients,
            cohort,
            clip_norm=0.5,
            encoding=encoding,
            noise=DiscreteNoise(50.0, draws="sum"),
            keys=lambda client: bytes(16),
        ).astype(np.uint32)

    everyone, noise = np.arange(40), opened(np.zeros(0, np.int64))
    for gone in (0, 6, 39):
        rest = np.delete(everyone, gone)
        np.testing.assert_array_equal(opened(everyone) - opened(rest), opened(np.array([gone])) - noise)


def test_a_delta_that_gives_a_client_away_is_refused():
    with pytest.raises(SettingError, match="is not below 1/N"):
        small_training(delta=0.005)
    assert small_training(delta=0.0049).account


@pytest.mark.parametrize("cohorts", [FixedSize(1000, 10), Available(1000, np.arange, size=10), Everyone(10)])
def test_a_floor_of_more_noises_than_there_are_members_is_refused(cohorts):
    with pytest.raises(CohortRefused, match="a floor of 11 with 10 members"):
        release(cohorts, OWN, floor=11, colluders=0)
    assert release(cohorts, OWN, floor=10, colluders=0).server.noise_multiplier == pytest.approx(0.2 * 10**0.5)
