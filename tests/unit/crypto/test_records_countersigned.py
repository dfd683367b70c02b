# SPDX-License-Identifier: Apache-2.0
"""After the sum: one record is published, shown, checked by an application and countersigned, or not."""

import pytest
from crypto_rounds import RECORD, Rehearsal, identity_of, people_of, signed_plan

from fedmeta_crypto import SERVER, Phase
from fedmeta_crypto.errors import BadArgument, MaskReuse, OutOfOrder, Repeated, Unexpected, Unsupported
from fedmeta_crypto.messages import max_bytes, survivors_digest
from fedmeta_crypto.records import MAX_RECORD_BYTES, record_digest, verify_countersignature
from fedmeta_crypto.secagg.parameters import Strength
from fedmeta_crypto.secagg.step import PhaseClosed, Record, RecordCountersigned, RecordKind, RecordShown
from fedmeta_crypto.transcript import Transcript
from fedmeta_crypto.wire import Header, MessageType, content_digest, signature_of, statement


def done(**changes):
    return Rehearsal(signed_plan(4, **changes)).until(Phase.DONE)


def test_a_record_goes_to_everyone_who_answered_and_to_nobody_else():
    rehearsal = Rehearsal(signed_plan(4)).until(Phase.UNMASK)
    rehearsal.unmask(drop=[13])
    step = rehearsal.server.publish(RECORD)
    assert [outgoing.to for outgoing in step.send] == [3, 23, 33]
    assert len({outgoing.message for outgoing in step.send}) == 1 and rehearsal.server.phase is Phase.COUNTERSIGN


def test_shown_then_countersigned_then_collected():
    rehearsal = done().publish()
    steps = []
    for id_, client in rehearsal.clients.items():
        (event,) = client.receive(rehearsal.inbox[id_]).events
        assert isinstance(event, RecordShown) and event.record == RECORD
        step = client.countersign()
        assert [Record.from_bytes(r).kind for r in step.persist] == [RecordKind.COUNTERSIGNED]
        assert client.resend().send == step.send and client.phase.name == "COUNTERSIGNED"
        steps.append(rehearsal.server.receive(step.send[0].message, sender=id_))
    assert [len(step.events) for step in steps] == [0, 0, 0, 2]
    closed, recorded = steps[-1].events
    assert closed == PhaseClosed(Phase.COUNTERSIGN, (3, 13, 23, 33), ())
    sent = tuple((id_, signature_of(client.resend().send[0].message)) for id_, client in rehearsal.clients.items())
    assert recorded.signatures == sent and recorded.missing == ()
    assert recorded.survivors_digest == event.survivors_digest
    assert rehearsal.server.phase is Phase.RECORDED and rehearsal.server.deadline(Phase.COUNTERSIGN).events == ()


def test_not_to_countersign_is_to_refuse_and_none_is_no_failure():
    rehearsal = done().publish()
    recorded = rehearsal.countersign(drop=rehearsal.clients)
    assert isinstance(recorded, RecordCountersigned)
    assert recorded.signatures == () and recorded.missing == (3, 13, 23, 33)
    late = rehearsal.clients[3].countersign()
    with pytest.raises(Unexpected):
        rehearsal.server.receive(late.send[0].message, sender=3)


def test_a_round_that_publishes_nothing_ends_as_before():
    rehearsal = done()
    assert rehearsal.server.phase is Phase.DONE and rehearsal.recorded is None
    with pytest.raises(OutOfOrder):
        rehearsal.server.deadline(Phase.COUNTERSIGN)


def test_calls_out_of_order():
    rehearsal = Rehearsal(signed_plan(4)).until(Phase.UNMASK)
    client = rehearsal.clients[3]
    for call in (client.countersign, lambda: rehearsal.server.publish(RECORD)):
        with pytest.raises(OutOfOrder):
            call()
    rehearsal.unmask()
    with pytest.raises(OutOfOrder):
        client.countersign()  # answered, but no record was shown
    rehearsal.publish()
    with pytest.raises(OutOfOrder):
        rehearsal.server.publish(RECORD)
    client.receive(rehearsal.inbox[3])
    client.countersign()
    with pytest.raises(OutOfOrder):
        client.countersign()
    with pytest.raises(MaskReuse):
        client.mask_input(rehearsal.vectors[3])
    rehearsal.server.deadline(Phase.COUNTERSIGN)
    with pytest.raises(OutOfOrder):
        rehearsal.server.publish(RECORD)


def test_a_round_that_failed_or_has_no_signatures_publishes_nothing():
    honest = Rehearsal().until(Phase.DONE)
    with pytest.raises(OutOfOrder) as caught:
        honest.server.publish(RECORD)
    assert caught.value.code == "SFM-201" and honest.server.phase is Phase.DONE
    failed = Rehearsal(signed_plan(4))
    with pytest.raises(Exception, match="SFM-251"):
        failed.server.deadline(Phase.ADVERTISE_KEYS)
    for call in (lambda: failed.server.publish(RECORD), lambda: failed.server.deadline(Phase.COUNTERSIGN)):
        with pytest.raises(OutOfOrder):
            call()


