"""What the server decodes is the integer sum of the survivors' encodings, bit for bit."""

from unittest import mock

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from small_runs import small_run, tap

from secure_fedmeta.federation.dropouts import PHASES

IDS = st.sets(st.integers(1, 2**32 - 2), min_size=3, max_size=9).map(sorted)
DATA = st.data()


def exact_sum(seen, survivors, position):
    """In Python's integers, so that no machine word can wrap."""
    vectors = [[int(x) for x in seen[site][position[site]]] for site in survivors]
    return [sum(column) for column in zip(*vectors, strict=True)]


def check_rounds(run, sites, patterns):
    seen = tap(sites)
    for pattern in patterns:
        if not run.affords_round():
            break
        before = {site: len(vectors) for site, vectors in seen.items()}
        held = run.server.last_sum
        with mock.patch("secure_fedmeta.federation.simulation.dropout_pattern", return_value=pattern):
            closed = run.run_round().closed
        assert set(closed.survivors).isdisjoint(
            site for site, phase in pattern.items() if phase != "unmask" or run.schedule.plan.aggregation == "none"
        )
        assert all(len(vectors) <= before[site] + 1 for site, vectors in seen.items())
        if closed.aborted is not None:
            assert run.server.last_sum is held
            continue
        expected = exact_sum(seen, closed.survivors, before)
        assert run.server.last_sum.dtype == np.int64
        assert run.server.last_sum.tolist() == expected


@settings(max_examples=60, deadline=None)
@given(ids=IDS, dimension=st.integers(1, 20), data=DATA, epsilon=st.sampled_from(["none", 3.0, 30.0]))
def test_masked_rounds_open_exactly_the_survivors_sum(ids, dimension, data, epsilon):
    pattern = st.dictionaries(st.sampled_from(ids), st.sampled_from(PHASES), max_size=len(ids))
    patterns = data.draw(st.lists(pattern, min_size=1, max_size=3))
    algorithm = data.draw(st.sampled_from(["maml", "fomaml"]))
    run, sites = small_run(
        ids=ids, dimension=dimension, epsilon=epsilon, rounds=len(patterns), algorithm=algorithm, outer_lr=30.0
    )
    check_rounds(run, sites, patterns)
    assert run.server.round >= 1


@settings(max_examples=30, deadline=None)
@given(ids=IDS, dimension=st.integers(1, 48), data=DATA, epsilon=st.sampled_from(["none", 3.0]))
def test_rounds_without_masks_open_the_same(ids, dimension, data, epsilon):
    pattern = st.dictionaries(st.sampled_from(ids), st.sampled_from(PHASES), max_size=len(ids))
    patterns = data.draw(st.lists(pattern, min_size=1, max_size=3))
    run, sites = small_run(ids=ids, dimension=dimension, epsilon=epsilon, rounds=len(patterns), aggregation="none")
    check_rounds(run, sites, patterns)


@settings(max_examples=25, deadline=None)
@example(seed=0, rate=0.0, n=8)
@given(seed=st.integers(0, 2**63 - 1), rate=st.floats(0, 0.6), n=st.integers(3, 12))
def test_at_the_dropout_rates_of_the_simulation(seed, rate, n):
    run, sites = small_run(n, dropout=rate, seed=0, planned_survivors=n, rounds=2, epsilon=8.0)
    object.__setattr__(run.schedule.plan, "seed", seed)
    seen = tap(sites)
    for number, report in enumerate(run.rounds(), start=1):
        closed = report.closed
        assert closed.round == number
        if closed.aborted is None:
            last = {site: len(vectors) - 1 for site, vectors in seen.items()}
            assert run.server.last_sum.tolist() == exact_sum(seen, closed.survivors, last)
        else:
            assert len(closed.survivors) == 0


@pytest.mark.parametrize("bits", [20, 24, 28])
def test_in_smaller_rings_too(bits):
    run, sites = small_run(5, epsilon="none", modulus_bits=bits, rounds=3)
    check_rounds(run, sites, [{}, {3: "mask"}, {1: "unmask"}])


def test_with_noise_a_smaller_ring_is_exact_as_well():
    run, sites = small_run(5, epsilon=20.0, modulus_bits=24, rounds=3)
    seen = tap(sites)
    for _ in range(3):
        run.run_round()
    assert max(abs(int(x)) for vectors in seen.values() for v in vectors for x in v) > 1000
    assert run.server.last_sum.tolist() == exact_sum(seen, run.cohort, dict.fromkeys(run.cohort, 2))


def test_the_model_moves_by_the_decoded_sum_and_nothing_else():
    run, sites = small_run(5, epsilon=8.0, rounds=1, outer_lr=2.0)
    seen = tap(sites)
    run.run_round()
    total = np.array(exact_sum(seen, run.cohort, dict.fromkeys(run.cohort, 0)), dtype=np.float64)
    mean = total * run.schedule.encoding.step / (5 * run.schedule.plan.query_slots)
    np.testing.assert_allclose(run.server.outer.theta, -2.0 * mean, rtol=1e-12)
