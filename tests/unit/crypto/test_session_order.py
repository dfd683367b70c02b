# SPDX-License-Identifier: Apache-2.0
"""Calls and messages out of order, deadlines, and what a step carries."""

import numpy as np
import pytest
from crypto_rounds import Rehearsal, plan, signed_plan

from fedmeta_crypto import Phase, ServerSession, TooFewSurvivors
from fedmeta_crypto.errors import BadArgument, MaskReuse, OutOfOrder, Repeated, Unexpected
from fedmeta_crypto.secagg.step import InputWanted, PhaseClosed, Record, RecordKind, SurvivorsAnnounced


def test_server_before_and_after_the_announcement():
    server = ServerSession(plan())
    with pytest.raises(OutOfOrder):
        server.receive(b"", sender=3)
    with pytest.raises(OutOfOrder):
        server.deadline(Phase.ADVERTISE_KEYS)
    server.announce()
    with pytest.raises(OutOfOrder):
        server.announce()
    with pytest.raises(OutOfOrder):
        server.deadline(Phase.MASK_INPUT)
    with pytest.raises(OutOfOrder):
        server.deadline(Phase.DONE)


def test_client_calls_out_of_order():
    rehearsal = Rehearsal()
    client = rehearsal.clients[3]
    for call in (lambda: client.receive(b""), lambda: client.mask_input(rehearsal.vectors[3])):
        with pytest.raises(OutOfOrder):
            call()
    rehearsal.advertise()
    with pytest.raises(OutOfOrder):
        client.advertise_keys()
    rosters = dict(rehearsal.inbox)
    rehearsal.share()
    with pytest.raises(Repeated):
        client.receive(rosters[3])
    rehearsal.deliver()
    with pytest.raises(Repeated):
        client.receive(rehearsal.inbox[3])
    rehearsal.mask()
    other = Rehearsal(seed="s").advertise()
    with pytest.raises(Unexpected):
        other.clients[3].receive(rehearsal.inbox[3])


def test_messages_too_early_and_too_late():
    done = Rehearsal()
    done.advertise().share().deliver().mask().unmask()
    fresh = Rehearsal().advertise(drop=[33])
    late = fresh.clients[33].advertise_keys().send[0].message
    for message, sender in ((done.sent[5, 3], 3), (done.sent[9, 3], 3), (late, 33)):
        with pytest.raises(Unexpected):
            fresh.server.receive(message, sender=sender)
    with pytest.raises(Repeated):
        fresh.server.receive(done.sent[1, 3], sender=3)
    with pytest.raises(Repeated):
        done.server.receive(done.sent[9, 3], sender=3)


def test_steps_carry_what_the_shell_needs():
    rehearsal = Rehearsal()
    step = rehearsal.clients[3].advertise_keys()
    assert Record.from_bytes(step.persist[0]).kind is RecordKind.ROUND_BEGUN
    rehearsal.server.receive(step.send[0].message, sender=3)
    for id_ in (13, 23):
        message = rehearsal.clients[id_].advertise_keys().send[0].message
        assert rehearsal.server.receive(message, sender=id_).send == ()
    step = rehearsal.server.deadline(Phase.ADVERTISE_KEYS)
    assert step.events == (PhaseClosed(Phase.ADVERTISE_KEYS, (3, 13, 23), (33,)),)
    assert [outgoing.to for outgoing in step.send] == [3, 13, 23]
    assert rehearsal.server.deadline(Phase.ADVERTISE_KEYS).events == ()


def test_events_of_a_client():
    rehearsal = Rehearsal(bits=16).until(Phase.UNMASK)
    assert rehearsal.events[4, 3] == (InputWanted(5, 16, (3, 13, 23, 33)),)
    step = rehearsal.clients[3].receive(rehearsal.inbox[3])
    assert step.events == (SurvivorsAnnounced((3, 13, 23, 33)),)
    assert Record.from_bytes(step.persist[0]).kind is RecordKind.ANSWERED