@pytest.mark.parametrize("record", [b"", bytes(MAX_RECORD_BYTES + 1), "text", bytearray(b"x"), None])
def test_what_is_no_record(record):
    rehearsal = done()
    with pytest.raises(BadArgument):
        rehearsal.server.publish(record)
    rehearsal.publish()  # a refused one is not the one that is allowed


@pytest.mark.parametrize("size", [1, MAX_RECORD_BYTES])
def test_sizes_at_the_edges(size):
    rehearsal = done().publish(bytes(size))
    members = {"members": 4, "length": 5, "signed": True}
    assert len(rehearsal.inbox[3]) <= max_bytes(MessageType.RECORD, **members)
    assert len(rehearsal.countersign().signatures) == 4
    assert len(rehearsal.sent[11, 3]) == max_bytes(MessageType.COUNTERSIGNATURE, **members)


def test_after_abort_nothing_is_countersigned():
    rehearsal = done().publish()
    before, after = rehearsal.clients[3], rehearsal.clients[13]
    before.abort()
    with pytest.raises(OutOfOrder):
        before.receive(rehearsal.inbox[3])
    after.receive(rehearsal.inbox[13])
    after.abort()
    for client in (before, after):
        with pytest.raises(OutOfOrder):
            client.countersign()
        with pytest.raises(OutOfOrder):
            client.resend()


def test_abort_changes_nothing_once_all_is_over():
    rehearsal = done().publish()
    rehearsal.countersign()
    rehearsal.clients[3].abort()
    assert rehearsal.clients[3].phase.name == "COUNTERSIGNED"
    honest = Rehearsal().until(Phase.DONE)
    honest.clients[3].abort()
    assert honest.clients[3].phase.name == "ANSWERED"


def test_semi_malicious_rounds_have_records_too():
    rehearsal = done(strength=Strength.SEMI_MALICIOUS).publish()
    assert len(rehearsal.countersign().signatures) == 4


def test_a_second_countersignature_is_repeated():
    rehearsal = done().publish()
    rehearsal.countersign(drop=[33])
    with pytest.raises(Repeated):
        rehearsal.server.receive(rehearsal.sent[11, 3], sender=3)


def stored(rehearsal, **changes):
    """All that an auditor keeps of a round."""
    (_, signature), *_ = rehearsal.recorded.signatures
    values = {
        "signature": signature,
        "allow_list": people_of(rehearsal.parameters.cohort),
        "id_": 3,
        "session": rehearsal.parameters.session,
        "round_": 1,
        "survivors": rehearsal.recorded.survivors_digest,
        "record": RECORD,
    } | changes
    return verify_countersignature(values.pop("signature"), **values)


def test_an_auditor_with_an_allow_list_alone():
    rehearsal = done().publish()
    rehearsal.countersign()
    assert stored(rehearsal)
    entries = tuple((id_, content_digest(_payload(rehearsal.sent[5, id_]))) for id_ in (3, 13, 23, 33))
    assert stored(rehearsal, survivors=survivors_digest(rehearsal.server.session, entries))
    others = (
        {"signature": bytes(64)},
        {"signature": b""},
        {"id_": 13},
        {"id_": 4},
        {"id_": SERVER},
        {"session": bytes(32)},
        {"round_": 2},
        {"survivors": bytes(32)},
        {"record": RECORD + b"\n"},
        {"record": b""},
    )
    assert not any(stored(rehearsal, **changes) for changes in others)


@pytest.mark.parametrize(
    "changes", [{"session": bytes(31)}, {"survivors": b""}, {"round_": 0}, {"round_": 2**63}, {"round_": -1}]
)
def test_an_auditor_is_told_of_values_that_cannot_be(changes):
    rehearsal = done().publish()
    rehearsal.countersign()
    with pytest.raises(BadArgument):
        stored(rehearsal, **changes)


def test_the_server_cannot_countersign_its_own_record():
    session, survivors = b"s" * 32, b"u" * 32
    digest = record_digest(session, survivors, RECORD)
    words = statement(Header(MessageType.COUNTERSIGNATURE, session, 1, SERVER), size=32, content=content_digest(digest))
    signature = identity_of(SERVER).sign(words)
    assert people_of((3,)).verify(SERVER, words, signature)
    assert not verify_countersignature(
        signature,
        allow_list=people_of((3,)),
        id_=SERVER,
        session=session,
        round_=1,
        survivors=survivors,
        record=RECORD,
    )


def test_a_transcript_of_a_signed_round_counts_both():
    rehearsal, transcript = done(), Transcript(signed=True)
    step = rehearsal.server.publish(RECORD)
    transcript.note(SERVER, step)
    for outgoing in step.send:
        client = rehearsal.clients[outgoing.to]
        client.receive(outgoing.message)
        transcript.note(outgoing.to, client.countersign())
    counted = [(total.kind, total.to_server, total.messages, total.size) for total in transcript.totals()]
    rest = 55 + 2 + 64
    assert counted == [
        (MessageType.RECORD, False, 4, 4 * (rest + len(RECORD))),
        (MessageType.COUNTERSIGNATURE, True, 4, 4 * (rest + 32)),
    ]
    with pytest.raises(Unsupported):
        Transcript().note(SERVER, step)


def _payload(message):
    return message[55:-66]
