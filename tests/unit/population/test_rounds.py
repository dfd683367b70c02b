"""Rounds in floats and in the ring: what is summed, what is clipped, and what the noise's law is."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from populations import client, small_net, small_training, start_of

from fedmeta_crypto import Keystream
from fedmeta_privacy.clipping import FlatClip, clip
from fedmeta_privacy.encoding import IntegerEncoding
from fedmeta_privacy.noise import DiscreteGaussian
from secure_fedmeta.algorithms.inner import GradientSteps
from secure_fedmeta.algorithms.maml import Maml
from secure_fedmeta.engines.loop import LoopEngine
from secure_fedmeta.engines.stacked import StackedEngine
from secure_fedmeta.errors import DataRefused, RoundRefused, RunError, SettingError
from secure_fedmeta.population.clients import MadeClients, Shards, StackedClients
from secure_fedmeta.population.cohorts import Available, Dropouts, Everyone, FixedSize
from secure_fedmeta.population.local_sgd import LocalSgd
from secure_fedmeta.population.rounds import (
    DiscreteNoise,
    NormalNoise,
    encode_rows,
    float_round,
    ring_round,
    simulated_ring_round,
    summed_normals,
)
from secure_fedmeta.population.training import train
from secure_fedmeta.population.updates import Adapted, Trained

NET = small_net()
SOURCE = MadeClients(40, client)
COHORT = np.array([3, 5, 17, 18, 39])
SGD = Trained(LocalSgd(NET, loss="cross-entropy", lr=0.1, batch_size=2, chunk=2))
THETA = NET.start_tensor()
D = NET.dimension


def key(client):
    return int(client + 7).to_bytes(16, "little")


def rows_of(updates):
    return torch.cat(list(updates.rows(THETA, SOURCE, COHORT)))


def test_meta_learning_contributions_are_those_of_the_loop():
    maml = Maml(GradientSteps(lr=0.2, count=2))
    updates = Adapted(StackedEngine(NET, maml, loss="cross-entropy"), chunk=2)
    tasks = [client(int(index)) for index in COHORT]
    expected = LoopEngine(NET, maml, loss="cross-entropy").contributions(THETA.numpy(), tasks)
    np.testing.assert_allclose(rows_of(updates).numpy(), expected, rtol=1e-9, atol=1e-12)
    clipped = clip(expected, FlatClip(0.3)).values.sum(0)
    total = float_round(updates, THETA, SOURCE, COHORT, clip_norm=0.3)
    np.testing.assert_allclose(total.numpy(), clipped, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("draws", ["client", "sum"])
@pytest.mark.parametrize("bits", [24, 32])
def test_the_ring_sum_is_that_of_integers_of_any_size(draws, bits):
    encoding, noise = IntegerEncoding(2.0**-12, D, bits), DiscreteNoise(40.0, draws=draws)
    found = ring_round(SGD, THETA, SOURCE, COHORT, clip_norm=0.2, encoding=encoding, noise=noise, keys=key)
    sampler = DiscreteGaussian(40.0)
    drawn = [sampler.sample(D, Keystream(key(who)).words) for who in (COHORT if draws == "client" else [-1])]
    steps = [encoding.encode(row) for row in clip(rows_of(SGD).numpy(), FlatClip(0.2)).values]
    assert found.tolist() == [sum(map(int, column)) for column in zip(*drawn, *steps, strict=True)]


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), n=st.integers(0, 5), d=st.integers(1, 6), scale=st.floats(1e-3, 1e4))
def test_rows_are_encoded_as_one_by_one(seed, n, d, scale):
    rows = np.random.default_rng(seed).normal(size=(n, d)) * scale
    encoding = IntegerEncoding(2.0**-8, d, 32)
    assert encode_rows(rows, encoding).tolist() == [encoding.encode(row).tolist() for row in rows]


def test_rounded_normal_noise_has_its_mean_and_deviation():
    encoding, noise = IntegerEncoding(2.0**-10, D, 32), NormalNoise(0.5)
    exact = ring_round(SGD, THETA, SOURCE, COHORT, clip_norm=0.2, encoding=encoding, noise=None).astype(float)
    generator = torch.Generator().manual_seed(0)
    found = [
        simulated_ring_round(
            SGD, THETA, SOURCE, COHORT, clip_norm=0.2, encoding=encoding, noise=noise, generator=generator
        )
        - exact
        for _ in range(60)
    ]
    standard = np.concatenate(found) * encoding.step / (0.5 * 5**0.5)
    assert abs(standard.mean()) < 5 / len(standard) ** 0.5
    assert abs(standard.std() - 1) < 5 / (2 * len(standard)) ** 0.5


@pytest.mark.parametrize("count, dimension", [(1, 3), (7, 1), (1000, 300), (3, 400_000)])
def test_summed_normals_are_drawn_by_each(count, dimension):
    total = summed_normals(count, dimension, torch.Generator().manual_seed(1), torch.float64)
    assert total.shape == (dimension,)
    if dimension > 100:
        assert abs(float(total.std()) / count**0.5 - 1) < 5 / (2 * dimension) ** 0.5


def test_a_row_that_is_not_finite_counts_as_zero_in_the_ring():
    bad = StackedClients(Shards(torch.full((2, 2, 3), float("nan")), torch.zeros(2, 2)))
    encoding = IntegerEncoding(2.0**-10, D, 32)
    found = ring_round(SGD, THETA.float(), bad, np.arange(2), clip_norm=1.0, encoding=encoding, noise=None)
    assert not found.any()


def test_nobody_is_a_cohort_too():
    nobody, encoding = np.zeros(0, np.int64), IntegerEncoding(2.0**-10, D, 32)
    assert not float_round(SGD, THETA, SOURCE, nobody).any()
    assert not ring_round(SGD, THETA, SOURCE, nobody, clip_norm=1.0, encoding=encoding, noise=None).any()


def test_what_is_no_round():
    encoding = IntegerEncoding(2.0**-10, D, 32)
    with pytest.raises(RoundRefused, match="SFM-143"):
        float_round(SGD, THETA, SOURCE, COHORT, noise=NormalNoise(1.0))
    with pytest.raises(RoundRefused, match="without keys"):
        ring_round(SGD, THETA, SOURCE, COHORT, clip_norm=1.0, encoding=encoding, noise=DiscreteNoise(9.0))
    for narrow in (IntegerEncoding(2.0**-10, D, 24), encoding):
        noise = NormalNoise(1.0, draws="sum" if narrow is encoding else "client")
        with pytest.raises(RoundRefused):
            simulated_ring_round(SGD, THETA, SOURCE, COHORT, clip_norm=1.0, encoding=narrow, noise=noise)
    for size in (0.0, float("inf"), float("nan"), -1.0):
        with pytest.raises(RoundRefused):
            NormalNoise(size)


def test_clients_of_unequal_and_wrong_shapes():
    unequal = Shards.of([client(0, rows=3), client(1, rows=6)])
    assert unequal.counts.tolist() == [3, 6] and unequal.rows.shape == (2, 6, 3)
    with pytest.raises(DataRefused, match="SFM-140"):
        Shards.of([client(0), client(1, features=4)])
    with pytest.raises(DataRefused):
        Shards.of([])
    with pytest.raises(DataRefused):
        Shards(torch.zeros(2, 3, 4), torch.zeros(2, 4))
    with pytest.raises(DataRefused):
        SOURCE.task(40)
    assert "Task" not in repr(unequal) and repr(unequal) == "Shards(<2 clients>)"


def test_a_discrete_run_protects_and_says_whom():
    encoding = IntegerEncoding(2.0**-12, D, 32)
    noise = DiscreteNoise(4096.0, draws="sum")
    training = small_training(noise=noise, encoding=encoding, reproducible=False)
    result = train(training, start_of(training), progress=False)
    assert result.protects and 0 < result.release < 10 and result.server == np.inf
    assert "guarantees a whole client" in result.sentence()
    imitated = train(small_training(), start_of(training), progress=False)
    assert not imitated.protects and "protects nobody" in imitated.sentence()


def test_rounds_below_the_floor_open_nothing_and_stay_charged():
    training = small_training(
        cohorts=FixedSize(200, 10),
        noise=NormalNoise(0.5),
        floor=10,
        colluders=0,
        dropouts=Dropouts(0.5, seed=1),
        divisor=10.0,
    )
    seen = []
    result = train(training, start_of(training), watch=lambda step, *_: seen.append(step), progress=False)
    assert result.rounds == result.charged == 6 and len(seen) < 6


def test_the_server_counts_the_busiest_clients_rounds():
    shifts = Available.windows(np.arange(4) % 2, np.ones(4, int), period=2)
    training = small_training(4, cohorts=shifts, noise=NormalNoise(1.0), floor=2, colluders=0, divisor=2.0)
    result = train(training, start_of(training), progress=False)
    assert result.server == training.account.epsilon(view_of("server"), rounds=3, delta=1e-5) < result.release


def view_of(name):
    from fedmeta_privacy.claims import View

    return View(name)


def test_settings_that_cannot_be_run():
    for wrong in ({"rounds": 0}, {"divisor": 0.0}, {"server_lr": -1.0}, {"delta": 1.0}, {"spare": -1}, {"floor": 0}):
        with pytest.raises(SettingError, match="SFM-101"):
            small_training(**wrong)
    with pytest.raises(RoundRefused, match="clip norm"):
        small_training(clip_norm=None)
    with pytest.raises(RoundRefused, match="without an encoding"):
        small_training(noise=DiscreteNoise(100.0, draws="sum"))
    with pytest.raises(RoundRefused, match="for a sum"):
        small_training(encoding=IntegerEncoding(2.0**-12, D, 32))
    with pytest.raises(RoundRefused, match="do not fit the ring"):
        small_training(encoding=IntegerEncoding(2.0**-12, D, 16), noise=DiscreteNoise(4096.0, draws="sum"))


def test_a_model_that_diverges_ends_the_run():
    training = small_training(server_lr=1e300, noise=None, clip_norm=None, cohorts=Everyone(10), divisor=1.0)
    with pytest.raises(RunError, match="diverged"):
        train(training, start_of(training), progress=False)


def test_first_mistakes_are_numbered():
    sgd = SGD.sgd
    with pytest.raises(SettingError, match=r"updates is a LocalSgd .*Trained\(LocalSgd"):
        small_training(updates=sgd)
    with pytest.raises(SettingError, match="updates is a function"):
        small_training(updates=lambda theta: theta)
    with pytest.raises(SettingError, match="cohorts is a int"):
        small_training(cohorts=200)
    training = small_training()
    for start in (np.zeros(3), [0.0], torch.zeros(2, 2), torch.zeros(3, dtype=torch.int64)):
        with pytest.raises(SettingError, match="SFM-101: the start is no vector of floats"):
            train(training, start, progress=False)
    with pytest.raises(SettingError, match="every=0"):
        train(training, start_of(training), every=0, progress=False)
