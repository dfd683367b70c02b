# SPDX-License-Identifier: Apache-2.0
"""n - D survivors complete the round; with one fewer no share leaves, whoever says so."""

import numpy as np
import pytest
from crypto_rounds import Rehearsal, read_as, signed_by, signed_plan

from fedmeta_crypto import SERVER, Phase, TooFewSurvivors
from fedmeta_crypto.errors import UnsafeSurvivors
from fedmeta_crypto.messages import SurvivorList

CASES = [(4, 0, 1), (9, 1, 2), (10, 1, 1), (12, 0, 4), (20, 2, 2)]


@pytest.mark.parametrize(("n", "corrupt", "dropped"), CASES)
@pytest.mark.parametrize("lost_at", [1, 3, 5])
def test_exactly_n_minus_d(n, corrupt, dropped, lost_at):
    rehearsal = Rehearsal(signed_plan(n, corrupt=corrupt, dropped=dropped))
    lost = rehearsal.parameters.cohort[1 : 1 + dropped]
    drop = {number: lost if number == lost_at else () for number in (1, 3, 5)}
    rehearsal.advertise(drop[1]).share(drop[3]).deliver().mask(drop[5]).agree().unmask()
    assert len(rehearsal.opened.survivors) == n - dropped
    assert np.array_equal(rehearsal.opened.total, rehearsal.client_sums())
    guaranteed = {rehearsal.events[9, id_][0].honest_guaranteed for id_ in rehearsal.opened.survivors}
    assert guaranteed == {n - dropped - corrupt}


@pytest.mark.parametrize(("n", "corrupt", "dropped"), CASES)
def test_a_quorum_votes_and_t_answer(n, corrupt, dropped):
    rehearsal = Rehearsal(signed_plan(n, corrupt=corrupt, dropped=dropped)).until(Phase.CONSISTENCY)
    ids, parameters = rehearsal.parameters.cohort, rehearsal.parameters
    voting = max(parameters.quorum, parameters.threshold + 1)
    rehearsal.agree(drop=ids[voting:]).unmask(drop=ids[parameters.threshold + 1 :])
    assert rehearsal.opened.survivors == ids
    assert np.array_equal(rehearsal.opened.total, rehearsal.client_sums())


@pytest.mark.parametrize(("n", "corrupt", "dropped"), CASES)
def test_one_fewer_vote_ends_the_round(n, corrupt, dropped):
    rehearsal = Rehearsal(signed_plan(n, corrupt=corrupt, dropped=dropped)).until(Phase.CONSISTENCY)
    with pytest.raises(TooFewSurvivors):
        voting = max(rehearsal.parameters.quorum, rehearsal.parameters.threshold + 1)
        rehearsal.agree(drop=rehearsal.parameters.cohort[voting - 1 :])
    assert rehearsal.server.phase is Phase.FAILED and rehearsal.opened is None


@pytest.mark.parametrize(("n", "corrupt", "dropped"), CASES)
def test_one_fewer_survivor_gives_no_share(n, corrupt, dropped):
    rehearsal = Rehearsal(signed_plan(n, corrupt=corrupt, dropped=dropped)).until(Phase.MASK_INPUT)
    with pytest.raises(TooFewSurvivors):
        rehearsal.mask(drop=rehearsal.parameters.cohort[1 : 2 + dropped])
    # A server that goes on all the same
    rehearsal = Rehearsal(signed_plan(n, corrupt=corrupt, dropped=dropped)).until(Phase.CONSISTENCY)
    full = read_as(SurvivorList, rehearsal.inbox[3], signed=True)
    fewer = SurvivorList(full.ids[: n - dropped - 1], full.digests[: n - dropped - 1])
    for id_ in fewer.ids:
        with pytest.raises(UnsafeSurvivors, match="announced"):
            rehearsal.clients[id_].receive(signed_by(SERVER, fewer, rehearsal))
