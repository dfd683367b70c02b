# SPDX-License-Identifier: Apache-2.0
"""Removable noise, measured: how much is left in the decoded sum, and what two worlds look like to the server.

The measured rounds run the whole protocol under reproducible entropy, so that they cannot fail by chance; the tolerance
is stated in standard errors all the same. In the two-world test each coordinate is one independent repetition of a
mechanism on one number; every estimate is compared with the claim plus a Hoeffding margin of 1e-6.
"""

import math
from unittest import mock

import numpy as np
import pytest
from crypto_rounds import Rehearsal, signed_plan
from small_runs import local_site, simulation_of, small_plan

from fedmeta_crypto import Keystream
from fedmeta_privacy import accountant, gdp
from fedmeta_privacy.calibration import Release
from fedmeta_privacy.surplus import SurplusNoise, samplers
from secure_fedmeta.federation.surplus import own_parts, surplus_parts
from secure_fedmeta.schedule import make_schedule
from secure_fedmeta.tasks import Task

SITES, ROUNDS, DIMENSION = 10, 10, 20_000


def measured(mode, *, lost, colluders):
    """Variance of the noise in the decoded sums of rounds without data over the variance asked for, and its error."""
    plan = small_plan(
        rounds=ROUNDS,
        epsilon=8.0,
        outer_lr=1e-9,
        dropout_noise=mode,
        planned_survivors=SITES - 3,
        corrupt_fraction=0.0,
        colluders=colluders,
        insecure_reproducible=True,
    )
    schedule = make_schedule(plan, clients=SITES, dimension=DIMENSION)
    ids = range(1, SITES + 1)
    nobody = Task(np.empty((0, DIMENSION)), np.empty(0), np.empty((0, DIMENSION)), np.empty(0))
    run = simulation_of(schedule, {site: local_site(site, nobody, schedule, ids) for site in ids})
    pattern = dict.fromkeys(list(ids)[:lost], "mask")
    sums = []
    with mock.patch("secure_fedmeta.federation.simulation.dropout_pattern", return_value=pattern):
        for _ in range(ROUNDS):
            assert len(run.run_round().closed.survivors) == SITES - lost
            sums.append(run.server.last_sum.astype(float))
    needed = 1 / schedule.floor_shift * schedule.release.l2_sensitivity**2 + 9
    honest = SITES - lost - schedule.colluders
    best = needed * (SITES - lost) / honest  # whoever counts c colluders out must add their share besides
    found = np.mean(np.square(sums)) / best
    return found, math.sqrt(2 / (ROUNDS * DIMENSION))


@pytest.mark.long
@pytest.mark.parametrize("colluders", [0, 1])
@pytest.mark.parametrize("lost", [0, 1, 3])
def test_what_is_left_is_within_a_hundredth_of_the_optimum(lost, colluders):
    found, error = measured("surplus", lost=lost, colluders=colluders)
    assert abs(found - 1) < 0.01 and error < 0.01 / 3


@pytest.mark.long
def test_over_provisioning_leaves_as_much_more_as_there_are_dropouts_to_fear():
    """1 / (1 - 0.3) = 1.43 times the optimum when nobody drops out; the optimum when three of ten do."""
    assert measured("over-provision", lost=0, colluders=0)[0] == pytest.approx(1 / 0.7, rel=0.01)
    assert measured("over-provision", lost=3, colluders=0)[0] == pytest.approx(1.0, rel=0.01)


@pytest.mark.parametrize("strength", ["malicious", "semi-honest"])
@pytest.mark.parametrize("colluders", [0, 1, 2])
def test_the_realised_epsilon_is_the_planned_one_whoever_drops_out(strength, colluders):
    """30 % dropouts: the books, the sites' filters and a second accountant, against the plan."""
    plan = small_plan(rounds=4, epsilon=3.0, dropout_noise="surplus", strength=strength, colluders=colluders)
    schedule = make_schedule(plan, clients=SITES, dimension=5)
    ids = range(1, SITES + 1)
    nobody = Task(np.empty((0, 5)), np.empty(0), np.empty((0, 5)), np.empty(0))
    sites = {site: local_site(site, nobody, schedule, ids) for site in ids}
    run = simulation_of(schedule, sites)
    most = schedule.surplus_parts
    for number, lost in enumerate([most, 0, 1, most], start=1):
        pattern = dict(zip(ids, ["advertise", "share", "mask"][:lost], strict=False))
        with mock.patch("secure_fedmeta.federation.simulation.dropout_pattern", return_value=pattern):
            closed = run.run_round().closed
        assert len(closed.survivors) == SITES - lost
        # A site that was there each time has paid one floor a round, neither more nor less.
        assert sites[10].client.budget.spent == pytest.approx(number * schedule.floor_shift, rel=1e-12)
        assert closed.spent.server <= plan.epsilon and closed.spent.release <= closed.spent.server <= closed.spent.local
    assert schedule.planned_shift == schedule.floor_shift
    assert closed.spent.server > 0.999 * plan.epsilon  # nothing is wasted
    assert accountant.epsilon(run.server.accounts.events(), plan.delta).upper <= plan.epsilon
    assert max(site.client.budget.spent for site in sites.values()) <= schedule.limit
    assert not sites[10].affords(schedule.floor_shift)


