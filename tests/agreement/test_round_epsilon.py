"""What a round is said to cost, against a second accountant and against what two worlds really look like.

False alarms: each hockey-stick estimate is compared with the claim plus a Hoeffding margin of 1e-6, over seven
thresholds; the test of honest noise fails without a fault in fewer than one in 10^5 runs. Noise that is too small by
sqrt(2) moves the estimate by more than four standard deviations beyond that margin.
"""

import math

import numpy as np
import pytest
from small_runs import arrays_plan, local_site, simulation_of, small_book, small_plan, small_records

from fedmeta_privacy import gdp
from fedmeta_privacy.budget import GdpFilter
from fedmeta_privacy.dp_sgd import ClippedNoisySum
from fedmeta_privacy.noise import DiscreteGaussian
from secure_fedmeta.run import federate
from secure_fedmeta.schedule import make_schedule
from secure_fedmeta.tasks import Task

ROUNDS = 1200
EPSILONS = (0.0, 0.25, 0.5, 1.0, 1.5, 2.0, 3.0)
FALSE_ALARM = 1e-6


@pytest.mark.parametrize(
    "settings",
    [
        {"epsilon": 0.5},
        {"epsilon": 3.0, "colluders": 2, "dropout": 0.1, "planned_survivors": 7},
        {"epsilon": 12.0, "aggregation": "none"},
        {"epsilon": 8.0, "algorithm": "fomaml", "rounds": 5},
    ],
)
def test_the_second_accountant_agrees(settings):
    run = federate(arrays_plan(**settings), small_records(8), small_book())
    assert 0 < run.spent.server <= settings["epsilon"]
    # The privacy-loss distribution is pessimistic and never below the exact curve, up to its own rounding.
    assert run.spent.server * (1 - 1e-4) - 1e-4 <= run.second_opinion <= run.spent.server * (1 + 1e-3) + 5e-4


def empty(dimension):
    return Task(np.empty((0, dimension)), np.empty(0), np.empty((0, dimension)), np.empty(0))


def decoded_sums(schedule, with_patient, scale):
    """Decoded sums along the patient's direction; site 1 holds one patient's query record, or nobody's."""
    dimension = schedule.dimension
    direction = np.full((1, dimension), 1 / math.sqrt(dimension)) * (1 - 1e-12)
    nobody = empty(dimension)
    first = Task(nobody.support_rows, nobody.support_labels, direction, np.zeros(1)) if with_patient else nobody
    sites = {i: local_site(i, first if i == 1 else nobody, schedule, (1, 2, 3)) for i in (1, 2, 3)}
    for site in sites.values():
        site.client._release = ClippedNoisySum(
            clip_norm=schedule.plan.clip_norm, encoding=schedule.encoding, noise=DiscreteGaussian(scale)
        )
    run = simulation_of(schedule, sites)
    drawn = np.empty(ROUNDS)
    for number in range(ROUNDS):
        for site in sites.values():
            site.client.budget = GdpFilter(schedule.limit)  # one world, many independent repetitions of round 1
            site.client._last_round = 0
        run.server.round = run.server._booked = 0
        run.server.outer.theta = np.zeros(dimension)
        assert run.run_round().closed.survivors == (1, 2, 3)
        drawn[number] = run.server.last_sum.astype(float) @ direction[0]
    return drawn


@pytest.fixture(
    scope="module", params=[pytest.param(1, marks=pytest.mark.long), pytest.param(2, marks=pytest.mark.long)]
)
def schedule(request):
    # Signatures change nothing in the sum, and cost most of a round.
    plan = small_plan(rounds=1, epsilon=10.0, delta=1e-3, outer_lr=1e-9, query_slots=1, strength="semi-honest")
    made = make_schedule(plan, clients=3, dimension=request.param)
    assert made.sensitivity.worst == pytest.approx(plan.clip_norm, rel=1e-5)
    return made


def excesses(schedule, scale):
    """How far each estimated hockey-stick divergence lies above the claim, in both directions."""
    mu = math.sqrt(schedule.planned_shift)
    sensitivity = schedule.plan.clip_norm / schedule.encoding.step
    here, gone = decoded_sums(schedule, True, scale), decoded_sums(schedule, False, scale)
    found = []
    for epsilon in EPSILONS:
        # The best event against Gaussian noise, fixed beforehand: half-lines.
        cut = sensitivity * (0.5 + epsilon / mu**2)
        margin = math.sqrt((1 + math.exp(2 * epsilon)) * math.log(1 / FALSE_ALARM) / (2 * ROUNDS))
        claim = gdp.delta_upper(epsilon, mu)
        added = np.mean(here > cut) - math.exp(epsilon) * np.mean(gone > cut)
        removed = np.mean(gone < sensitivity - cut) - math.exp(epsilon) * np.mean(here < sensitivity - cut)
        found += [added - claim - margin, removed - claim - margin]
    return found


def test_two_worlds_stay_below_the_claimed_curve(schedule):
    assert max(excesses(schedule, schedule.scale)) <= 0


def test_noise_that_is_too_small_is_caught(schedule):
    assert max(excesses(schedule, schedule.scale / math.sqrt(2))) > 0
