# SPDX-License-Identifier: Apache-2.0
"""A client countersigns one record of its own session, signed by the server, or nothing; nobody signs for it."""

from dataclasses import dataclass
from typing import ClassVar

import pytest
from crypto_rounds import RECORD, Rehearsal, counter_entropy, identity_of, people_of, signed_by, signed_plan

from fedmeta_crypto import SERVER, Phase
from fedmeta_crypto.errors import (
    BadMessage,
    BadSignature,
    OutOfOrder,
    Oversized,
    Repeated,
    SpoofedSender,
    Stranger,
    Truncated,
    Unexpected,
    WrongRound,
    WrongSession,
)
from fedmeta_crypto.messages import ConsistencyVote
from fedmeta_crypto.records import (
    MAX_RECORD_BYTES,
    Countersignature,
    RoundRecord,
    record_digest,
    verify_countersignature,
)
from fedmeta_crypto.secagg.step import Record, RecordShown
from fedmeta_crypto.wire import SIGNATURE_BYTES, MessageType, signature_of

OTHER = b'{"round":1,"epsilon":0.5}'


@dataclass
class Raw:
    """A payload as it is, which no honest side would make."""

    TYPE: ClassVar = MessageType.RECORD
    data: bytes

    def payload(self):
        return self.data


class RawAnswer(Raw):
    TYPE = MessageType.COUNTERSIGNATURE


def published(record=RECORD, **changes):
    return Rehearsal(signed_plan(4, **changes)).until(Phase.DONE).publish(record)


def shown(rehearsal, id_=3, record=RECORD):
    """The honest record is still taken."""
    (event,) = rehearsal.clients[id_].receive(rehearsal.inbox[id_]).events
    assert isinstance(event, RecordShown) and event.record == record


def test_another_sessions_record():
    rehearsal = published()
    for changes, error in (({"round_": 2}, WrongRound), ({"server_nonce": b"n" * 32}, WrongSession)):
        other = published(OTHER, **changes)
        with pytest.raises(error):
            rehearsal.clients[3].receive(other.inbox[3])
        moved = rehearsal.inbox[3][:-SIGNATURE_BYTES] + signature_of(other.inbox[3])
        with pytest.raises(BadSignature):
            rehearsal.clients[3].receive(moved)
    shown(rehearsal)


def test_a_record_altered_on_its_way():
    rehearsal = published()
    message = rehearsal.inbox[3]
    with pytest.raises(BadSignature):
        rehearsal.clients[3].receive(message.replace(RECORD, OTHER))
    with pytest.raises(BadSignature):
        rehearsal.clients[3].receive(message[:-1] + bytes([message[-1] ^ 1]))
    shown(rehearsal)


def test_a_record_of_somebody_else_than_the_server():
    rehearsal = published()
    client = rehearsal.clients[3]
    with pytest.raises(SpoofedSender):
        client.receive(signed_by(13, RoundRecord(OTHER), rehearsal))
    forged = signed_by(SERVER, RoundRecord(OTHER), rehearsal)[:-SIGNATURE_BYTES]
    with pytest.raises(BadSignature):
        client.receive(forged + signature_of(signed_by(13, RoundRecord(OTHER), rehearsal)))
    shown(rehearsal)


@pytest.mark.parametrize(
    ("size", "error"), [(0, BadMessage), (MAX_RECORD_BYTES + 1, Oversized), (MAX_RECORD_BYTES * 50, Oversized)]
)
def test_a_record_too_small_or_too_large_and_well_signed(size, error):
    rehearsal = published()
    with pytest.raises(error):
        rehearsal.clients[3].receive(signed_by(SERVER, Raw(bytes(size)), rehearsal))
    shown(rehearsal)


def test_a_longer_record_where_another_message_may_be_longer():
    """A large cohort's lists are longer than a record may be: the record's own bound holds all the same."""
    rehearsal = published()
    client = rehearsal.clients[3]
    client._limit = 10 * MAX_RECORD_BYTES
    with pytest.raises(BadMessage):
        client.receive(signed_by(SERVER, Raw(bytes(MAX_RECORD_BYTES + 1)), rehearsal))
    shown(rehearsal)


def test_published_twice():
    rehearsal = published()
    with pytest.raises(OutOfOrder):
        rehearsal.server.publish(OTHER)
    client = rehearsal.clients[3]
    second = signed_by(SERVER, RoundRecord(OTHER), rehearsal)
    shown(rehearsal)
    for again in (second, rehearsal.inbox[3]):
        with pytest.raises(Repeated):
            client.receive(again)
    step = client.countersign()
    assert step.send[0].message == signed_by(3, Countersignature(digest_of(rehearsal, RECORD)), rehearsal)
    for again in (second, rehearsal.inbox[3]):
        with pytest.raises(Repeated):
            client.receive(again)
    with pytest.raises(OutOfOrder):
        client.countersign()
    assert client.resend().send == step.send


