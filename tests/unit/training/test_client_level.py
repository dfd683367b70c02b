"""Client-level training: sigma from the plan alone, neighbours, coins, and epsilons held against other computations."""

import dataclasses
import math

import numpy as np
import pytest
import torch

from fedmeta_privacy import accountant, gdp
from fedmeta_privacy.clipping import AdaptiveClip, FlatClip, clip
from fedmeta_privacy.events import PoissonDiscreteGaussianSum, PoissonGaussian
from fedmeta_privacy.noise import DiscreteGaussian
from secure_fedmeta.engines.batch import Part, TaskBatch
from secure_fedmeta.errors import TrainingRefused
from secure_fedmeta.training import ClientLevel, Outer, client_level, train_privately

LEVEL = ClientLevel(2.0, 1e-4, 0.1, FlatClip(1.0))
ROUNDS = Outer(rounds=6, lr=0.1, rule="sgd", decay="none", warmup=0.0)


class Vectors:
    """Client k's contribution is a fixed vector, carried in its support rows; `zeroed` clients contribute nothing."""

    def __init__(self, count=50, dimension=4, zeroed=()):
        self.values = np.random.default_rng(0).normal(size=(count, dimension))
        self.values[list(zeroed)] = 0.0
        self.asked = []

    def __len__(self):
        return len(self.values)

    def batch(self, drawn, number):
        self.asked.append(drawn)
        rows = torch.from_numpy(self.values[drawn])[:, None]
        part = Part(rows, rows[..., 0], torch.ones(len(drawn), 1).double())
        return TaskBatch(part, part, torch.ones(len(drawn), 2))


class Sender:
    def of_batch(self, theta, batch):
        return batch.support.rows[:, 0]


def trained(level=LEVEL, *, seed=0, outer=ROUNDS, population=None):
    theta = torch.zeros(4, dtype=torch.float64)
    return train_privately(Sender(), theta, population or Vectors(), outer, level, seed=seed)


def test_the_noise_is_a_constant_of_the_plan():
    one, other = trained(seed=0), trained(seed=1)
    assert one.multiplier == other.multiplier == LEVEL.multiplier(rounds=6, population=50, dimension=4)
    assert not torch.equal(one.theta, other.theta)


def test_the_target_is_met_and_not_by_much():
    z = LEVEL.multiplier(rounds=6, population=50, dimension=4)
    met = accountant.epsilon([PoissonGaussian(z, 0.1, 6)], 1e-4).upper
    less = accountant.epsilon([PoissonGaussian(z * (1 - 2.0**-7), 0.1, 6)], 1e-4).upper
    assert met <= 2.0 < less


def test_release_against_another_accountant():
    from dp_accounting import dp_event
    from dp_accounting.rdp import RdpAccountant

    run = trained()
    rdp = RdpAccountant()
    rdp.compose(dp_event.PoissonSampledDpEvent(0.1, dp_event.GaussianDpEvent(run.multiplier)), 6)
    assert 0.5 * rdp.get_epsilon(1e-4) < run.release.upper <= rdp.get_epsilon(1e-4) * 1.001


def test_the_server_view_has_no_sampling():
    run = trained()
    assert run.server.upper == pytest.approx(gdp.epsilon_bounds(math.sqrt(6) / run.multiplier, 1e-4)[1], rel=1e-6)
    assert run.release.upper < run.server_drawn.upper <= run.server.upper


def test_cohorts_are_poisson_and_differ():
    population = Vectors(count=2000)
    trained(outer=dataclasses.replace(ROUNDS, rounds=60), population=population)
    sizes = [len(drawn) for drawn in population.asked]
    assert 0.5 * 2000 * 0.1 * 0.9 < np.var(sizes) < 2 * 2000 * 0.1 * 0.9  # n q (1 - q), not 0 as of a fixed size
    assert abs(np.mean(sizes) - 200) < 10


@pytest.mark.parametrize("noise", ["normal", "discrete"])
def test_a_client_moves_the_sum_by_no_more_than_what_is_charged(noise, monkeypatch):
    """Same coins and noise: zeroing one client out moves theta by at most lr / (q N) times the sensitivity."""
    level = ClientLevel(2.0, 1e-4, 0.1, FlatClip(1.0), noise=noise)
    monkeypatch.setattr(DiscreteGaussian, "sample", lambda self, n, words: np.zeros(n, np.int64))
    same = np.random.default_rng(0).random(50) < 0.1
    monkeypatch.setattr(client_level, "_coins", lambda level, n, seed: lambda: same)
    outer = dataclasses.replace(ROUNDS, rounds=1)
    whole = trained(level, outer=outer)
    moves = [
        float((whole.theta - trained(level, outer=outer, population=Vectors(zeroed=[client])).theta).norm())
        for client in range(50)
    ]
    charged = level.sensitivity(50, 4)
    if noise == "discrete":
        made = level.discrete(1.0, population=50, dimension=4)
        charged = made.sensitivity * made.encoding.step
    bound = 0.1 * charged / (0.1 * 50)
    assert 0.9 * bound < max(moves) <= bound
    assert sum(move == 0 for move in moves) > 25  # who is not drawn moves nothing


