# SPDX-License-Identifier: Apache-2.0
"""On a ring without luck the server tells clients that living neighbours are gone, to thin the ring beyond A + D.

Whoever was misled refuses the survivors, yet its input proves it as one: only votes count for the ring's connection.
"""

import pytest
from crypto_rounds import Rehearsal, read_as, signed_by, sparse_plan

from fedmeta_crypto import SERVER, Phase
from fedmeta_crypto.errors import UnsafeSurvivors
from fedmeta_crypto.messages import ConsistencyProof, ConsistencyVote, Delivery, Evidence, SurvivorList
from fedmeta_crypto.wire import MessageType, content_digest, payload_of, signature_of

N, CORRUPT, DROPPED = 24, 2, 4


@pytest.fixture
def misled():
    """More than D clients are each told that one neighbour left; all others know that it is there."""
    parameters = sparse_plan(N, corrupt=CORRUPT, dropped=DROPPED)
    rehearsal = Rehearsal(parameters).advertise().share()
    victims = parameters.cohort[: DROPPED + 1]
    for id_ in victims:
        boxes = read_as(Delivery, rehearsal.inbox[id_]).boxes
        gone = next(other for other, _ in boxes if other != id_ and other not in victims)
        shorter = Delivery(tuple(box for box in boxes if box[0] != gone))
        rehearsal.inbox[id_] = signed_by(SERVER, shorter, rehearsal)
    rehearsal.deliver()
    rehearsal.misled = victims
    return rehearsal


def all_inputs(rehearsal):
    """A lying server takes every input, whatever mask set it was made for."""
    return {id_: client.mask_input(rehearsal.vectors[id_]).send[0].message for id_, client in rehearsal.clients.items()}


def test_votes_of_n_minus_d_are_needed(misled):
    parameters, sent = misled.parameters, all_inputs(misled)
    listed = SurvivorList(parameters.cohort, tuple(content_digest(payload_of(sent[id_])) for id_ in parameters.cohort))
    votes = {}
    for id_, client in misled.clients.items():
        if id_ in misled.misled:
            with pytest.raises(UnsafeSurvivors, match="not in the mask set"):
                client.receive(signed_by(SERVER, listed, misled))
        else:
            vote = client.receive(signed_by(SERVER, listed, misled)).send[0].message
            digest = read_as(ConsistencyVote, vote).digest
            votes[id_] = Evidence(id_, MessageType.CONSISTENCY, digest, signature_of(vote))
    assert parameters.quorum <= len(votes) < parameters.fewest_votes == N - DROPPED
    rows = [
        votes.get(id_) or Evidence(id_, MessageType.MASKED_INPUT, digest, signature_of(sent[id_]))
        for id_, digest in listed.entries
    ]
    proof = signed_by(SERVER, ConsistencyProof(tuple(rows)), misled)
    for id_ in votes:
        with pytest.raises(UnsafeSurvivors, match="quorum"):
            misled.clients[id_].receive(proof)
        assert misled.clients[id_].phase.name == "SIGNED"  # no share left


def test_an_honest_server_goes_on_with_voters_enough():
    """D clients lost between their input and their vote: the sum holds them, and only voters are counted on."""
    rehearsal = Rehearsal(sparse_plan(N, corrupt=CORRUPT, dropped=DROPPED)).until(Phase.CONSISTENCY)
    late = rehearsal.parameters.cohort[:DROPPED]
    rehearsal.agree(drop=late).unmask()
    assert len(rehearsal.opened.survivors) == N
    guaranteed = {rehearsal.events[9, id_][0].honest_guaranteed for id_ in rehearsal.parameters.cohort[DROPPED:]}
    assert guaranteed == {N - DROPPED - CORRUPT}
