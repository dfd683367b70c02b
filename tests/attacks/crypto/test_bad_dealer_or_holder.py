# SPDX-License-Identifier: Apache-2.0
"""Wrong shares of a bad dealer or a bad holder: the sum stays exact, and only what is proved is said of anyone."""

from unittest import mock

import numpy as np
import pytest
from crypto_rounds import Rehearsal, identity_of, plan, read_as, signed_plan

from fedmeta_crypto import Phase
from fedmeta_crypto.errors import BadShare
from fedmeta_crypto.messages import UnmaskingShares
from fedmeta_crypto.secagg import client as client_module
from fedmeta_crypto.secagg.step import SharesCorrected
from fedmeta_crypto.shamir import PRIME
from fedmeta_crypto.wire import Header, frame, unframe

STRENGTHS = ("semi-honest", "malicious")


def new(strength, corrupt=1):
    if strength == "semi-honest":
        return Rehearsal(plan(12, threshold=4, min_survivors=10))
    return Rehearsal(signed_plan(12, corrupt=corrupt, dropped=2))


def share_badly(rehearsal, dealers):
    """Collect the shares; `dealers` maps a bad dealer to those to whom he deals nonsense."""
    original = client_module.split

    def bent(dealer):
        near = rehearsal.parameters.neighbours_of(dealer, rehearsal.server.session)

        def split(*arguments, **rest):
            rows = original(*arguments, **rest)
            for holder in dealers.get(dealer, ()):
                rows[near.index(holder)] = (rows[near.index(holder)] + 1) % PRIME
            return rows

        return split

    for id_, message in dict(rehearsal.inbox).items():
        with mock.patch.object(client_module, "split", bent(id_)):
            rehearsal._upload(3, id_, rehearsal.clients[id_].receive(message))
    return rehearsal.deliver()


def answer_badly(rehearsal, holders):
    """Collect the answers; `holders` maps a bad holder to the dealers about whom he lies."""
    step = None
    for id_, message in dict(rehearsal.inbox).items():
        sent = rehearsal.clients[id_].receive(message).send[0].message
        if id_ in holders:
            sent = with_lies(rehearsal, id_, sent, holders[id_])
        step = rehearsal.server.receive(sent, sender=id_)
    rehearsal._collect(step)
    return [event for event in step.events if isinstance(event, SharesCorrected)]


def with_lies(rehearsal, id_, sent, about):
    if rehearsal.signed:
        answers = read_as(UnmaskingShares, sent).answers
    else:
        _, payload = unframe(sent, sender=id_, max_bytes=len(sent))
        reader = client_module.Reader(payload, sender=id_, where="test")
        answers = UnmaskingShares.read(reader).answers
    bent = []
    for answer in answers:
        share = bytearray(answer.share)
        share[8] ^= answer.peer in about  # not the first byte: X25519 ignores the low bits of a key
        bent.append(answer._replace(share=bytes(share)))
    header = Header(UnmaskingShares.TYPE, rehearsal.server.session, 1, id_)
    sign = identity_of(id_).sign if rehearsal.signed else None
    return frame(header, UnmaskingShares(tuple(bent)).payload(), sign)


def exact(rehearsal):
    return np.array_equal(rehearsal.opened.total, rehearsal.client_sums())


@pytest.mark.parametrize("strength", STRENGTHS)
@pytest.mark.parametrize("victim", [23, 103])
def test_one_wrong_share_names_the_pair_and_nobody_alone(strength, victim):
    """103 drops out, so that its key is opened; the seed of 23 is."""
    rehearsal = new(strength).until(Phase.MASK_INPUT).mask(drop=(103,)).agree()
    assert answer_badly(rehearsal, {3: {victim}}) == [SharesCorrected(((victim, 3),), (), ())]
    assert exact(rehearsal)


@pytest.mark.parametrize("strength", STRENGTHS)
def test_a_holder_that_lies_about_many_is_convicted_by_more_than_a(strength):
    rehearsal = new(strength).until(Phase.MASK_INPUT).mask(drop=(103,)).agree()
    (found,) = answer_badly(rehearsal, {3: {13, 23, 33, 103}})
    assert found.pairs == ((13, 3), (23, 3), (33, 3), (103, 3)) and found.dealers == ()
    assert found.holders == ((3,) if strength == "malicious" else ())
    assert exact(rehearsal)


@pytest.mark.parametrize("strength", STRENGTHS)
@pytest.mark.parametrize("drop", [(), (13,)])
def test_a_dealer_that_deals_nonsense_to_many_is_convicted_by_more_than_a(strength, drop):
    rehearsal = share_badly(new(strength).advertise(), {13: (3, 23)}).mask(drop=drop).agree()
    (found,) = answer_badly(rehearsal, {})
    assert found.pairs == ((13, 3), (13, 23)) and found.holders == ()
    assert found.dealers == ((13,) if strength == "malicious" else ())
    assert exact(rehearsal)


def test_as_many_colluders_as_assumed_can_convict_nobody():
    """Two corrupt of A = 2 lie about one honest dealer, and deal badly to one honest holder."""
    rehearsal = Rehearsal(signed_plan(16, corrupt=2, dropped=2)).advertise()
    share_badly(rehearsal, {3: (43,), 13: (43,)}).mask().agree()
    (found,) = answer_badly(rehearsal, {3: {53}, 13: {53}})
    assert found.pairs == ((3, 43), (13, 43), (53, 3), (53, 13))
    assert found.dealers == found.holders == ()
    assert exact(rehearsal)


@pytest.mark.parametrize("strength", STRENGTHS)
def test_one_more_than_half_the_surplus_ends_the_round(strength):
    rehearsal = new(strength).until(Phase.UNMASK)
    ids, t = rehearsal.parameters.cohort, rehearsal.parameters.threshold
    most = (len(ids) - 1 - t) // 2
    again = new(strength).until(Phase.UNMASK)
    (found,) = answer_badly(again, {id_: {63} for id_ in ids[:most]})
    assert exact(again) and found.pairs == tuple((63, id_) for id_ in ids[:most])
    with pytest.raises(BadShare) as caught:
        answer_badly(rehearsal, {id_: {ids[-1]} for id_ in ids[: most + 1]})
    assert caught.value.sender == ids[-1] and caught.value.holders == ids[:-1]
    assert rehearsal.server.phase is Phase.FAILED and rehearsal.opened is None


def test_wrong_shares_that_are_not_needed_stay_unseen():
    rehearsal = new("malicious").until(Phase.UNMASK)
    assert answer_badly(rehearsal, {rehearsal.parameters.cohort[-1]: {13}}) == []
    assert exact(rehearsal)
