# SPDX-License-Identifier: Apache-2.0
"""A server that overstates the survivors, so that fewer parts of noise stay than the true dropouts call for."""

import dataclasses

import pytest
from crypto_rounds import Rehearsal, identity_of, plan, read_as, signed_plan

from fedmeta_crypto import SERVER, Phase
from fedmeta_crypto.errors import BadSignature, PeerProtocolError, UnsafeSurvivors
from fedmeta_crypto.messages import ConsistencyProof, Evidence, SurvivorList, survivors_digest
from fedmeta_crypto.wire import Header, MessageType, frame

GHOST = 73


def lost_one():
    rehearsal = Rehearsal(signed_plan(8, corrupt=1, dropped=2, surplus=2))
    return rehearsal.advertise().share().deliver().mask(drop=(GHOST,))


def padded(rehearsal, digest):
    """The true survivors and one more."""
    true = read_as(SurvivorList, rehearsal.inbox[3], signed=True)
    return SurvivorList((*true.ids, GHOST), (*true.digests, digest))


@pytest.mark.parametrize("forged", ["nothing", "its key advertisement", "another's vote", "the server's word"])
def test_a_survivor_that_never_sent_is_never_proved(forged):
    """Everybody votes for the longer list; its ghost would have to have signed an input, or a vote."""
    rehearsal = lost_one()
    longer = padded(rehearsal, bytes(32))
    view = survivors_digest(rehearsal.server.session, longer.entries)
    framed = rehearsal.server._wire.frame(longer)
    votes = {}
    for id_ in longer.ids[:-1]:
        sent = rehearsal.clients[id_].receive(framed).send[0].message
        votes[id_] = sent[-64:]
    proof = [Evidence(id_, MessageType.CONSISTENCY, view, votes[id_]) for id_ in longer.ids[:-1]]
    signature = {
        "its key advertisement": rehearsal.sent[1, GHOST][-64:],
        "another's vote": votes[3],
        "the server's word": identity_of(SERVER).sign(bytes(32)),
    }.get(forged)
    if signature is not None:
        proof.append(Evidence(GHOST, MessageType.MASKED_INPUT, bytes(32), signature))
    shown = rehearsal.server._wire.frame(ConsistencyProof(tuple(proof)))
    for id_ in longer.ids[:-1]:
        with pytest.raises((BadSignature, UnsafeSurvivors)):
            rehearsal.clients[id_].receive(shown)
        assert rehearsal.clients[id_].phase.name == "SIGNED"


def test_votes_for_the_true_list_do_not_prove_a_longer_one():
    rehearsal = lost_one()
    longer = rehearsal.server._wire.frame(padded(rehearsal, bytes(32)))
    victim = rehearsal.clients[3]
    victim.receive(longer)
    for id_ in (13, 23, 33, 43, 53, 63):
        rehearsal._upload(7, id_, rehearsal.clients[id_].receive(rehearsal.inbox[id_]))
    rehearsal._collect(rehearsal.server.deadline(Phase.CONSISTENCY))
    with pytest.raises(PeerProtocolError):
        victim.receive(rehearsal.inbox[13])
    assert victim._secrets is None or victim.phase.name == "SIGNED"  # no share has left


def test_an_input_of_an_earlier_round_proves_nothing():
    earlier = Rehearsal(signed_plan(8, corrupt=1, dropped=2, surplus=2)).until(Phase.CONSISTENCY)
    rehearsal = Rehearsal(signed_plan(8, corrupt=1, dropped=2, surplus=2, round_=2))
    rehearsal.advertise().share().deliver().mask(drop=(GHOST,))
    old = dict(read_as(SurvivorList, earlier.inbox[3], signed=True).entries)[GHOST]
    longer = padded(rehearsal, old)
    view = survivors_digest(rehearsal.server.session, longer.entries)
    framed = rehearsal.server._wire.frame(longer)
    votes = {id_: rehearsal.clients[id_].receive(framed).send[0].message[-64:] for id_ in longer.ids[:-1]}
    proof = [Evidence(id_, MessageType.CONSISTENCY, view, vote) for id_, vote in votes.items()]
    proof.append(Evidence(GHOST, MessageType.MASKED_INPUT, old, earlier.sent[5, GHOST][-64:]))
    shown = rehearsal.server._wire.frame(ConsistencyProof(tuple(proof)))
    with pytest.raises(BadSignature):
        rehearsal.clients[3].receive(shown)


def test_without_signatures_it_is_the_servers_word():
    """What the semi-honest strength does not stop: a lie about survivors is believed, and reveals a part too many.

    Its own protocol is no help to the liar with the masks: the seed of one who sent nothing opens nothing.
    """
    rehearsal = Rehearsal(plan(8, threshold=5, min_survivors=6, surplus=2)).advertise().share().deliver()
    rehearsal.mask(drop=(GHOST,))
    header = Header(MessageType.SURVIVORS, rehearsal.server.session, 1, SERVER)
    framed = frame(header, SurvivorList(rehearsal.parameters.cohort).payload())
    (event,) = rehearsal.clients[3].receive(framed).events
    assert event.survivors == rehearsal.parameters.cohort and event.honest_guaranteed == 0


def test_fewer_survivors_than_the_parts_are_made_for_get_no_answer():
    rehearsal = Rehearsal(signed_plan(8, corrupt=1, dropped=2, surplus=2)).until(Phase.CONSISTENCY)
    true = read_as(SurvivorList, rehearsal.inbox[3], signed=True)
    few = dataclasses.replace(true, ids=true.ids[:5], digests=true.digests[:5])
    with pytest.raises(UnsafeSurvivors, match="5 survivors, at least 6"):
        rehearsal.clients[3].receive(rehearsal.server._wire.frame(few))
