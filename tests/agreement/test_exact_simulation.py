"""The simulation without cryptography opens the same integers as the masked protocol, whoever falls silent."""

from unittest import mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_runs import small_run, tasks_for

from secure_fedmeta.entropy import noise_key
from secure_fedmeta.federation import client as client_module
from secure_fedmeta.federation.dropouts import PHASES
from secure_fedmeta.federation.surplus import own_parts
from secure_fedmeta.population.exact import ExactSimulation


class Watched:
    """A real run whose noise seeds, surplus seeds and sessions are noted as its sites draw them."""

    def __init__(self, run, sites):
        self.run, self.noise, self.surplus, self.sessions = run, {}, {}, {}
        self.site = None
        for site, party in sites.items():
            party.client._upload = self._noting(site, party.client._upload)

    def _noting(self, site, upload):
        def noted(session, seeds=()):
            self.site = site
            self.sessions[session.parameters.round] = session.session
            return upload(session, seeds)

        return noted

    def _key(self, entropy):
        seed = entropy(32)
        self.noise[self.run.server.round, self.site] = seed
        return noise_key(lambda _: seed)

    def _parts(self, noise, seeds, *, session, dimension):
        self.surplus[self.run.server.round, self.site] = tuple(seeds)
        return own_parts(noise, seeds, session=session, dimension=dimension)

    def round(self, silent):
        with (
            mock.patch("secure_fedmeta.federation.simulation.dropout_pattern", return_value=silent),
            mock.patch.object(client_module, "noise_key", self._key),
            mock.patch.object(client_module, "own_parts", self._parts),
        ):
            return self.run.run_round().closed


def compare(n, patterns, ids=None, **changes):
    run, sites = small_run(n, ids=ids, rounds=len(patterns), **changes)
    watched = Watched(run, sites)
    exact = ExactSimulation(
        run.schedule,
        tasks_for(run.cohort, run.schedule.dimension),
        lambda number, site: watched.noise[number, site],
        surplus=lambda number, site: watched.surplus[number, site],
    )
    opened = 0
    for silent in patterns:
        if not run.affords_round():
            break
        theta, number = run.server.outer.theta.copy(), run.server.round + 1
        closed = watched.round(silent)
        session = watched.sessions.get(number, bytes(32))
        found = exact.round(number, theta, silent, session=session)
        if closed.aborted is not None:
            assert found.total is None
            continue
        opened += 1
        assert found.survivors == closed.survivors
        assert found.total is not None and found.total.dtype == np.int64
        np.testing.assert_array_equal(found.total, run.server.last_sum)
    return opened


@settings(max_examples=25, deadline=None)
@given(
    ids=st.sets(st.integers(1, 2**32 - 2), min_size=3, max_size=9).map(sorted),
    data=st.data(),
    epsilon=st.sampled_from(["none", 3.0, 30.0]),
    strength=st.sampled_from(["malicious", "semi-honest"]),
)
def test_bit_equal_to_the_masked_protocol_whoever_falls_silent_when(ids, data, epsilon, strength):
    if strength == "semi-honest":
        ids = list(range(1, len(ids) + 1))
    pattern = st.dictionaries(st.sampled_from(ids), st.sampled_from(PHASES), max_size=len(ids))
    patterns = data.draw(st.lists(pattern, min_size=1, max_size=3))
    compare(len(ids), patterns, ids=ids, epsilon=epsilon, strength=strength)


@pytest.mark.parametrize("phase", PHASES)
def test_every_phase_with_noise_missing_from_the_sum(phase):
    assert compare(7, [{3: phase}, {}, {3: phase, 6: phase}], epsilon=8.0) >= 2


@pytest.mark.parametrize("phase", PHASES)
def test_removable_noise_too(phase):
    assert compare(7, [{3: phase}, {}, {2: phase, 6: "unmask"}], epsilon=8.0, dropout_noise="surplus") >= 2


def test_unmasked_rounds_and_small_rings():
    assert compare(5, [{}, {2: "mask"}], aggregation="none") == 2
    assert compare(5, [{}, {2: "mask"}], epsilon="none", modulus_bits=20) == 2


def test_another_seed_is_another_sum():
    run, sites = small_run(5, epsilon=8.0, rounds=1)
    watched = Watched(run, sites)
    exact = ExactSimulation(run.schedule, tasks_for(run.cohort), lambda number, site: bytes(32))
    theta = run.server.outer.theta.copy()
    watched.round({})
    found = exact.round(1, theta, {}).total
    assert found is not None and not np.array_equal(found, run.server.last_sum)