def digest_of(rehearsal, record):
    return record_digest(rehearsal.server.session, rehearsal.server._agreed, record)


def test_a_client_that_did_not_answer():
    rehearsal = Rehearsal(signed_plan(4)).until(Phase.UNMASK)
    m8 = rehearsal.inbox[3]
    rehearsal.unmask(drop=[3])
    rehearsal.publish()
    client, message = rehearsal.clients[3], rehearsal.inbox[13]
    assert 3 not in rehearsal.inbox
    with pytest.raises(Unexpected):
        client.receive(message)
    with pytest.raises(OutOfOrder):
        client.countersign()
    # Neither does the server count its word.
    answer = signed_by(3, Countersignature(digest_of(rehearsal, RECORD)), rehearsal)
    with pytest.raises(Unexpected):
        rehearsal.server.receive(answer, sender=3)
    rehearsal.inbox = {id_: m for id_, m in rehearsal.inbox.items() if id_ != 3}
    recorded = rehearsal.countersign()
    assert [id_ for id_, _ in recorded.signatures] == [13, 23, 33] and recorded.missing == ()
    assert client.receive(m8).send  # its own state was left alone


@pytest.mark.parametrize("phase", [Phase.ADVERTISE_KEYS, Phase.SHARE_KEYS, Phase.MASK_INPUT, Phase.CONSISTENCY])
def test_a_record_before_there_is_a_sum(phase):
    """A server that signs a record early, before the client's part in the round is over."""
    rehearsal = Rehearsal(signed_plan(4)).until(phase)
    client = rehearsal.clients[3]
    if phase is Phase.ADVERTISE_KEYS:
        client.advertise_keys()
    before = client.phase
    with pytest.raises(Unexpected):
        client.receive(signed_by(SERVER, RoundRecord(b"!"), rehearsal))
    assert client.phase is before


def honest_answer(rehearsal, id_=3):
    rehearsal.clients[id_].receive(rehearsal.inbox[id_])
    return rehearsal.clients[id_].countersign().send[0].message


def test_countersignatures_of_another_session_or_round():
    rehearsal = published()
    honest = honest_answer(rehearsal)
    for changes, error in (({"round_": 2}, WrongRound), ({"server_nonce": b"n" * 32}, WrongSession)):
        other = honest_answer(published(**changes))
        with pytest.raises(error):
            rehearsal.server.receive(other, sender=3)
        with pytest.raises(BadSignature):
            rehearsal.server.receive(honest[:-SIGNATURE_BYTES] + signature_of(other), sender=3)
    rehearsal.server.receive(honest, sender=3)


def test_a_countersignature_of_another_record_or_of_other_survivors():
    rehearsal = published()
    server, survivors = rehearsal.server, rehearsal.server._agreed
    honest = honest_answer(rehearsal)
    twin = published(OTHER)  # the same session, as if the server had told this client something else
    assert twin.server.session == server.session
    with pytest.raises(BadMessage):
        server.receive(honest_answer(twin), sender=3)
    for digest in (survivors, bytes(32), record_digest(server.session, bytes(32), RECORD)):
        with pytest.raises(BadMessage):
            server.receive(signed_by(3, Countersignature(digest), rehearsal), sender=3)
    with pytest.raises(BadSignature):
        server.receive(honest[:-SIGNATURE_BYTES] + signature_of(honest_answer(twin, 13)), sender=3)
    server.receive(honest, sender=3)


def test_another_client_stands_in():
    rehearsal = published()
    theirs, mine = honest_answer(rehearsal, 13), honest_answer(rehearsal)
    with pytest.raises(SpoofedSender):
        rehearsal.server.receive(theirs, sender=3)
    with pytest.raises(SpoofedSender):
        rehearsal.server.receive(mine, sender=13)
    with pytest.raises(BadSignature):
        rehearsal.server.receive(mine[:-SIGNATURE_BYTES] + signature_of(theirs), sender=3)
    with pytest.raises(Stranger):
        rehearsal.server.receive(mine, sender=4)
    rehearsal.server.receive(mine, sender=3)
    rehearsal.server.receive(theirs, sender=13)


