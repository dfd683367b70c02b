"""Two worlds told apart by their noisy uploads: the observed hockey-stick stays below the claimed one, in every mode.

The view is `local`: one site's upload, as its own code makes it, with its own noise alone. Events are fixed beforehand:
half-lines along the direction in which the noiseless uploads of the two worlds differ.
"""

import math

import numpy as np
import pytest
from mode_runs import MODES, mode_schedule
from small_runs import local_site
from worst_pairs import pairs, worst_theta

from fedmeta_privacy import gdp

COHORT = (1, 2, 3, 4)
PILOT, TRIALS, FALSE_ALARM = 100, 600, 1e-6
EPSILONS = (0.0, 0.5, 1.0)
SLOW = pytest.mark.long  # a network's gradients anew in every trial
CASES = [
    ("glm-logistic", "query"),
    ("glm-softmax", "query"),
    pytest.param("noisy-inner", "support", marks=SLOW),
    pytest.param("noisy-inner", "query", marks=SLOW),
    pytest.param("noisy-inner-second", "support", marks=SLOW),
    pytest.param("noisy-inner-second", "query", marks=SLOW),
    ("person", "person"),
    ("person-replace", "person"),
    ("site", "site"),
]


def loud(name, role):
    """A plan of one round whose local view costs about mu = 1.5 to 3: easy to measure."""
    # Clipped short, query gradients would all point the same way and say nothing about the support.
    wide = {"clip_norm": 5.0} if name.startswith("noisy-inner") and role == "support" else {}
    return mode_schedule(name, rounds=1, epsilon=5.0, inner_steps=1, **wide)


def uploads(schedule, held, theta, *, trials, seed, weaken=1.0):
    """Independent uploads of one site, (trials, P), by the client's own parts, each with fresh noise."""
    client = local_site(1, held, schedule, COHORT).client
    generator = np.random.default_rng(seed)

    def words(n):
        return generator.integers(0, 2**64, n, dtype=np.uint64, endpoint=False)

    drawn = np.empty((trials, schedule.dimension))
    # Without noise inside, what is clipped and summed is the same in every trial.
    same = None if schedule.inner else client._contribution.units(theta, words)
    for trial in range(trials):
        steps = client._release(client._contribution.units(theta, words) if same is None else same, words)
        drawn[trial] = client._contribution.finish(steps, words)
    mean = drawn.mean(axis=0)
    return mean + weaken * (drawn - mean)


def excess(schedule, role, *, weaken=1.0):
    """The largest estimate of delta(epsilon) - claim over both directions, less the margin of its error."""
    one, other = pairs(schedule)[role]
    theta = worst_theta(schedule)
    # With the same words in both worlds, the difference is that of the noiseless vectors, or close to it.
    coupled = [uploads(schedule, held, theta, trials=20, seed=1).mean(axis=0) for held in (one, other)]
    direction = coupled[0] - coupled[1]
    distance = float(np.linalg.norm(direction))
    direction /= distance
    here, gone = (
        uploads(schedule, held, theta, trials=PILOT + TRIALS, seed=10 + i, weaken=weaken) @ direction
        for i, held in enumerate((one, other))
    )
    middle = (here[:PILOT].mean() + gone[:PILOT].mean()) / 2
    here, gone = here[PILOT:], gone[PILOT:]
    mu = math.sqrt(schedule.shift(1))
    found = []
    for epsilon in EPSILONS:
        claim = gdp.delta_upper(epsilon, mu)
        margin = math.sqrt((1 + math.exp(2 * epsilon)) * math.log(1 / FALSE_ALARM) / (2 * TRIALS))
        cut = epsilon / mu**2 * distance  # the best half-line if the uploads were as far apart as claimed
        high = np.mean(here > middle + cut) - math.exp(epsilon) * np.mean(gone > middle + cut)
        low = np.mean(gone < middle - cut) - math.exp(epsilon) * np.mean(here < middle - cut)
        found += [high - claim - margin, low - claim - margin]
    return max(found), mu


@pytest.mark.parametrize(("name", "role"), CASES)
def test_the_observed_hockey_stick_stays_below_the_claim(name, role):
    found, mu = excess(loud(name, role), role)
    print(name, role, f"mu={mu:.2f} excess={found:.3f}")
    assert found <= 0


@pytest.mark.parametrize(("name", "role"), [("glm-logistic", "query"), ("person", "person"), ("site", "site")])
def test_noise_that_is_too_small_is_seen(name, role):
    found, _ = excess(loud(name, role), role, weaken=1 / 3)
    assert found > 0


def test_every_mode_is_among_the_cases():
    assert {name.removesuffix("-replace").removesuffix("-first-order") for name in MODES} == {
        case.values[0] if hasattr(case, "values") else case[0].removesuffix("-replace") for case in CASES
    }
