"""Two worlds that differ in one unit, through whole rounds of the real code: encode, noise, mask, sum, decode.

Both worlds draw the same keys, masks and noise (a reproducible run), so the two opened sums differ as the noiseless
integer vectors do. That must never exceed the sensitivity that the noise is scaled by, and attains it.
"""

import numpy as np
import pytest
from mode_runs import ALGORITHM_MODES, MODES, mode_data, mode_schedule
from small_runs import local_site, simulation_of
from worst_pairs import pairs, worst_theta

from secure_fedmeta.plan import Plan

COHORT = (1, 2, 3, 4)


def opened(schedule, victims, theta):
    """The integer sum of one round in which site 1 holds `victims` and the others the same in every world."""
    held = {site: mode_data(schedule, np.random.default_rng([7, site])) for site in COHORT} | {1: victims}
    run = simulation_of(schedule, {site: local_site(site, data, schedule, COHORT) for site, data in held.items()})
    run.server.outer.theta = theta
    report = run.run_round()
    assert report.closed.survivors == COHORT
    return run.server.last_sum


def moved(schedule, role, theta=None):
    one, other = pairs(schedule)[role]
    theta = worst_theta(schedule) if theta is None else theta
    difference = opened(schedule, one, theta) - opened(schedule, other, theta)
    return float(np.linalg.norm(difference))


def reproducible(name, **changes):
    return mode_schedule(name, insecure_reproducible=True, **changes)


@pytest.mark.parametrize("name", [n for n in MODES | ALGORITHM_MODES if n != "noisy-inner-second"])
def test_a_unit_moves_the_opened_sum_by_at_most_the_stated_steps(name):
    schedule = reproducible(name)
    stated = schedule.release.l2_sensitivity
    roles = [role for role in pairs(schedule) if not (role == "support" and schedule.inner)]
    found = {role: moved(schedule, role) for role in roles}
    print(name, {role: round(norm / stated, 3) for role, norm in found.items()})
    assert max(found.values()) <= stated
    assert max(found.values()) > 0.45 * stated
    if schedule.plan.mode != "bounded-glm" and schedule.plan.clipping == "flat":
        assert max(found.values()) > 0.99 * stated, "the pair no longer attains the clip"


def test_a_support_record_attains_its_bound_in_the_opened_sum():
    """One step in second order, with the clip out of the way: 8/27 of the query role and no more."""
    schedule = reproducible("glm-logistic", clip_norm=1.0)
    bound = schedule.encoding.l2_sensitivity(schedule.sensitivity.support)
    assert 0.9 * bound < moved(schedule, "support") <= bound
    assert moved(schedule, "support") > 0.9 * 8 / 27 / schedule.encoding.step


@pytest.mark.parametrize("name", [n for n in MODES if n.startswith("noisy-inner")])
@pytest.mark.parametrize("role", ["support", "query"])
def test_noisy_inner_release_by_release(name, role):
    """Each noisy sum inside the adaptation, given the ones before it, moves by at most its own stated steps."""
    schedule = reproducible(name)
    worlds = []
    for held in pairs(schedule)[role]:
        client = local_site(1, held, schedule, COHORT).client
        engine, theta = client._contribution._engine, worst_theta(schedule)
        gradients = engine.example_gradients(theta, *rows_of(held, "support"))
        products = engine.example_products(theta, *rows_of(held, "support"), 1e3 * np.ones(schedule.dimension))
        query = engine.example_gradients(theta, *rows_of(held, "query"))
        sums = client._contribution._sums
        inner = [one(rows, steady()) for one, rows in zip(sums, (gradients, products), strict=False)]
        worlds.append([*inner, client._release(query, steady())])
    stated = [one.release.l2_sensitivity for one in schedule.inner] + [schedule.release.l2_sensitivity]
    found = [float(np.linalg.norm(a - b)) for a, b in zip(*worlds, strict=True)]
    assert all(norm <= bound for norm, bound in zip(found, stated, strict=True))
    own = found[:-1] if role == "support" else found[-1:]
    other = found[-1:] if role == "support" else found[:-1]
    assert max(own) > 0.99 * stated[0 if role == "support" else -1]
    assert max(other) == 0.0


def rows_of(held, role):
    return getattr(held, f"{role}_rows"), getattr(held, f"{role}_labels")


def steady():
    """The same words in both worlds."""
    generator = np.random.default_rng(3)
    return lambda n: generator.integers(0, 2**64, n, dtype=np.uint64, endpoint=False)


def test_private_hessian_path_moves_by_the_query_release_alone():
    """A query record changes v_K by its clip; what follows is a function of v_K, the path and the support records."""
    schedule = reproducible("noisy-inner-second")
    vectors = []
    for held in pairs(schedule)["query"]:
        contribution = local_site(1, held, schedule, COHORT).client._contribution
        words = steady()
        contribution.units(worst_theta(schedule), words)
        vectors.append(contribution.finish(np.zeros(schedule.dimension, np.int64), words))
    assert (vectors[0] == vectors[1]).all()


def test_a_clip_left_out_is_seen():
    """The test of this file can fail: without the clip a person moves the sum by more than stated."""
    schedule = reproducible("person")
    loose = Plan.model_copy(schedule.plan, update={"clip_norm": 10 * schedule.plan.clip_norm})
    stated = schedule.release.l2_sensitivity
    object.__setattr__(schedule, "plan", loose)
    assert moved(schedule, "person") > 2 * stated


@pytest.mark.parametrize("name", ["person", "noisy-inner", "site"])
def test_a_unit_is_the_same_whoever_stands_beside_it(name):
    schedule = mode_schedule(name)
    rng = np.random.default_rng(1)
    theta = worst_theta(schedule)
    engine = local_site(1, mode_data(schedule, rng), schedule, COHORT).client._contribution._engine
    people = mode_data(mode_schedule("person"), rng, units=8)
    whole = engine.contributions(theta, people)
    for gone in range(len(people)):
        kept = [task for index, task in enumerate(people) if index != gone]
        assert (engine.contributions(theta, kept) == np.delete(whole, gone, axis=0)).all()
    rows, labels = people[0].query_rows, people[0].query_labels
    alone = np.vstack([engine.example_gradients(theta, rows[i : i + 1], labels[i : i + 1]) for i in range(len(rows))])
    assert (engine.example_gradients(theta, rows, labels) == alone).all()
