# SPDX-License-Identifier: Apache-2.0
"""The server shows other records than it should, and clients' countersignatures are put under what they never saw."""

import pytest
from crypto_rounds import RECORD, Rehearsal, counter_entropy, identity_of, people_of, read_as, signed_by, signed_plan

from fedmeta_crypto import SERVER, Phase
from fedmeta_crypto.errors import (
    BadMessage,
    BadSignature,
    OutOfOrder,
    ProtocolError,
    Repeated,
    WrongRound,
    WrongSession,
)
from fedmeta_crypto.records import (
    MAX_RECORD_BYTES,
    Countersignature,
    RoundRecord,
    record_digest,
    verify_countersignature,
)
from fedmeta_crypto.secagg.step import Record, RecordKind
from fedmeta_crypto.wire import Header, frame


def published(**changes):
    return Rehearsal(signed_plan(4, **changes)).until(Phase.COUNTERSIGN)


@pytest.mark.parametrize(
    ("changes", "error"), [({"round_": 2}, WrongRound), ({"server_nonce": b"n" * 32}, WrongSession)]
)
def test_the_record_of_another_round_or_session(changes, error):
    here, there = published(), published(**changes)
    client = here.clients[3]
    with pytest.raises(error):
        client.receive(there.inbox[3])
    with pytest.raises(OutOfOrder):
        client.countersign()
    client.receive(here.inbox[3])
    assert client.countersign().send


def test_a_round_number_altered_in_the_header():
    rehearsal = published()
    header = Header(RoundRecord.TYPE, rehearsal.server.session, 2, SERVER)
    with pytest.raises(WrongRound):
        rehearsal.clients[3].receive(frame(header, RECORD, identity_of(SERVER).sign))


def test_altered_or_unsigned_on_the_way():
    rehearsal = published()
    client, message = rehearsal.clients[3], rehearsal.inbox[3]
    for altered in (message.replace(RECORD, RECORD[:-1] + b"!"), message[:-66] + bytes(2), message[:-1] + b"\xff"):
        assert altered != message
        with pytest.raises(BadSignature):
            client.receive(altered)
    colluder = frame(Header(RoundRecord.TYPE, rehearsal.server.session, 1, SERVER), RECORD, identity_of(13).sign)
    with pytest.raises(BadSignature):
        client.receive(colluder)
    assert client.phase.name == "ANSWERED"


def test_a_second_record_is_never_countersigned():
    """Two records for two audiences: whoever saw one takes no other, before or after it countersigned."""
    rehearsal = published()
    client = rehearsal.clients[3]
    other = signed_by(SERVER, RoundRecord(b"epsilon is nothing at all"), rehearsal)
    client.receive(rehearsal.inbox[3])
    with pytest.raises(Repeated):
        client.receive(other)
    step = client.countersign()
    with pytest.raises(Repeated):
        client.receive(other)
    with pytest.raises(OutOfOrder):
        client.countersign()
    assert client.resend().send == step.send


def test_before_the_client_has_answered():
    rehearsal = Rehearsal(signed_plan(4)).until(Phase.UNMASK)
    early = signed_by(SERVER, RoundRecord(RECORD), rehearsal)
    with pytest.raises(ProtocolError):
        rehearsal.clients[3].receive(early)
    rehearsal.unmask()
    assert rehearsal.opened is not None


@pytest.mark.parametrize("size", [0, MAX_RECORD_BYTES + 1, 10**6])
def test_sizes_beyond_the_bounds(size):
    rehearsal = published()
    header = Header(RoundRecord.TYPE, rehearsal.server.session, 1, SERVER)
    with pytest.raises(ProtocolError):
        rehearsal.clients[3].receive(frame(header, bytes(size), identity_of(SERVER).sign))
    assert rehearsal.clients[3].phase.name == "ANSWERED"


def test_a_countersignature_of_something_else_is_not_collected():
    rehearsal = published()
    server, session = rehearsal.server, rehearsal.server.session
    other = record_digest(session, server._agreed, b"another record")
    with pytest.raises(BadMessage, match="something else"):
        server.receive(signed_by(3, Countersignature(other), rehearsal), sender=3)
    for_others = record_digest(session, bytes(32), RECORD)
    with pytest.raises(BadMessage, match="something else"):
        server.receive(signed_by(3, Countersignature(for_others), rehearsal), sender=3)
    forged = frame(Header(Countersignature.TYPE, session, 1, 3), server._published, identity_of(13).sign)
    with pytest.raises(BadSignature):
        server.receive(forged, sender=3)
    recorded = rehearsal.countersign()
    assert len(recorded.signatures) == 4


def test_one_that_stands_in_for_another_convinces_no_auditor():
    here, there = published(), published(round_=2)
    values = {"allow_list": people_of(here.parameters.cohort), "record": RECORD}
    for rehearsal, round_ in ((here, 1), (there, 2)):
        own = dict(rehearsal.countersign().signatures)
        own_values = {"session": rehearsal.server.session, "round_": round_, "survivors": rehearsal.server._agreed}
        assert all(verify_countersignature(own[id_], id_=id_, **values, **own_values) for id_ in own)
        assert not verify_countersignature(own[13], id_=3, **values, **own_values)
    moved = dict(there.recorded.signatures)[3]
    as_here = {"session": here.server.session, "round_": 1, "survivors": here.server._agreed}
    assert not verify_countersignature(moved, id_=3, **values, **as_here)
    vote = here.sent[7, 3][-64:]  # a signature of the same session and client, on something else
    assert not verify_countersignature(vote, id_=3, **values, **as_here)


def test_one_countersignature_also_after_a_restart():
    rehearsal = published()
    m0 = Rehearsal(signed_plan(4)).inbox[3]
    client = rehearsal.clients[3]
    client.receive(rehearsal.inbox[3])
    (stored,) = [Record.from_bytes(data) for data in client.countersign().persist]
    assert stored.kind is RecordKind.COUNTERSIGNED
    entropy = counter_entropy("later")
    with pytest.raises(Repeated):
        rehearsal.client(3, m0, entropy=entropy, seen_sessions=frozenset({stored.session}))
    fresh = rehearsal.client(3, m0, entropy=entropy)
    with pytest.raises(OutOfOrder):
        fresh.receive(rehearsal.inbox[3])
    with pytest.raises(OutOfOrder):
        fresh.countersign()
    assert read_as(RoundRecord, rehearsal.inbox[3]).record == RECORD
