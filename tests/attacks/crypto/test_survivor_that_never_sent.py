# SPDX-License-Identifier: Apache-2.0
"""Survivors listed for inputs that they never sent: nobody can prove them, so no share leaves."""

import pytest
from crypto_rounds import Rehearsal, identity_of, read_as, signed_by, signed_plan

from fedmeta_crypto import SERVER, Phase
from fedmeta_crypto.errors import BadSignature, UnsafeSurvivors
from fedmeta_crypto.messages import ConsistencyProof, ConsistencyVote, Evidence, SurvivorList, masked_input_bytes
from fedmeta_crypto.wire import Header, MessageType, content_digest, payload_of, signature_of, statement

LIAR = 33  # sent everything but its masked input
TRUE = (3, 13, 23)


@pytest.fixture
def ready():
    return Rehearsal(signed_plan(4)).until(Phase.MASK_INPUT).mask(drop=(LIAR,))


def listed(rehearsal, digest, id_=LIAR):
    rows = dict(read_as(SurvivorList, rehearsal.inbox[3], signed=True).entries) | {id_: digest}
    return signed_by(SERVER, SurvivorList(*zip(*sorted(rows.items()), strict=True)), rehearsal)


def votes_on(rehearsal, message, ids=TRUE):
    """What the true survivors vote when they are shown that list."""
    votes = []
    for id_ in ids:
        sent = rehearsal.clients[id_].receive(message).send[0].message
        digest = read_as(ConsistencyVote, sent).digest
        votes.append(Evidence(id_, MessageType.CONSISTENCY, digest, signature_of(sent)))
    return votes


def refused(rehearsal, digest, signature, *, kind=MessageType.MASKED_INPUT, error=BadSignature, match="did not sign"):
    votes = votes_on(rehearsal, listed(rehearsal, digest))
    shown = digest if kind is MessageType.MASKED_INPUT else votes[0].digest
    proof = ConsistencyProof((*votes, Evidence(LIAR, kind, shown, signature)))
    for id_ in TRUE:
        with pytest.raises(error, match=match):
            rehearsal.clients[id_].receive(signed_by(SERVER, proof, rehearsal))
        with pytest.raises(UnsafeSurvivors, match="no evidence"):
            rehearsal.clients[id_].receive(signed_by(SERVER, ConsistencyProof(tuple(votes)), rehearsal))
        assert rehearsal.clients[id_].phase.name == "SIGNED"  # and no share left it


def test_nothing_at_all(ready):
    refused(ready, bytes(32), bytes(64))


def test_forged_by_the_server(ready):
    header = Header(MessageType.MASKED_INPUT, ready.server.session, 1, LIAR)
    words = statement(header, size=masked_input_bytes(5), content=bytes(32))
    refused(ready, bytes(32), identity_of(SERVER).sign(words))


def test_a_vote_forged_by_the_server(ready):
    refused(ready, bytes(32), bytes(64), kind=MessageType.CONSISTENCY)


@pytest.mark.parametrize("number", [1, 3])
def test_another_message_of_the_same_session_stands_in(ready, number):
    sent = ready.sent[number, LIAR]
    refused(ready, content_digest(payload_of(sent)), signature_of(sent))


@pytest.mark.parametrize("changes", [{"round_": 2}, {"server_nonce": b"n" * 32}])
def test_the_input_of_another_session_stands_in(ready, changes):
    other = Rehearsal(signed_plan(4, **changes)).until(Phase.CONSISTENCY)
    sent = other.sent[5, LIAR]
    refused(ready, content_digest(payload_of(sent)), signature_of(sent))


def test_another_survivors_input_under_this_name(ready):
    sent = ready.sent[5, 23]
    refused(ready, content_digest(payload_of(sent)), signature_of(sent))


def test_an_input_that_is_not_the_listed_one(ready):
    votes = votes_on(ready, listed(ready, bytes(32)))
    sent = ready.sent[5, 23]
    other = Evidence(LIAR, MessageType.MASKED_INPUT, content_digest(payload_of(sent)), signature_of(sent))
    with pytest.raises(UnsafeSurvivors, match="not the listed one"):
        ready.clients[3].receive(signed_by(SERVER, ConsistencyProof((*votes, other)), ready))


def test_mine_altered(ready):
    """The altered one refuses; the others cannot be shown that it signed."""
    message = listed(ready, bytes(32), id_=3)
    with pytest.raises(UnsafeSurvivors, match="not what I sent"):
        ready.clients[3].receive(message)
    votes = votes_on(ready, message, ids=(13, 23))
    sent = ready.sent[5, 3]
    for digest, error in ((content_digest(payload_of(sent)), UnsafeSurvivors), (bytes(32), BadSignature)):
        proof = ConsistencyProof((Evidence(3, MessageType.MASKED_INPUT, digest, signature_of(sent)), *votes))
        with pytest.raises(error):
            ready.clients[13].receive(signed_by(SERVER, proof, ready))
