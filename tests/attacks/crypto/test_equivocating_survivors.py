# SPDX-License-Identifier: Apache-2.0
"""The server shows two halves of the clients different survivors: no half reaches a quorum, and no share leaves."""

import pytest
from crypto_rounds import Rehearsal, identity_of, read_as, signed_by, signed_plan

from fedmeta_crypto import SERVER, Phase
from fedmeta_crypto.errors import BadSignature, Equivocation, InconsistentRoster, OutOfOrder, UnsafeSurvivors
from fedmeta_crypto.keys import DIGEST_BYTES
from fedmeta_crypto.messages import ConsistencyProof, ConsistencyVote, Evidence, SurvivorList
from fedmeta_crypto.wire import Header, MessageType, content_digest, payload_of, signature_of, statement


def without(rehearsal, gone):
    """The true list less one survivor, signed by the server; sound in itself."""
    full = read_as(SurvivorList, rehearsal.inbox[rehearsal.parameters.cohort[0]], signed=True)
    rows = [entry for entry in full.entries if entry[0] != gone]
    return signed_by(SERVER, SurvivorList(*zip(*rows, strict=True)), rehearsal)


def votes_of(rehearsal, list_of):
    """Each client's vote on the list it is shown: id -> (digest, signature)."""
    votes = {}
    for id_, message in list_of.items():
        sent = rehearsal.clients[id_].receive(message).send[0].message
        votes[id_] = (read_as(ConsistencyVote, sent).digest, signature_of(sent))
    return votes


def proof_of(rehearsal, votes, inputs=()):
    """Votes, and for the ids in `inputs` the masked input's own signature instead."""
    rows = {id_: Evidence(id_, MessageType.CONSISTENCY, *vote) for id_, vote in votes.items()}
    for id_ in inputs:
        sent = rehearsal.sent[5, id_]
        digest = content_digest(payload_of(sent))
        rows[id_] = Evidence(id_, MessageType.MASKED_INPUT, digest, signature_of(sent))
    return signed_by(SERVER, ConsistencyProof(tuple(rows[id_] for id_ in sorted(rows))), rehearsal)


def colluders_vote(rehearsal, id_, digest):
    words = statement(
        Header(ConsistencyVote.TYPE, rehearsal.server.session, 1, id_),
        size=DIGEST_BYTES,
        content=content_digest(digest),
    )
    return digest, identity_of(id_).sign(words)


@pytest.mark.parametrize(("n", "colluders"), [(10, 0), (9, 1), (10, 2)])
def test_two_lists_two_halves(n, colluders):
    """All but the colluders are honest; the colluders sign both lists."""
    rehearsal = Rehearsal(signed_plan(n, corrupt=colluders, dropped=1)).until(Phase.CONSISTENCY)
    ids = rehearsal.parameters.cohort
    bad, honest = ids[len(ids) - colluders :], ids[: len(ids) - colluders]
    half = honest[: len(honest) // 2]
    lists = {id_: without(rehearsal, ids[0] if id_ not in half else ids[len(half)]) for id_ in honest}
    # the two left out refuse a list without themselves, so they are shown the other one
    votes = votes_of(rehearsal, lists)
    for id_ in honest:
        same = {peer: vote for peer, vote in votes.items() if vote[0] == votes[id_][0]}
        same |= {peer: colluders_vote(rehearsal, peer, votes[id_][0]) for peer in bad}
        assert len(same) < rehearsal.parameters.quorum
        seen = [entry[0] for entry in read_as(SurvivorList, lists[id_], signed=True).entries]
        same = {peer: vote for peer, vote in same.items() if peer in seen}
        rest = [peer for peer in seen if peer not in same]
        with pytest.raises(UnsafeSurvivors, match="quorum"):
            rehearsal.clients[id_].receive(proof_of(rehearsal, same, rest))
        with pytest.raises(Equivocation):
            rehearsal.clients[id_].receive(proof_of(rehearsal, votes))
    assert all(client.phase.name == "ABORTED" for id_, client in rehearsal.clients.items() if id_ in honest)


def test_proof_of_equivocation_ends_the_session():
    rehearsal = Rehearsal(signed_plan(4)).until(Phase.CONSISTENCY)
    votes = votes_of(rehearsal, dict.fromkeys((3, 13, 23), rehearsal.inbox[3]))
    other = votes_of(rehearsal, {33: without(rehearsal, 3)})
    client = rehearsal.clients[3]
    with pytest.raises(Equivocation, match="33"):
        client.receive(proof_of(rehearsal, votes | other))
    assert client._secrets is None
    for again in (lambda: client.receive(proof_of(rehearsal, votes)), client.resend):
        with pytest.raises(OutOfOrder):
            again()


def test_votes_that_do_not_count():
    rehearsal = Rehearsal(signed_plan(4)).until(Phase.CONSISTENCY)
    honest = votes_of(rehearsal, rehearsal.inbox)
    mine = honest[3][0]
    strangers = {5: colluders_vote(rehearsal, 5, mine)}
    cases = [
        ({}, UnsafeSurvivors),
        ({3: honest[3], 13: honest[13]}, UnsafeSurvivors),
        ({13: honest[13], 23: honest[23], 33: (mine, honest[23][1])}, BadSignature),
        ({13: honest[13], 23: (mine, bytes(64)), 33: honest[33]}, BadSignature),
        ({13: honest[13], 23: (mine, honest[13][1]), 33: honest[33]}, BadSignature),
        (honest | strangers, InconsistentRoster),
        ({13: honest[13], 23: (bytes(32), honest[23][1]), 33: honest[33]}, BadSignature),
    ]
    for votes, error in cases:
        with pytest.raises(error):
            rehearsal.clients[3].receive(proof_of(rehearsal, votes))
    assert rehearsal.parameters.quorum == 3
    with pytest.raises(UnsafeSurvivors, match="quorum"):
        rehearsal.clients[3].receive(proof_of(rehearsal, {13: honest[13], 23: honest[23]}, inputs=(33,)))
    step = rehearsal.clients[3].receive(proof_of(rehearsal, {i: honest[i] for i in (3, 13, 23)}, inputs=(33,)))
    assert len(step.send) == 1 and step.events[0].honest_guaranteed == 4


def test_a_vote_of_one_outside_the_survivors():
    rehearsal = Rehearsal(signed_plan(4)).until(Phase.MASK_INPUT).mask(drop=(33,))
    votes = votes_of(rehearsal, rehearsal.inbox)
    votes[33] = colluders_vote(rehearsal, 33, votes[3][0])
    with pytest.raises(InconsistentRoster, match="did not survive"):
        rehearsal.clients[3].receive(proof_of(rehearsal, votes))
