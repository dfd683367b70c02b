# SPDX-License-Identifier: Apache-2.0
"""The server wants other neighbours or thresholds than a client's own policy: refused before any key is made."""

import pytest
from crypto_rounds import Rehearsal, people_of, policy, signed_by, sparse_plan

from fedmeta_crypto import SERVER, Strength
from fedmeta_crypto.errors import InconsistentRoster, PlanRefused
from fedmeta_crypto.messages import Roster
from fedmeta_crypto.secagg.parameters import Graph

N = 140


def policy_of(strength, **changes):
    ids = tuple(range(N))
    numbers = {"corrupt_fraction": 0.05, "dropout_fraction": 0.05, "min_threshold": None}
    people = {"allow_list": people_of(ids)} if strength.signed else {}
    return policy(**(numbers | people | {"allowed_strengths": frozenset({strength})} | changes))


def announced(strength, **changes):
    """What a server of the same policy announces, altered."""
    found = policy_of(strength).graph(N, strength)
    fields = {"k": found.neighbours, "threshold": found.threshold, "corrupt": found.corrupt, "dropped": found.dropped}
    return sparse_plan(N, ids=tuple(range(N)), strength=strength, **(fields | changes))


@pytest.mark.parametrize("strength", Strength)
def test_its_own_numbers_are_accepted(strength):
    parameters = announced(strength)
    assert parameters.graph is (Graph.CIRCULANT if strength is Strength.MALICIOUS else Graph.RANDOM_HARARY)
    policy_of(strength).check(parameters, client_id=3)


@pytest.mark.parametrize("strength", Strength)
@pytest.mark.parametrize("change", ["more neighbours", "fewer neighbours", "lower t", "higher t", "A", "D"])
def test_any_other_number_is_refused(strength, change):
    found = policy_of(strength).graph(N, strength)
    k, t, a, d = found.neighbours, found.threshold, found.corrupt, found.dropped
    changes = {
        "more neighbours": {"k": k + 2, "threshold": (k + 2 + a) // 2 + 1},
        "fewer neighbours": {"k": k - 2, "threshold": (k - 2 + a) // 2 + 1},
        "lower t": {"threshold": t - 1},
        "higher t": {"threshold": t + 1},
        "A": {"corrupt": a - 1, "threshold": (k + a - 1) // 2 + 1 if strength is Strength.MALICIOUS else t},
        "D": {"dropped": d - 1},
    }
    with pytest.raises(PlanRefused):
        policy_of(strength).check(announced(strength, **changes[change]), client_id=3)


def test_a_random_graph_in_the_place_of_the_assured_one():
    """The same cohort at the weaker strength: a client that allows only the stronger one refuses."""
    with pytest.raises(PlanRefused, match="strength"):
        policy_of(Strength.MALICIOUS).check(announced(Strength.SEMI_MALICIOUS), client_id=3)


def test_a_small_cohort_is_never_sparse():
    found = policy_of(Strength.SEMI_HONEST)
    parameters = sparse_plan(100, strength=Strength.SEMI_HONEST, corrupt=5, dropped=5, k=12, threshold=6)
    with pytest.raises(PlanRefused, match="neighbours=99"):
        found.check(parameters, client_id=3)


@pytest.mark.parametrize("strength", Strength)
def test_what_nothing_withstands_is_refused_with_the_reason(strength):
    hopeless = policy_of(strength, corrupt_fraction=0.6, dropout_fraction=0.5)
    if strength.signed:
        with pytest.raises(PlanRefused, match=r"nobody honest|needs t"):
            hopeless.graph(N, strength)
    else:  # falls back to the complete graph and its majority
        assert hopeless.graph(N, strength).neighbours == N - 1


def test_advertisements_from_beyond_the_neighbourhood():
    rehearsal = Rehearsal(sparse_plan(20)).advertise()
    me = rehearsal.parameters.cohort[0]
    near = rehearsal.parameters.neighbours_of(me, rehearsal.server.session)
    far = next(id_ for id_ in rehearsal.parameters.cohort if id_ not in (me, *near))
    wider = rehearsal.server._roster(tuple(sorted((me, far, *near))))
    swapped = rehearsal.server._roster(tuple(sorted((me, far, *near[1:]))))
    for roster in (wider, swapped):
        assert isinstance(roster, Roster)
        with pytest.raises(InconsistentRoster):
            rehearsal.clients[me].receive(signed_by(SERVER, roster, rehearsal))


def test_the_ring_is_not_for_the_server_to_choose():
    """No seed is announced: the order follows from the session, and a client computes its own neighbours."""
    one, two = (sparse_plan(20, server_nonce=bytes([i]) * 32) for i in (1, 2))
    near = [p.neighbours_of(3, p.session) for p in (one, two)]
    assert near[0] != near[1] and all(len(ids) == one.neighbours for ids in near)
    client = Rehearsal(one).clients[3]
    assert client._near == near[0]
