"""A transcript counts every byte and holds none of them."""

from crypto_rounds import Rehearsal

from fedmeta_crypto import SERVER, Step
from fedmeta_crypto.transcript import Sent, Transcript
from fedmeta_crypto.wire import MessageType


def whole_round():
    rehearsal, transcript = Rehearsal(n=4, threshold=2), Transcript()
    for id_, client in rehearsal.clients.items():
        step = client.advertise_keys()
        transcript.note(id_, step)
        for outgoing in step.send:
            answer = rehearsal.server.receive(outgoing.message, sender=id_)
            transcript.note(SERVER, answer)
    return rehearsal, transcript


def test_every_message_is_counted_once_with_its_size():
    rehearsal, transcript = whole_round()
    kinds = [(total.kind, total.to_server, total.messages) for total in transcript.totals()]
    assert kinds == [(MessageType.ADVERTISEMENT, True, 4), (MessageType.ROSTER, False, 4)]
    assert sum(total.size for total in transcript.totals()) == sum(sent.size for sent in transcript.sent)
    id_ = next(iter(rehearsal.clients))
    assert transcript.upload_bytes(id_) == next(sent.size for sent in transcript.sent if sent.sender == id_)


def test_nothing_of_a_payload_stays():
    _, transcript = whole_round()
    assert set(Sent.__slots__) == {"sender", "receiver", "kind", "size"}
    assert all(isinstance(getattr(sent, name), int) for sent in transcript.sent for name in Sent.__slots__)


def test_the_table_has_a_line_per_kind():
    _, transcript = whole_round()
    assert [line.split()[1] for line in transcript.table().splitlines()[1:]] == ["ADVERTISEMENT", "ROSTER"]


def test_an_empty_step_adds_nothing():
    transcript = Transcript()
    transcript.note(SERVER, Step())
    assert transcript.sent == [] and transcript.totals() == []
