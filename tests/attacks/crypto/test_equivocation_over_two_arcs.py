# SPDX-License-Identifier: Apache-2.0
"""On a sparse ring the server shows two arcs two lists: neighbours alone would not notice, a quorum does."""

import pytest
from crypto_rounds import Rehearsal, identity_of, read_as, signed_by, sparse_plan

from fedmeta_crypto import SERVER, Phase, Strength
from fedmeta_crypto.errors import Equivocation, UnsafeSurvivors
from fedmeta_crypto.graph import ring
from fedmeta_crypto.keys import DIGEST_BYTES
from fedmeta_crypto.messages import ConsistencyProof, ConsistencyVote, Evidence, SurvivorList
from fedmeta_crypto.wire import Header, MessageType, content_digest, signature_of, statement

N, CORRUPT, DROPPED = 24, 2, 3
STRENGTHS = [Strength.MALICIOUS, Strength.SEMI_MALICIOUS]


def without(rehearsal, gone):
    full = read_as(SurvivorList, rehearsal.inbox[rehearsal.parameters.cohort[0]], signed=True)
    return SurvivorList(*zip(*[entry for entry in full.entries if entry[0] not in gone], strict=True))


def forged_vote(rehearsal, id_, digest):
    """A colluder's vote for any list."""
    header = Header(ConsistencyVote.TYPE, rehearsal.server.session, 1, id_)
    words = statement(header, size=DIGEST_BYTES, content=content_digest(digest))
    return Evidence(id_, MessageType.CONSISTENCY, digest, identity_of(id_).sign(words))


@pytest.fixture(params=STRENGTHS, ids=lambda s: s.name)
def two_arcs(request):
    """Two arcs of honest clients, each shown a list without the middle of the other; colluders vote for both."""
    k, t = (6, 5) if request.param is Strength.MALICIOUS else (8, 6)
    parameters = sparse_plan(N, strength=request.param, corrupt=CORRUPT, dropped=DROPPED, k=k, threshold=t)
    rehearsal = Rehearsal(parameters).until(Phase.CONSISTENCY)
    order = ring(parameters.cohort, parameters.session)[0]
    bad, honest = (order[0], order[N // 2]), [i for i in order if i not in (order[0], order[N // 2])]
    half = len(honest) // 2
    arcs = (honest[:half], honest[half:])
    lists = [without(rehearsal, {arcs[1][half // 2]}), without(rehearsal, {arcs[0][half // 2]})]
    votes = ({}, {})
    for side, arc in enumerate(arcs):
        for id_ in arc:
            if id_ not in (arcs[0][half // 2], arcs[1][half // 2]):
                sent = rehearsal.clients[id_].receive(signed_by(SERVER, lists[side], rehearsal)).send[0].message
                digest = read_as(ConsistencyVote, sent).digest
                votes[side][id_] = Evidence(id_, MessageType.CONSISTENCY, digest, signature_of(sent))
        digest = next(iter(votes[side].values())).digest
        votes[side].update({id_: forged_vote(rehearsal, id_, digest) for id_ in bad})
    return rehearsal, lists, votes


def proof(rehearsal, shown, votes):
    """Votes of one side, and every other listed one's own input."""
    rows = [
        votes.get(id_) or Evidence(id_, MessageType.MASKED_INPUT, digest, signature_of(rehearsal.sent[5, id_]))
        for id_, digest in shown.entries
    ]
    return signed_by(SERVER, ConsistencyProof(tuple(rows)), rehearsal)


def test_no_arc_reaches_a_quorum(two_arcs):
    rehearsal, lists, votes = two_arcs
    for side in (0, 1):
        assert len(votes[side]) < rehearsal.parameters.quorum
        for id_ in votes[side]:
            if rehearsal.clients[id_].phase.name == "SIGNED":
                with pytest.raises(UnsafeSurvivors, match="quorum"):
                    rehearsal.clients[id_].receive(proof(rehearsal, lists[side], votes[side]))
                assert rehearsal.clients[id_].phase.name == "SIGNED"  # no share left


def test_the_other_arcs_votes_are_proof_of_the_lie(two_arcs):
    rehearsal, lists, votes = two_arcs
    everyone = votes[1] | votes[0]
    victim = next(id_ for id_ in votes[0] if rehearsal.clients[id_].phase.name == "SIGNED")
    with pytest.raises(Equivocation):
        rehearsal.clients[victim].receive(proof(rehearsal, lists[0], everyone))
    assert rehearsal.clients[victim].phase.name == "ABORTED"


def test_neighbours_alone_would_not_have_noticed(two_arcs):
    """In the middle of an arc every neighbour saw the same list: t of them agree, so only the quorum stops it."""
    rehearsal, _, votes = two_arcs
    parameters = rehearsal.parameters
    inner = [
        id_
        for id_ in votes[0]
        if sum(peer in votes[0] for peer in parameters.neighbours_of(id_, parameters.session)) >= parameters.threshold
    ]
    assert inner


def test_one_vote_each_so_a_quorum_for_one_list_rules_out_the_other(two_arcs):
    rehearsal, _, votes = two_arcs
    honest = set(votes[0]) & set(votes[1])
    assert len(honest) == CORRUPT  # whoever voted twice is corrupt
    assert 2 * rehearsal.parameters.quorum > N + CORRUPT
