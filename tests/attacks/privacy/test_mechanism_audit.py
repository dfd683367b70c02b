"""The product's own round under audit: close to its claim, and above it no more often than stated."""

import numpy as np
import pytest
from scipy.stats import binom

from fedmeta_crypto import Keystream
from fedmeta_crypto.errors import PlanRefused
from fedmeta_privacy import gdp
from fedmeta_privacy.audit import AuditContext, SeedPolicy, combine_rounds, decide, gaussian_bound
from fedmeta_privacy.claims import Unit, View
from fedmeta_privacy.dp_sgd import ClippedNoisySum
from fedmeta_privacy.encoding import IntegerEncoding
from fedmeta_privacy.errors import PrivacyError
from secure_fedmeta.attacks.audits import audit_canaries, guesses_for
from secure_fedmeta.attacks.canaries import OVERSHOOT, CanaryDesign, CanaryMechanism
from secure_fedmeta.attacks.rounds import masked_sum
from secure_fedmeta.attacks.trials import ClientCanary, ClientRounds, audit_rounds
from secure_fedmeta.errors import SettingError


def seeded(number):
    return Keystream(number.to_bytes(16, "big")).bytes


@pytest.mark.long
@pytest.mark.parametrize(
    ("epsilon", "one_run", "one_run_gaussian"), [(1.0, 0.4, 0.45), (2.0, 0.45, 0.5), (4.0, 0.5, 0.6)]
)
def test_a_hundred_thousand_trials_come_close_to_the_claim(epsilon, one_run, one_run_gaussian):
    """10 clients, 3 of them silent, 10 000 canary tasks each on 2^17 coordinates, two rounds."""
    found = audit_canaries(CanaryDesign(epsilon=epsilon), trials=100_000, entropy=seeded(11))
    assert found.mechanism_test.trials == 100_000
    assert 0.85 * found.claim <= found.mechanism_test.epsilon
    assert found.found == ()
    assert one_run * found.claim <= found.one_run.epsilon
    assert one_run_gaussian * found.claim <= found.one_run_gaussian.epsilon
    assert found.mechanism_test.context.seeds is SeedPolicy.SEEDED


def test_a_smaller_audit_of_each_claim():
    for epsilon in (1.0, 2.0, 4.0):
        design = CanaryDesign(epsilon=epsilon, canaries=1430, dimension=1 << 14)
        found = audit_canaries(design, trials=20_000, entropy=seeded(5))
        assert 0.7 * found.claim <= found.mechanism_test.epsilon
        assert found.found == ()


@pytest.mark.long
def test_no_more_figures_above_the_claim_than_the_stated_error_allows():
    design = CanaryDesign(epsilon=2.0, canaries=70, dimension=1024)
    above, runs, p = np.zeros(3, int), 60, 0.05
    for number in range(runs):
        found = audit_canaries(design, trials=490, p=p, entropy=seeded(1000 + number))
        above += [bound.exceeds(found.claim) for bound in found.bounds]
    # At p exactly, more than this many happen with probability 1e-4.
    assert above.max() <= binom.isf(1e-4, runs, p)
    # The two limits of the mechanism test must both fail: that is rarer by far.
    assert above[0] <= binom.isf(1e-4, runs, 0.005)


def test_blocks_of_tasks_are_the_whole_clipped_sum():
    """Clipping a task on its block's coordinates, then noising the sum, is one call of the site's own release."""
    design = CanaryDesign(epsilon=4.0, canaries=24, dimension=256)
    mechanism = CanaryMechanism(design, entropy=seeded(1))
    coins = np.arange(24) % 3 == 0
    tasks = np.zeros((24, 256))
    tasks[np.arange(24), 24 * 2 + np.arange(24)] = OVERSHOOT * coins
    whole = ClippedNoisySum(clip_norm=1.0, encoding=design.encoding, noise=mechanism.noise)
    expected = whole(tasks, Keystream(seeded(2)(16)).words)
    mechanism.entropy = seeded(2)
    assert np.array_equal(mechanism.release(2, coins), expected)


