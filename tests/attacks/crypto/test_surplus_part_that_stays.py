# SPDX-License-Identifier: Apache-2.0
"""A server that wants surplus secrets it must not have: those with a number up to the count of dropped clients."""

import itertools

import numpy as np
import pytest
from crypto_rounds import Rehearsal, read_as, signed_plan

from fedmeta_crypto.messages import Delivery, UnmaskingShares
from fedmeta_crypto.sealed import SECRET_WORDS, SHARE_BYTES, surplus_kind
from fedmeta_crypto.shamir import reconstruct, unpack


def new(lost=(), **changes):
    rehearsal = Rehearsal(signed_plan(**{"n": 8, "corrupt": 1, "dropped": 2, "surplus": 2} | changes))
    return rehearsal.advertise().share().deliver().mask(drop=lost).agree()


@pytest.mark.parametrize("lost", [(), (13,), (13, 73)])
def test_all_answers_together_hold_no_share_of_a_part_that_stays(lost):
    rehearsal = new(lost)
    rehearsal.unmask()
    kinds = {
        answer.kind
        for id_ in rehearsal.opened.survivors
        for answer in read_as(UnmaskingShares, rehearsal.sent[9, id_], surplus=2).answers
    }
    assert kinds & {3, 4} == {surplus_kind(k) for k in (1, 2) if k > len(lost)}


def test_the_shares_of_as_many_corrupt_holders_as_assumed_say_nothing():
    """A = 2 of 12 know their own shares of part 1: with them every secret stays as likely, up to t - A more shares."""
    rehearsal = new((13,), n=12, corrupt=2)
    threshold, dealer = rehearsal.parameters.threshold, 3
    seed = rehearsal.surplus_of(dealer)[0]
    near = rehearsal.parameters.neighbours_of(dealer, rehearsal.server.session)

    def share_of(holder):
        packed = rehearsal.clients[holder]._secrets.shares[dealer][surplus_kind(1) - 1]
        return unpack(np.frombuffer(packed, np.uint8).reshape(1, SHARE_BYTES), SECRET_WORDS)[0]

    holders = [id_ for id_ in near if id_ != 13]
    rows = {holder: share_of(holder) for holder in holders}
    points = {holder: near.index(holder) + 1 for holder in holders}

    def opened(some):
        return reconstruct(tuple(points[h] for h in some), np.array([rows[h] for h in some]))

    assert opened(holders[:threshold]) == seed  # the shares are what they are taken for
    assert threshold > 2 + 1
    for some in itertools.combinations(holders, threshold - 1):
        # One more share decides: whichever value it had, some secret would come out.
        known = {points[h]: rows[h] for h in some}
        found = {
            reconstruct((*known, 12), np.array([*known.values(), np.full(SECRET_WORDS, value, np.uint32)]))
            for value in range(20)
        }
        assert len(found - {None}) > 10 and opened(some) != seed


def test_a_server_that_hides_survivors_gets_less_and_not_more():
    """Announcing fewer survivors than sent (as if dropped) withholds parts: more noise stays than need be."""
    rehearsal = new((13, 73))
    assert rehearsal.unmask().surplus == ()


def test_boxes_of_one_dealer_do_not_open_for_another_reader():
    """A server cannot have a client read, and answer with, what was sealed to somebody else."""
    rehearsal = Rehearsal(signed_plan(8, corrupt=1, dropped=2, surplus=2)).advertise().share()
    own = read_as(Delivery, rehearsal.inbox[3], surplus=2)
    other = read_as(Delivery, rehearsal.inbox[13], surplus=2)
    swapped = Delivery(tuple((u, dict(other.boxes)[u] if u == 23 else box) for u, box in own.boxes))
    framed = rehearsal.server._wire.frame(swapped)
    events = rehearsal.clients[3].receive(framed).events
    assert events[0].dealers == (23,)  # a share that is missing, not one that is believed
