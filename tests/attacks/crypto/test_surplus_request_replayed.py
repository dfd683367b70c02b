# SPDX-License-Identifier: Apache-2.0
"""The request to unmask comes twice, or with other survivors, or to a client that was restarted: one answer, once."""

import pytest
from crypto_rounds import Rehearsal, counter_entropy, plan, signed_plan

from fedmeta_crypto import SERVER, Phase
from fedmeta_crypto.errors import OutOfOrder, ProtocolError, Repeated
from fedmeta_crypto.messages import SurvivorList
from fedmeta_crypto.secagg.step import Record
from fedmeta_crypto.wire import Header, MessageType, frame


def signed():
    return Rehearsal(signed_plan(8, corrupt=1, dropped=2, surplus=2)).until(Phase.UNMASK)


def test_the_same_proof_again_gets_nothing():
    rehearsal = signed()
    client = rehearsal.clients[3]
    (first,) = client.receive(rehearsal.inbox[3]).send
    with pytest.raises(Repeated):
        client.receive(rehearsal.inbox[3])
    assert client.resend().send == (first,)  # what was sent may be sent again, byte for byte
    assert client._secrets is None


def test_other_survivors_after_the_answer_get_nothing():
    """At the semi-honest strength too: with fewer dropouts than it was told before, one more part would be revealed."""
    rehearsal = Rehearsal(plan(8, threshold=5, min_survivors=6, surplus=2)).advertise().share().deliver().mask()
    header = Header(MessageType.SURVIVORS, rehearsal.server.session, 1, SERVER)
    ids = rehearsal.parameters.cohort
    lists = [frame(header, SurvivorList(some).payload()) for some in (ids[:-1], ids, ids[:-2])]
    client = rehearsal.clients[3]
    assert client.receive(lists[0]).send
    for again in lists:
        with pytest.raises(Repeated):
            client.receive(again)


def test_a_restarted_client_takes_no_part_in_the_round_again():
    rehearsal = signed()
    m0 = rehearsal.parameters.to_message(rehearsal.server._wire._identity.sign)
    persisted = rehearsal.clients[3].receive(rehearsal.inbox[3]).persist
    record = Record.from_bytes(persisted[0])
    with pytest.raises(ProtocolError):
        rehearsal.client(3, m0, entropy=counter_entropy("again"), last_round=record.round)
    with pytest.raises(Repeated):
        rehearsal.client(3, m0, entropy=counter_entropy("again"), seen_sessions=frozenset({record.session}))


def test_a_restarted_client_without_memory_knows_no_old_secret():
    """Even one that forgot the round has fresh keys and secrets, and takes nothing of the old session."""
    rehearsal = signed()
    m0 = rehearsal.parameters.to_message(rehearsal.server._wire._identity.sign)
    again = rehearsal.client(3, m0, entropy=counter_entropy("again"))
    with pytest.raises(OutOfOrder):
        again.receive(rehearsal.inbox[3])
    again.advertise_keys()
    with pytest.raises(ProtocolError):
        again.receive(rehearsal.inbox[3])
    assert not {bytes(seed) for seed in again._secrets.surplus} & set(rehearsal.surplus_of(3))


def test_shares_sent_twice_are_the_same_bytes():
    rehearsal = Rehearsal(signed_plan(8, corrupt=1, dropped=2, surplus=2)).advertise()
    client = rehearsal.clients[3]
    (first,) = client.receive(rehearsal.inbox[3]).send
    assert client.resend().send == (first,)
    with pytest.raises(Repeated):
        client.receive(rehearsal.inbox[3])


def test_a_replayed_answer_is_refused_by_the_server():
    rehearsal = signed()
    rehearsal._upload(9, 3, rehearsal.clients[3].receive(rehearsal.inbox[3]))
    with pytest.raises(Repeated):
        rehearsal.server.receive(rehearsal.sent[9, 3], sender=3)
