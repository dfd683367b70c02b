# SPDX-License-Identifier: Apache-2.0
"""The server tells one client of another mask set, under its own good signature: no share and no wrong sum."""

import numpy as np
import pytest
from crypto_rounds import Rehearsal, read_as, signed_by, signed_plan

from fedmeta_crypto import SERVER, Phase
from fedmeta_crypto.errors import BadMessage, InconsistentRoster, UnsafeSurvivors
from fedmeta_crypto.messages import Delivery, SurvivorList
from fedmeta_crypto.wire import content_digest, payload_of


@pytest.fixture
def misled():
    """Client 3 was told that 83 left; all others know that it is there."""
    rehearsal = Rehearsal(signed_plan(9, corrupt=1, dropped=2)).advertise().share()
    boxes = read_as(Delivery, rehearsal.inbox[3]).boxes
    rehearsal.inbox[3] = signed_by(SERVER, Delivery(tuple(box for box in boxes if box[0] != 83)), rehearsal)
    rehearsal.deliver()
    return rehearsal


def test_an_honest_server_refuses_the_input_and_goes_on(misled):
    honest = [id_ for id_ in misled.clients if id_ != 3]
    sent = misled.clients[3].mask_input(misled.vectors[3]).send[0].message
    with pytest.raises(BadMessage, match="another mask set"):
        misled.server.receive(sent, sender=3)
    misled.inbox = {id_: misled.inbox[id_] for id_ in honest}
    misled.mask().agree().unmask()
    assert misled.opened.survivors == tuple(honest)
    assert np.array_equal(misled.opened.total, misled.client_sums())


def test_a_lying_server_gets_no_vote_of_the_misled_client(misled):
    sent = {3: misled.clients[3].mask_input(misled.vectors[3]).send[0].message}
    misled.inbox = {id_: message for id_, message in misled.inbox.items() if id_ != 3}
    misled.mask()
    full = read_as(SurvivorList, misled.inbox[13], signed=True)
    rows = dict(full.entries) | {3: content_digest(payload_of(sent[3]))}
    lie = signed_by(SERVER, SurvivorList(*zip(*sorted(rows.items()), strict=True)), misled)
    with pytest.raises(UnsafeSurvivors, match="not in the mask set"):
        misled.clients[3].receive(lie)


def test_a_mask_set_below_n_minus_d():
    rehearsal = Rehearsal(signed_plan(9, corrupt=1, dropped=2)).until(Phase.SHARE_KEYS).share()
    boxes = read_as(Delivery, rehearsal.inbox[3]).boxes
    with pytest.raises(InconsistentRoster, match="fewer than"):
        rehearsal.clients[3].receive(signed_by(SERVER, Delivery(boxes[:6]), rehearsal))
