# SPDX-License-Identifier: Apache-2.0
"""A holder that gives surplus shares nobody asked for: of a lost client, of a part that stays, or too few."""

import pytest
from crypto_rounds import Rehearsal, identity_of, read_as, signed_plan

from fedmeta_crypto.errors import BadMessage
from fedmeta_crypto.messages import Answer, UnmaskingShares
from fedmeta_crypto.sealed import SecretKind, surplus_kind
from fedmeta_crypto.wire import Header, frame

LOST, HOLDER, PEER = 73, 3, 13
PART_THAT_STAYS, PART_REMOVED = surplus_kind(1), surplus_kind(2)


@pytest.fixture
def held():
    """A round with one client lost, the holder's honest answers, and a way to send others in its name."""
    rehearsal = Rehearsal(signed_plan(8, corrupt=1, dropped=2, surplus=2))
    rehearsal.advertise().share().deliver().mask(drop=(LOST,)).agree()
    client = rehearsal.clients[HOLDER]
    shares = dict(client._secrets.shares)
    framed = client.receive(rehearsal.inbox[HOLDER]).send[0].message
    answers = read_as(UnmaskingShares, framed, surplus=2).answers

    def send(changed):
        header = Header(UnmaskingShares.TYPE, rehearsal.server.session, 1, HOLDER)
        message = frame(header, UnmaskingShares(tuple(sorted(changed))).payload(), identity_of(HOLDER).sign)
        return rehearsal.server.receive(message, sender=HOLDER)

    return rehearsal, answers, shares, send


def test_an_honest_holder_gives_none_of_a_lost_client(held):
    _, answers, _, _ = held
    assert [answer.kind for answer in answers if answer.peer == LOST] == [SecretKind.MASK_KEY]
    assert {answer.kind for answer in answers} == {SecretKind.SELF_MASK, SecretKind.MASK_KEY, PART_REMOVED}


@pytest.mark.parametrize(
    "more",
    [(LOST, PART_REMOVED), (LOST, PART_THAT_STAYS), (PEER, PART_THAT_STAYS), (LOST, SecretKind.SELF_MASK)],
    ids=str,
)
def test_more_than_was_asked_for_is_refused_and_not_kept(held, more):
    rehearsal, answers, shares, send = held
    peer, kind = more
    with pytest.raises(BadMessage):
        send([*answers, Answer(peer, kind, shares[peer][kind - 1])])
    assert not rehearsal.server._answers
    send(answers)
    for id_ in (13, 23, 33, 43, 53, 63):
        rehearsal._upload(9, id_, rehearsal.clients[id_].receive(rehearsal.inbox[id_]))
    assert (rehearsal.opened.total == rehearsal.client_sums()).all()


def test_less_than_was_asked_for_is_refused(held):
    _, answers, _, send = held
    for missing in answers:
        if missing.peer == PEER:
            with pytest.raises(BadMessage):
                send([answer for answer in answers if answer is not missing])
    with pytest.raises(BadMessage):
        send([answer for answer in answers if answer.kind != PART_REMOVED])


def test_a_kind_that_no_round_has(held):
    _, answers, _, send = held
    for kind in (0, surplus_kind(3), 255):
        with pytest.raises(BadMessage):
            send([*answers, Answer(PEER, kind, answers[0].share)])


def test_a_dealer_whose_box_did_not_open_is_left_out_altogether(held):
    """That is what "no share from this dealer" looks like: not one of its secrets, rather than some."""
    rehearsal, answers, _, send = held
    send([answer for answer in answers if answer.peer != PEER])
    assert HOLDER in rehearsal.server._answers[0] and PEER not in rehearsal.server._answers[0][HOLDER]
    for id_ in (13, 23, 33, 43, 53, 63):
        rehearsal._upload(9, id_, rehearsal.clients[id_].receive(rehearsal.inbox[id_]))
    assert (rehearsal.opened.total == rehearsal.client_sums()).all()
    assert rehearsal.opened.surplus == tuple(rehearsal.surplus_of(id_)[1:] for id_ in rehearsal.opened.survivors)