@pytest.mark.parametrize("drawn", [50, 25, 5])
def test_the_divisor_is_public(drawn, monkeypatch):
    """Twice the clients drawn is twice the step: the sum is divided by q N = 25, whoever was really drawn."""
    half = ClientLevel(8.0, 1e-4, 0.5, FlatClip(1.0))
    monkeypatch.setattr(client_level, "_coins", lambda level, n, seed: lambda: np.arange(n) < drawn)
    population = Vectors()
    population.values[:] = 7.0  # clipped to one half in each of four coordinates
    run = trained(half, outer=dataclasses.replace(ROUNDS, rounds=1), population=population)
    noise = 0.1 * run.multiplier * half.sensitivity(50, 4) / 25
    step = -0.1 * drawn * 0.5 / 25
    np.testing.assert_allclose(run.theta.numpy(), step, atol=5 * noise)
    if drawn == 50:  # with the realised cohort as divisor the step would be half of it
        assert abs(step) > 20 * noise


def test_discrete_noise_is_accounted_with_its_rounding_and_not_from_the_seed():
    level = ClientLevel(2.0, 1e-4, 0.1, FlatClip(1.0), noise="discrete")
    one, other = trained(level), trained(level)
    assert not torch.equal(one.theta, other.theta)  # same seed, other noise
    assert one.release.upper <= 2.0
    event = level.event(one.multiplier, rounds=6, population=50, dimension=4)
    assert isinstance(event, PoissonDiscreteGaussianSum)
    assert event.noise_multiplier <= one.multiplier * 1.001
    assert one.server_drawn.upper <= one.server.upper


def test_adaptive_clip_follows_the_norms_by_released_counts():
    rule = AdaptiveClip(64.0, count_weight=2.0, learning_rate=0.5)
    level = ClientLevel(50.0, 1e-4, 0.5, rule)
    run = trained(level, outer=dataclasses.replace(ROUNDS, rounds=30), population=Vectors(count=200))
    assert run.clip_norms[0] == 64.0 and len(run.clip_norms) == 30
    assert 0.3 < run.clip_norms[-1] < 8.0  # norms are about 2


class Beside(Sender):
    """Rows that move with whoever is computed beside them, as the last bits of a batch do."""

    def of_batch(self, theta, batch):
        return super().of_batch(theta, batch) + 0.5 * (len(batch) - 1)


def test_real_noise_computes_each_client_without_the_others(monkeypatch):
    monkeypatch.setattr(DiscreteGaussian, "sample", lambda self, n, words: np.zeros(n, np.int64))
    level = ClientLevel(2.0, 1e-4, 0.5, FlatClip(100.0), noise="discrete")
    outer, theta = dataclasses.replace(ROUNDS, rounds=1), torch.zeros(4, dtype=torch.float64)

    def sent(*drawn):
        monkeypatch.setattr(client_level, "_coins", lambda level, n, seed: lambda: np.isin(np.arange(n), drawn))
        return train_privately(Beside(), theta, Vectors(), outer, level, seed=0).theta

    own = sent(3)
    assert torch.allclose(sent(1, 2, 3) - sent(1, 2), own, rtol=0, atol=1e-12) and own.norm() > 0


def test_secret_coins_come_from_no_seed_and_fall_heads_no_oftener_than_stated():
    level = ClientLevel(2.0, 1e-4, 0.1, FlatClip(1.0), noise="discrete")
    one, other = (client_level._coins(level, 100_000, 0) for _ in range(2))
    first, second = one(), one()
    assert not np.array_equal(first, second) and not np.array_equal(first, other())
    assert abs(first.mean() - 0.1) < 0.005
    assert client_level._coins(dataclasses.replace(level, sampling_probability=1.0), 9, 0)().all()
    assert not client_level._coins(dataclasses.replace(level, sampling_probability=1e-300), 9, 0)().any()


def test_a_delta_that_gives_a_client_away_is_refused():
    with pytest.raises(TrainingRefused, match="below 1/N"):
        trained(dataclasses.replace(LEVEL, delta=0.02))  # N = 50


def test_only_real_noise_protects():
    assert not trained().protects
    assert trained(dataclasses.replace(LEVEL, noise="discrete")).protects


@pytest.mark.parametrize("weight", [0.5, 2.0])
def test_the_adaptive_count_is_in_the_sensitivity(weight):
    """A client that stays away moves gradient and count together by no more than the noise is scaled by."""
    rule = AdaptiveClip(0.5, count_weight=weight)
    level = ClientLevel(2.0, 1e-4, 0.1, rule)
    values = Vectors().values
    moved = np.linalg.norm(clip(values, rule).values, axis=1).max()
    assert moved <= level.sensitivity(50, 4) and moved == pytest.approx(math.hypot(1, weight / 2))


@pytest.mark.parametrize(
    "changes", [{"epsilon": 0.0}, {"delta": 1.0}, {"sampling_probability": 1.5}, {"noise": "none"}]
)
def test_settings_out_of_range(changes):
    with pytest.raises(TrainingRefused, match="SFM-146"):
        dataclasses.replace(LEVEL, **changes)


@pytest.mark.long
def test_nobody_drawn_is_a_round_of_noise(monkeypatch):
    monkeypatch.setattr(client_level, "_coins", lambda level, n, seed: lambda: np.zeros(n, bool))
    run = trained()
    assert run.theta.abs().min() > 0 and torch.isfinite(run.theta).all() and run.server_drawn.upper == 0.0
