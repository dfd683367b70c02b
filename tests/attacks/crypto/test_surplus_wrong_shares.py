# SPDX-License-Identifier: Apache-2.0
"""Wrong shares of surplus secrets: corrected while they can be, else the round ends by name; blame as for others."""

from contextlib import nullcontext
from unittest import mock

import pytest
from crypto_rounds import Rehearsal, identity_of, plan, read_as, signed_plan

from fedmeta_crypto import Phase
from fedmeta_crypto.errors import BadShare, TooFewSurvivors
from fedmeta_crypto.messages import UnmaskingShares
from fedmeta_crypto.sealed import surplus_kind
from fedmeta_crypto.secagg import client as client_module
from fedmeta_crypto.secagg.secrets_held import HeldSecrets
from fedmeta_crypto.secagg.step import SharesCorrected
from fedmeta_crypto.shamir import PRIME
from fedmeta_crypto.wire import Header, Reader, frame, unframe

STRENGTHS = ("semi-honest", "malicious")


def new(strength="malicious", corrupt=1):
    if strength == "semi-honest":
        return Rehearsal(plan(12, threshold=4, min_survivors=10, surplus=2))
    return Rehearsal(signed_plan(12, corrupt=corrupt, dropped=2, surplus=2))


def answers_of(rehearsal, id_, sent):
    if rehearsal.signed:
        return read_as(UnmaskingShares, sent, surplus=2).answers
    _, payload = unframe(sent, sender=id_, max_bytes=len(sent))
    return UnmaskingShares.read(Reader(payload, sender=id_, where="test"), surplus=2).answers


def unmask(rehearsal, lies):
    """Collect the answers; `lies` maps a holder to the (dealer, kind) of which it gives wrong shares."""
    step = None
    for id_, message in dict(rehearsal.inbox).items():
        sent = rehearsal.clients[id_].receive(message).send[0].message
        bent = []
        for answer in answers_of(rehearsal, id_, sent):
            share = bytearray(answer.share)
            share[8] ^= (answer.peer, answer.kind) in lies.get(id_, ())
            bent.append(answer._replace(share=bytes(share)))
        header = Header(UnmaskingShares.TYPE, rehearsal.server.session, 1, id_)
        sign = identity_of(id_).sign if rehearsal.signed else None
        step = rehearsal.server.receive(frame(header, UnmaskingShares(tuple(bent)).payload(), sign), sender=id_)
    rehearsal._collect(step)
    return [event for event in step.events if isinstance(event, SharesCorrected)]


def exact(rehearsal):
    opened = rehearsal.opened
    seeds = tuple(rehearsal.surplus_of(id_)[len(opened.dropped) :] for id_ in opened.survivors)
    return (opened.total == rehearsal.client_sums()).all() and opened.surplus == seeds


@pytest.mark.parametrize("strength", STRENGTHS)
@pytest.mark.parametrize("number", [1, 2])
def test_a_wrong_share_is_corrected_and_names_the_pair(strength, number):
    rehearsal = new(strength).until(Phase.UNMASK)
    assert unmask(rehearsal, {3: {(23, surplus_kind(number))}}) == [SharesCorrected(((23, 3),), (), ())]
    assert exact(rehearsal)


def test_wrong_shares_of_many_secrets_of_one_dealer_are_one_witness():
    """A = 1 corrupt dealer and a holder: three wrong shares between the two convict neither, as one does not."""
    rehearsal = new().until(Phase.UNMASK)
    lies = {3: {(23, 1), (23, surplus_kind(1)), (23, surplus_kind(2))}}
    assert unmask(rehearsal, lies) == [SharesCorrected(((23, 3),), (), ())]
    assert exact(rehearsal)


def test_a_holder_that_lies_about_more_dealers_than_can_be_corrupt_is_convicted():
    rehearsal = new().until(Phase.UNMASK)
    (found,) = unmask(rehearsal, {3: {(13, surplus_kind(1)), (23, surplus_kind(2)), (33, surplus_kind(1))}})
    assert found.holders == (3,) and found.dealers == () and exact(rehearsal)


@pytest.mark.parametrize("strength", STRENGTHS)
@pytest.mark.parametrize("number", [1, 2])
def test_one_more_than_can_be_corrected_ends_the_round_by_name(strength, number):
    rehearsal = new(strength).until(Phase.UNMASK)
    ids, t = rehearsal.parameters.cohort, rehearsal.parameters.threshold
    most, wrong = (len(ids) - 1 - t) // 2, (63, surplus_kind(number))
    again = new(strength).until(Phase.UNMASK)
    (found,) = unmask(again, {id_: {wrong} for id_ in ids[:most]})
    assert exact(again) and found.pairs == tuple((63, id_) for id_ in ids[:most])
    with pytest.raises(BadShare) as caught:
        unmask(rehearsal, {id_: {wrong} for id_ in ids if id_ != 63})
    assert caught.value.sender == 63
    assert rehearsal.server.phase is Phase.FAILED and rehearsal.opened is None


def test_a_dealer_that_commits_to_other_secrets_than_it_deals_ends_the_round_as_the_guilty_one():
    rehearsal = new().advertise()
    for id_, message in dict(rehearsal.inbox).items():
        wrong = mock.patch.object(HeldSecrets, "surplus_commitments", lambda self, session: (bytes(32), bytes(32)))
        with wrong if id_ == 43 else nullcontext():
            rehearsal._upload(3, id_, rehearsal.clients[id_].receive(message))
    rehearsal.deliver().mask().agree()
    with pytest.raises(BadShare) as caught:
        rehearsal.unmask()
    assert caught.value.sender == 43 and rehearsal.server.phase is Phase.FAILED


def test_a_dealer_that_deals_nonsense_to_more_than_can_be_corrupt_is_convicted():
    rehearsal = new().advertise()
    original = client_module.split

    def bent(*arguments, **rest):
        rows = original(*arguments, **rest)
        rows[:2, 40:] = (rows[:2, 40:] + 1) % PRIME  # words of the first and second surplus secret
        return rows

    for id_, message in dict(rehearsal.inbox).items():
        with mock.patch.object(client_module, "split", bent if id_ == 43 else original):
            rehearsal._upload(3, id_, rehearsal.clients[id_].receive(message))
    rehearsal.deliver().mask().agree()
    (found,) = unmask(rehearsal, {})
    assert found.pairs == ((43, 3), (43, 13)) and found.dealers == (43,) and exact(rehearsal)


def test_too_few_holders_of_one_dealer_end_the_round():
    """Boxes that do not open leave a dealer without enough holders; nothing is opened, surplus secrets neither."""
    rehearsal = new().until(Phase.UNMASK)
    for id_ in rehearsal.inbox:
        rehearsal.clients[id_]._secrets.shares.pop(43, None)
    with pytest.raises(TooFewSurvivors):
        rehearsal.unmask()
    assert rehearsal.server.phase is Phase.FAILED and rehearsal.opened is None
