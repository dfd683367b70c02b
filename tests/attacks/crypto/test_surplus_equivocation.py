# SPDX-License-Identifier: Apache-2.0
"""A server that shows different survivors to different clients, to have different parts of the noise revealed."""

import itertools

import pytest
from crypto_rounds import Rehearsal, read_as, signed_by, signed_plan

from fedmeta_crypto import SERVER
from fedmeta_crypto.errors import Equivocation, PeerProtocolError
from fedmeta_crypto.messages import ConsistencyProof, ConsistencyVote, Evidence, SurvivorList, survivors_digest
from fedmeta_crypto.wire import MessageType

CORRUPT, HIDDEN = 3, 83


def two_lists(in_first):
    """All sent their inputs. `in_first` are shown all, the others a list without HIDDEN; CORRUPT votes for both."""
    rehearsal = Rehearsal(signed_plan(9, corrupt=1, dropped=2, surplus=2)).advertise().share().deliver().mask()
    full = read_as(SurvivorList, rehearsal.inbox[13], signed=True)
    short = SurvivorList(full.ids[:-1], full.digests[:-1])
    views = [survivors_digest(rehearsal.server.session, some.entries) for some in (full, short)]
    votes = [{}, {}]
    for id_ in full.ids:
        if id_ == CORRUPT:
            for which in (0, 1):
                votes[which][id_] = signed_by(id_, ConsistencyVote(views[which]), rehearsal)[-64:]
            continue
        which = 0 if id_ in in_first else 1
        if id_ == HIDDEN and which == 1:
            continue  # it refuses a list without itself
        shown = rehearsal.server._wire.frame((full, short)[which])
        votes[which][id_] = rehearsal.clients[id_].receive(shown).send[0].message[-64:]
    return rehearsal, (full, short), views, votes


def proof_of(rehearsal, some, view, votes):
    """The best that the server can show for one list."""
    inputs = {id_: rehearsal.sent[5, id_][-64:] for id_ in some.ids}
    rows = [
        Evidence(id_, MessageType.CONSISTENCY, view, votes[id_])
        if id_ in votes
        else Evidence(id_, MessageType.MASKED_INPUT, digest, inputs[id_])
        for id_, digest in some.entries
    ]
    return signed_by(SERVER, ConsistencyProof(tuple(rows)), rehearsal)


@pytest.mark.parametrize("size", range(8))
def test_at_most_one_of_two_lists_gets_answers(size):
    honest = [13, 23, 33, 43, 53, 63, 73, 83]
    rehearsal, lists, views, votes = two_lists(frozenset(honest[:size]))
    answered = [set(), set()]
    for which, id_ in itertools.product((0, 1), honest):
        if id_ not in votes[which]:
            continue
        try:
            step = rehearsal.clients[id_].receive(proof_of(rehearsal, lists[which], views[which], votes[which]))
        except PeerProtocolError:
            continue
        answered[which].add(id_)
        assert step.send
    assert not (answered[0] and answered[1])
    # A list that is answered at all has the quorum of honest votes behind it, and the other one lacks it.
    for which in (0, 1):
        assert bool(answered[which]) == (len(votes[which]) >= rehearsal.parameters.quorum)


def test_a_vote_for_the_other_list_ends_the_session():
    rehearsal, (full, _), views, votes = two_lists(frozenset({13, 23, 33, 43, 53, 63}))
    mixed = [
        Evidence(id_, MessageType.CONSISTENCY, views[0], votes[0][id_])
        if id_ in votes[0]
        else Evidence(id_, MessageType.CONSISTENCY, views[1], votes[1][id_])
        for id_ in full.ids
        if id_ in votes[0] or id_ in votes[1]
    ]
    client = rehearsal.clients[13]
    with pytest.raises(Equivocation):
        client.receive(signed_by(SERVER, ConsistencyProof(tuple(mixed)), rehearsal))
    assert client.phase.name == "ABORTED" and client._secrets is None
