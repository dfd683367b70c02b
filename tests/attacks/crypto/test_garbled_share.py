# SPDX-License-Identifier: Apache-2.0
"""Boxes that do not open, holders that lie, dealers that deal nonsense."""

import numpy as np
import pytest
from crypto_rounds import Rehearsal

from fedmeta_crypto import Phase, TooFewSurvivors
from fedmeta_crypto.errors import BadMessage, BadShare
from fedmeta_crypto.messages import Answer, UnmaskingShares
from fedmeta_crypto.sealed import BOX_BYTES, SHARE_BYTES, SecretKind
from fedmeta_crypto.secagg.step import SharesMissing
from fedmeta_crypto.wire import Header, MessageType, Reader, frame, unframe

HEAD = 55 + 4 + 6  # frame, count, id and size


def garble(message, entry):
    data = bytearray(message)
    data[HEAD + entry * (6 + BOX_BYTES) + 5] ^= 1
    return bytes(data)


def test_a_bad_tag_means_no_share_and_the_sum_stays_exact():
    rehearsal = Rehearsal(n=4, threshold=2).advertise().share()
    rehearsal.inbox[3] = garble(rehearsal.inbox[3], 1)  # what client 13 dealt to client 3
    rehearsal.deliver()
    assert rehearsal.events[4, 3][0] == SharesMissing((13,))
    rehearsal.mask().unmask()
    assert np.array_equal(rehearsal.opened.total, rehearsal.client_sums())


def test_too_many_bad_tags_stop_the_client():
    rehearsal = Rehearsal(n=4, threshold=2).advertise().share()
    bad = garble(garble(rehearsal.inbox[3], 1), 2)
    with pytest.raises(TooFewSurvivors) as caught:
        rehearsal.clients[3].receive(bad)
    assert (caught.value.need, caught.value.have) == (2, 1)


def answers_of(rehearsal, id_):
    step = rehearsal.clients[id_].receive(rehearsal.inbox[id_])
    _, payload = unframe(step.send[0].message, sender=id_, max_bytes=10**6)
    return list(UnmaskingShares.read(Reader(payload, sender=id_, where="test")).answers)


def upload(rehearsal, id_, answers):
    header = Header(MessageType.UNMASKING, rehearsal.server.session, 1, id_)
    message = frame(header, UnmaskingShares(tuple(answers)).payload())
    return rehearsal.server.receive(message, sender=id_)


@pytest.mark.parametrize("drop", [(), (43,)])
def test_a_lying_holder_that_cannot_be_corrected_ends_the_round_with_both_named(drop):
    rehearsal = Rehearsal(n=5, threshold=3).advertise().share().deliver().mask(drop=drop)
    victim = drop[0] if drop else 13
    for id_ in rehearsal.inbox:
        answers = answers_of(rehearsal, id_)
        if id_ == 3:
            at = [answer.peer for answer in answers].index(victim)
            share = bytearray(answers[at].share)
            share[8] ^= 1  # not the first byte: X25519 ignores the low bits of a private key
            answers[at] = answers[at]._replace(share=bytes(share))
        if id_ == max(rehearsal.inbox):
            with pytest.raises(BadShare) as caught:
                upload(rehearsal, id_, answers)
        else:
            upload(rehearsal, id_, answers)
    assert caught.value.sender == victim and 3 in caught.value.holders
    assert rehearsal.server.phase is Phase.FAILED and rehearsal.opened is None
    assert rehearsal.server._sum.size == 0


@pytest.fixture
def answering():
    return Rehearsal(n=5, threshold=2).advertise().share().deliver().mask(drop=[43])


GOOD = bytes(SHARE_BYTES)
BAD_ANSWERS = {
    "both kinds": [Answer(13, SecretKind.SELF_MASK, GOOD), Answer(13, SecretKind.MASK_KEY, GOOD)],
    "mask key of a survivor": [Answer(13, SecretKind.MASK_KEY, GOOD)],
    "seed of a dropped one": [Answer(43, SecretKind.SELF_MASK, GOOD)],
    "of himself": [Answer(3, SecretKind.SELF_MASK, GOOD)],
    "of a stranger": [Answer(44, SecretKind.SELF_MASK, GOOD)],
    "unknown kind": [Answer(13, 3, GOOD)],
    "value above the field": [Answer(13, SecretKind.SELF_MASK, b"\x01" + bytes(31) + b"\x01\x00")],
}


@pytest.mark.parametrize("name", BAD_ANSWERS)
def test_answers_nobody_asked_for(answering, name):
    with pytest.raises(BadMessage) as caught:
        upload(answering, 3, BAD_ANSWERS[name])
    assert caught.value.sender == 3
    answering.unmask()
    assert answering.opened.dropped == (43,)


def test_a_holder_without_shares_does_no_harm(answering):
    upload(answering, 3, [])
    for id_ in (13, 23, 33):
        upload(answering, id_, answers_of(answering, id_))
    assert answering.server.phase is Phase.DONE
