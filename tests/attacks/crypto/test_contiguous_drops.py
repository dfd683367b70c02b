# SPDX-License-Identifier: Apache-2.0
"""Drops and corrupt clients in one stretch of the ring, to cut it in two: the sum is whole, or nothing is opened."""

import numpy as np
import pytest
from crypto_rounds import Rehearsal, sparse_plan

from fedmeta_crypto import SERVER, Phase, Strength
from fedmeta_crypto.errors import InconsistentRoster, PlanRefused, UnsafeSurvivors
from fedmeta_crypto.graph import assured, ring
from fedmeta_crypto.messages import SurvivorList

N, CORRUPT, DROPPED = 30, 2, 4


def stretch(parameters, first, size):
    """`size` clients next to each other on the ring."""
    order = ring(parameters.cohort, parameters.session)[0]
    return [order[(first + i) % len(order)] for i in range(size)]


def opened_by_honest(parameters, survivors, corrupt):
    """Components of honest survivors when every corrupt client sides with the server."""
    near = {i: set(parameters.neighbours_of(i, parameters.session)) for i in parameters.cohort}
    left, parts = set(survivors) - set(corrupt), []
    while left:
        seen, edge = set(), {min(left)}
        while edge:
            seen |= edge
            edge = {peer for id_ in edge for peer in near[id_] if peer in left} - seen
        parts.append(seen)
        left -= seen
    return parts


@pytest.mark.parametrize("first", range(0, N, 5))
@pytest.mark.parametrize("lost_at", [1, 3, 5])
def test_half_on_each_side_of_an_arc(first, lost_at):
    """k/2 gone on one side and k/2 on the other: A + D < k, so the honest survivors stay in one piece."""
    parameters = sparse_plan(N, corrupt=CORRUPT, dropped=DROPPED)
    assert parameters.neighbours == CORRUPT + DROPPED + 2
    half = DROPPED // 2
    gone = stretch(parameters, first, half) + stretch(parameters, first + N // 2, half)
    corrupt = stretch(parameters, first + half, CORRUPT // 2) + stretch(parameters, first + N // 2 + half, CORRUPT // 2)
    parts = opened_by_honest(parameters, set(parameters.cohort) - set(gone), corrupt)
    assert len(parts) == 1 and len(parts[0]) == N - CORRUPT - DROPPED
    rehearsal = Rehearsal(parameters)
    drop = {number: gone if number == lost_at else () for number in (1, 3, 5)}
    rehearsal.advertise(drop[1]).share(drop[3]).deliver().mask(drop[5]).agree().unmask()
    assert len(rehearsal.opened.survivors) == N - DROPPED
    assert np.array_equal(rehearsal.opened.total, rehearsal.client_sums())


def test_a_longer_stretch_is_refused_by_everyone():
    """The server lets a stretch fall that would cut the ring: the list is short, and no vote leaves."""
    parameters = sparse_plan(N, corrupt=CORRUPT, dropped=DROPPED)
    rehearsal = Rehearsal(parameters).until(Phase.CONSISTENCY)
    gone = stretch(parameters, 0, DROPPED + 1)
    full = [(i, rehearsal.server._digests[i]) for i in parameters.cohort if i not in gone]
    short = SurvivorList(*zip(*full, strict=True))
    for id_ in short.ids:
        with pytest.raises(UnsafeSurvivors, match="at least"):
            rehearsal.clients[id_].receive(rehearsal.server._wire.frame(short))
        assert rehearsal.clients[id_].phase.name == "MASKED"


def test_a_graph_that_could_be_cut_cannot_be_announced():
    for k in (2, 4, CORRUPT + DROPPED):
        with pytest.raises(PlanRefused, match=r"fall apart|threshold"):
            sparse_plan(N, corrupt=CORRUPT, dropped=DROPPED, k=k)


def test_the_finder_never_gives_a_graph_that_can_be_cut():
    rng = np.random.default_rng(5)
    found = assured(150, corrupt=7, dropped=7)
    parameters = sparse_plan(150, corrupt=7, dropped=7, k=found.neighbours, threshold=found.threshold)
    for _ in range(50):
        first = int(rng.integers(150))
        gone = (
            stretch(parameters, first, 14) if rng.random() < 0.5 else rng.choice(parameters.cohort, 14, replace=False)
        )
        assert len(opened_by_honest(parameters, set(parameters.cohort) - set(gone), ())) == 1


def test_an_isolated_client_takes_no_part():
    """All neighbours of one client fall: it refuses the roster by itself."""
    parameters = sparse_plan(20, strength=Strength.SEMI_HONEST, corrupt=0, dropped=6, k=6, threshold=3)
    victim = parameters.cohort[7]
    near = parameters.neighbours_of(victim, parameters.session)
    rehearsal = Rehearsal(parameters).advertise(drop=near)
    with pytest.raises(InconsistentRoster, match="0 neighbours"):
        rehearsal.clients[victim].receive(rehearsal.inbox[victim])
    assert victim != SERVER