def test_the_last_answer_opens_the_sum():
    rehearsal = Rehearsal().until(Phase.UNMASK)
    steps = []
    for id_, message in rehearsal.inbox.items():
        answer = rehearsal.clients[id_].receive(message).send[0].message
        steps.append(rehearsal.server.receive(answer, sender=id_))
    assert [len(step.events) for step in steps] == [0, 0, 0, 2]
    opened = steps[-1].events[-1]
    assert opened.dropped == () and opened.total.shape == (5,) and opened.total.dtype == np.uint32
    assert rehearsal.server.phase is Phase.DONE
    assert rehearsal.server.deadline(Phase.UNMASK).events == ()


@pytest.mark.parametrize(("move", "need"), [("advertise", 4), ("share", 4), ("mask", 4), ("unmask", 3)])
def test_exactly_enough_or_one_too_few(move, need):
    moves = ("advertise", "share", "deliver", "mask", "unmask")
    for lost, fails in ((6 - need, False), (7 - need, True)):
        rehearsal = Rehearsal(n=6, threshold=2, min_survivors=4)
        try:
            for each in moves:
                drop = list(rehearsal.clients)[:lost] if each == move else ()
                getattr(rehearsal, each)(drop)
        except TooFewSurvivors as error:
            assert fails and (error.need, error.have) == (need, need - 1)
            assert rehearsal.server.phase is Phase.FAILED
            assert rehearsal.server.deadline(Phase.UNMASK).send == ()
            with pytest.raises((Unexpected, Repeated)):
                rehearsal.server.receive(rehearsal.sent[1, 53], sender=53)
        else:
            assert not fails and np.array_equal(rehearsal.opened.total, rehearsal.client_sums())


def test_attachment_hash_travels():
    rehearsal = Rehearsal().until(Phase.MASK_INPUT)
    step = rehearsal.clients[3].mask_input(rehearsal.vectors[3], attachment_hash=b"h" * 32)
    assert b"h" * 32 in step.send[0].message


def test_records_are_checked():
    good = Record(RecordKind.ANSWERED, 5, b"s" * 32).to_bytes()
    for bad in (good[:-1], good + b"\0", b"XXXX" + good[4:], good[:5] + b"\x07" + good[6:]):
        with pytest.raises(BadArgument):
            Record.from_bytes(bad)


def test_the_callers_vector_is_left_alone():
    rehearsal = Rehearsal().until(Phase.MASK_INPUT)
    vector = rehearsal.vectors[3].copy()
    rehearsal.clients[3].mask_input(vector)
    assert np.array_equal(vector, rehearsal.vectors[3])


@pytest.mark.parametrize("parameters", [plan(), signed_plan()], ids=["semi-honest", "malicious"])
def test_an_input_is_recalled_and_not_masked_again(parameters):
    """A session fed alike goes on where another was that had sent its input; no other message puts it there."""
    first, again = Rehearsal(parameters), Rehearsal(parameters)
    opened = first.advertise().share().deliver().mask().agree().unmask()
    own = first.sent[5, 3]
    client = again.clients[3]
    again.advertise().share()
    with pytest.raises(OutOfOrder):
        client.recall_input(own)
    again.deliver()
    for message in (b"", first.sent[1, 3], first.sent[5, 13], own[:-1], own + b"x"):
        with pytest.raises(BadArgument):
            client.recall_input(message)
    again._upload(5, 3, client.recall_input(own))
    assert again.sent[5, 3] == own
    for call in (lambda: client.mask_input(again.vectors[3]), lambda: client.recall_input(own)):
        with pytest.raises(MaskReuse):
            call()
    for id_ in (13, 23, 33):
        again._upload(5, id_, again.clients[id_].mask_input(again.vectors[id_]))
    assert np.array_equal(again.agree().unmask().total, opened.total) and again.sent == first.sent