def test_a_vote_stands_in():
    """M7 and M11 have payloads of one size: the type is under the signature."""
    rehearsal = published()
    digest = digest_of(rehearsal, RECORD)
    vote = signed_by(3, ConsistencyVote(digest), rehearsal)
    with pytest.raises(Repeated):
        rehearsal.server.receive(vote, sender=3)
    honest = honest_answer(rehearsal)
    for signature in (signature_of(vote), signature_of(rehearsal.sent[7, 3])):
        with pytest.raises(BadSignature):
            rehearsal.server.receive(honest[:-SIGNATURE_BYTES] + signature, sender=3)
    assert not verify(rehearsal, signature_of(vote)) and verify(rehearsal, signature_of(honest))
    rehearsal.server.receive(honest, sender=3)


def verify(rehearsal, signature, **changes):
    values = {
        "allow_list": people_of(rehearsal.parameters.cohort),
        "id_": 3,
        "session": rehearsal.server.session,
        "round_": rehearsal.parameters.round,
        "survivors": rehearsal.server._agreed,
        "record": RECORD,
    }
    return verify_countersignature(signature, **(values | changes))


def test_a_forged_countersignature():
    """The server has everything but the client's key."""
    rehearsal = published()
    honest = honest_answer(rehearsal)
    body = honest[:-SIGNATURE_BYTES]
    for signature in (bytes(64), b"\xff" * 64, identity_of(SERVER).sign(honest), identity_of(3).sign(honest)):
        with pytest.raises(BadSignature):
            rehearsal.server.receive(body + signature, sender=3)
        assert not verify(rehearsal, signature)
    # S + L, the order of the group, is the other form of the same signature: no second valid bytes.
    order = 2**252 + 27742317777372353535851937790883648493
    s = int.from_bytes(honest[-32:], "little") + order
    assert not verify(rehearsal, honest[-64:-32] + s.to_bytes(32, "little"))
    with pytest.raises(BadSignature):
        rehearsal.server.receive(honest[:-32] + s.to_bytes(32, "little"), sender=3)
    rehearsal.server.receive(honest, sender=3)


@pytest.mark.parametrize(("size", "error"), [(0, Truncated), (31, Truncated), (33, BadMessage)])
def test_a_countersignature_of_another_size(size, error):
    rehearsal = published()
    with pytest.raises(error):
        rehearsal.server.receive(signed_by(3, RawAnswer(bytes(size)), rehearsal), sender=3)


def test_a_countersignature_before_a_record_and_after_the_deadline():
    rehearsal = Rehearsal(signed_plan(4)).until(Phase.DONE)
    rehearsal.server._agreed  # noqa: B018
    early = signed_by(3, Countersignature(digest_of(rehearsal, RECORD)), rehearsal)
    with pytest.raises(Unexpected):
        rehearsal.server.receive(early, sender=3)
    rehearsal.publish()
    late = honest_answer(rehearsal)
    (_, recorded) = rehearsal.server.deadline(Phase.COUNTERSIGN).events
    assert recorded.signatures == () and recorded.missing == (3, 13, 23, 33)
    with pytest.raises(Unexpected):
        rehearsal.server.receive(late, sender=3)


@pytest.mark.parametrize("countersigned", [False, True])
def test_after_a_restart_nothing_is_countersigned_again(countersigned):
    rehearsal = Rehearsal(signed_plan(4))
    m0, kept, client = rehearsal.inbox[3], [], rehearsal.clients[3]
    for name in ("advertise_keys", "receive", "countersign"):
        original = getattr(client, name)

        def storing(*arguments, original=original):
            step = original(*arguments)
            kept.extend(Record.from_bytes(data) for data in step.persist)
            return step

        setattr(client, name, storing)
    rehearsal.until(Phase.COUNTERSIGN)
    message = rehearsal.inbox[3]
    client.receive(message)
    if countersigned:
        client.countersign()
    names = ["ROUND_BEGUN", "SURVIVORS_SIGNED", "ANSWERED"] + ["COUNTERSIGNED"] * countersigned
    assert [record.kind.name for record in kept] == names
    entropy = counter_entropy("after the restart")
    with pytest.raises(Repeated):
        rehearsal.client(3, m0, entropy=entropy, seen_sessions=frozenset(record.session for record in kept))
    fresh = rehearsal.client(3, m0, entropy=entropy)  # and even one that forgot everything
    with pytest.raises(OutOfOrder):
        fresh.receive(message)
    fresh.advertise_keys()
    with pytest.raises(Unexpected):
        fresh.receive(message)
    with pytest.raises(OutOfOrder):
        fresh.countersign()