def test_blocks_smaller_than_a_client_change_nothing(monkeypatch):
    design = CanaryDesign(epsilon=4.0, canaries=24, dimension=256)
    coins = np.arange(24) % 3 == 0
    one = CanaryMechanism(design, entropy=seeded(1)).release(0, coins)
    monkeypatch.setattr("secure_fedmeta.attacks.canaries._DENSE", 25)
    assert np.array_equal(CanaryMechanism(design, entropy=seeded(1)).release(0, coins), one)


def test_the_residual_has_the_planned_deviation():
    design = CanaryDesign(epsilon=4.0, canaries=1400, dimension=1 << 14)
    residual = CanaryMechanism(design, entropy=seeded(3)).run().residual
    assert np.std(residual) == pytest.approx(design.scale * np.sqrt(design.survivors), rel=0.03)


def test_the_claim_is_the_realised_survivors_claim():
    design = CanaryDesign(epsilon=4.0, canaries=10, dimension=128)
    assert design.survivors == 7
    assert len(masked_sum({i: np.zeros(4, np.uint32) for i in range(10)}, silent=design.lost).survivors) == 7
    assert 4.0 * (1 - 1e-3) < design.claim <= 4.0


@pytest.mark.parametrize(
    "settings",
    [{"canaries": 0}, {"canaries": 14_000}, {"silent": 0.5}, {"silent": -0.1}, {"epsilon": 0.0}, {"epsilon": -1.0}],
)
def test_designs_that_make_no_sense_are_refused(settings):
    with pytest.raises((SettingError, PrivacyError)):
        CanaryDesign(**({"epsilon": 4.0} | settings))


def test_rounds_that_make_no_sense_are_refused():
    two = {1: np.zeros(2, np.uint32), 2: np.zeros(2, np.uint32)}
    with pytest.raises(SettingError):
        masked_sum(two)
    with pytest.raises(PlanRefused):
        masked_sum(two | {3: np.zeros(2, np.uint32)}, silent=[1, 2])
    with pytest.raises(SettingError):
        audit_canaries(CanaryDesign(epsilon=4.0, canaries=1, dimension=64), trials=1)
    with pytest.raises(SettingError):
        audit_rounds(ClientRounds(ClientCanary(epsilon=4.0)), count=0)


def test_guesses_are_even_and_depend_on_trials_alone():
    for trials in (2, 3, 10, 999, 100_000, 140_000):
        assert guesses_for(trials) % 2 == 0
        assert 2 <= guesses_for(trials) <= trials


def test_canaries_that_stay_for_several_rounds_against_the_composed_claim():
    """Rounds of different noise, the same coins: the weighted score reaches most of what composition allows."""
    coins, scores, shifts = None, [], []
    for number, epsilon in enumerate((1.0, 2.0, 3.0)):
        design = CanaryDesign(epsilon=epsilon, canaries=1430, dimension=1 << 14)
        mechanism = CanaryMechanism(design, entropy=seeded(40 + number))
        coins = coins or mechanism.toss()
        done = mechanism.run(coins)
        scores.append(done.scores)
        shifts.append(design.mu)
    claim = gdp.epsilon_upper(float(np.linalg.norm(shifts)), 1e-5)
    where = AuditContext(Unit.TASK, View.SERVER, colluders=0, survivors=7, seeds=SeedPolicy.SEEDED)
    combined = combine_rounds(np.array(scores), np.array(shifts))
    found = gaussian_bound(decide(combined, done.coins, 0.5), delta=1e-5, p=0.05, context=where)
    last = gaussian_bound(decide(scores[-1], done.coins, 0.5), delta=1e-5, p=0.05, context=where)
    assert 0.8 * claim <= found.epsilon <= claim
    assert last.epsilon < found.epsilon


@pytest.mark.long
def test_complete_rounds_as_trials():
    found = audit_rounds(ClientRounds(ClientCanary(epsilon=4.0)), count=250)
    assert not found.refuted
    assert found.plain.epsilon > 0.3 * found.claim
    assert found.plain.trials == 500


def test_a_client_canary_is_clipped_to_the_norm():
    design = ClientCanary(epsilon=4.0)
    encoding = IntegerEncoding(design.encoding.step, design.dimension, 32)
    release = ClippedNoisySum(clip_norm=1.0, encoding=encoding, noise=None)
    vector = np.full((1, design.dimension), 4.0 / np.sqrt(design.dimension))
    assert np.linalg.norm(encoding.decode(release(vector, None))) == pytest.approx(1.0, abs=1e-3)
