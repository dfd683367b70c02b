# SPDX-License-Identifier: Apache-2.0
"""Survivors listed for inputs that they never sent: the list is refused and no vote leaves."""

import pytest
from crypto_rounds import Rehearsal, identity_of, read_as, signed_by, signed_plan

from fedmeta_crypto import SERVER, Phase
from fedmeta_crypto.errors import BadSignature, UnsafeSurvivors
from fedmeta_crypto.messages import SurvivorList, masked_input_bytes
from fedmeta_crypto.wire import Header, MessageType, content_digest, payload_of, signature_of, statement


@pytest.fixture
def ready():
    """33 sent everything but its masked input."""
    return Rehearsal(signed_plan(4)).until(Phase.MASK_INPUT).mask(drop=(33,))


def listed(rehearsal, digest, signature, id_=33):
    full = read_as(SurvivorList, rehearsal.inbox[3], signed=True)
    rows = dict(zip([e[0] for e in full.entries], zip(full.entries, full.signatures, strict=True), strict=True))
    rows[id_] = ((id_, digest), signature)
    entries = tuple(rows[i][0] for i in sorted(rows))
    return signed_by(SERVER, SurvivorList(entries, tuple(rows[i][1] for i in sorted(rows))), rehearsal)


def refused(rehearsal, message, error=BadSignature, match="did not sign"):
    for id_ in (3, 13):
        with pytest.raises(error, match=match):
            rehearsal.clients[id_].receive(message)
    rehearsal.agree().unmask()
    assert rehearsal.opened.survivors == (3, 13, 23)


def test_nothing_at_all(ready):
    refused(ready, listed(ready, bytes(32), bytes(64)))


def test_forged_by_the_server(ready):
    header = Header(MessageType.MASKED_INPUT, ready.server.session, 1, 33)
    words = statement(header, size=masked_input_bytes(5), content=bytes(32))
    refused(ready, listed(ready, bytes(32), identity_of(SERVER).sign(words)))


@pytest.mark.parametrize("number", [1, 3])
def test_another_message_of_the_same_session_stands_in(ready, number):
    sent = ready.sent[number, 33]
    refused(ready, listed(ready, content_digest(payload_of(sent)), signature_of(sent)))


@pytest.mark.parametrize("changes", [{"round_": 2}, {"server_nonce": b"n" * 32}])
def test_the_input_of_another_session_stands_in(ready, changes):
    other = Rehearsal(signed_plan(4, **changes)).until(Phase.CONSISTENCY)
    sent = other.sent[5, 33]
    refused(ready, listed(ready, content_digest(payload_of(sent)), signature_of(sent)))


def test_another_survivors_input_under_this_name(ready):
    sent = ready.sent[5, 23]
    refused(ready, listed(ready, content_digest(payload_of(sent)), signature_of(sent)))


def test_mine_altered(ready):
    message = listed(ready, bytes(32), bytes(64), id_=3)
    with pytest.raises(UnsafeSurvivors, match="not what I sent"):
        ready.clients[3].receive(message)
    with pytest.raises(BadSignature, match="3 did not sign"):
        ready.clients[13].receive(message)