# -- two worlds ----------------------------------------------------------------------------------------

N, CORRUPT, DROPPED, SCALE, REPEATS = 10, 2, 2, 36.0, 60_000
SENSITIVITY = 54
EPSILONS = (0.0, 0.5, 1.0, 2.0)


def server_view(noise, *, lost, data, seed, believed=None):
    """What the server has after a round, less what its two corrupt clients added: one number per repetition."""
    parameters = signed_plan(
        N, corrupt=CORRUPT, dropped=DROPPED, surplus=DROPPED, bits=24, length=REPEATS, server_nonce=bytes([seed]) * 32
    )
    rehearsal = Rehearsal(parameters, seed=f"worlds {seed}").advertise().share().deliver()
    ids, session = parameters.cohort, parameters.session
    vectors = {}
    for i, id_ in enumerate(ids):
        base = samplers(noise.scales)[0].sample(REPEATS, Keystream(bytes([seed, i]) * 8).words)
        vectors[id_] = base + own_parts(noise, rehearsal.surplus_of(id_), session=session, dimension=REPEATS)
    vectors[ids[-1]] = vectors[ids[-1]] + data
    rehearsal.vectors = {id_: (vector % 2**24).astype(np.uint32) for id_, vector in vectors.items()}
    opened = rehearsal.mask(drop=ids[2 : 2 + lost]).agree().unmask()
    believed = lost if believed is None else believed
    seeds = [rehearsal.surplus_of(id_)[believed:] for id_ in opened.survivors]
    assert believed != lost or tuple(seeds) == opened.surplus or not opened.surplus
    removed = surplus_parts(noise, seeds, dropped=believed, session=session, dimension=REPEATS)
    corrupt = sum(vectors[id_] for id_ in ids[:CORRUPT])
    own = surplus_parts(noise, seeds[:CORRUPT], dropped=believed, session=session, dimension=REPEATS)
    left = opened.total.astype(np.int64) - removed - (corrupt - own)
    return (left + 2**23) % 2**24 - 2**23


def excess(noise, **view):
    """How far the largest estimated hockey-stick divergence lies above the claim, in either direction."""
    release = Release(float(SENSITIVITY), dimension=1, parties=N * (DROPPED + 1))
    mu = math.sqrt(SurplusNoise(N, CORRUPT, DROPPED, SCALE).floor_shift(release))
    here = server_view(noise, data=SENSITIVITY, seed=1, **view)
    gone = server_view(noise, data=0, seed=2, **view)
    found = []
    for epsilon in EPSILONS:
        cut = SENSITIVITY * (0.5 + epsilon / mu**2)
        margin = math.sqrt((1 + math.exp(2 * epsilon)) * math.log(1e6) / (2 * REPEATS))
        claim = gdp.delta_upper(epsilon, mu)
        added = np.mean(here > cut) - math.exp(epsilon) * np.mean(gone > cut)
        removed = np.mean(gone < SENSITIVITY - cut) - math.exp(epsilon) * np.mean(here < SENSITIVITY - cut)
        found += [added - claim - margin, removed - claim - margin]
    return max(found)


@pytest.mark.parametrize("lost", [0, 1, 2])
def test_two_worlds_stay_below_the_claimed_curve(lost):
    assert excess(SurplusNoise(N, CORRUPT, DROPPED, SCALE), lost=lost) <= 0


@pytest.mark.parametrize("lost", [0, 2])
def test_parts_that_forget_the_corrupt_are_caught(lost):
    assert excess(SurplusNoise(N, 0, DROPPED, SCALE), lost=lost) > 0


def test_a_lie_about_the_dropouts_would_be_caught():
    assert excess(SurplusNoise(N, CORRUPT, DROPPED, SCALE), lost=2, believed=0) > 0
