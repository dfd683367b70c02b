# SPDX-License-Identifier: Apache-2.0
"""The server lies about who survived: strangers in the list, the reader left out, too few."""

import pytest
from crypto_rounds import Rehearsal

from fedmeta_crypto import SERVER, Phase
from fedmeta_crypto.errors import InconsistentRoster, UnsafeSurvivors
from fedmeta_crypto.messages import Delivery, SurvivorList
from fedmeta_crypto.sealed import BOX_BYTES
from fedmeta_crypto.wire import Header, MessageType, frame


def listing(rehearsal, ids):
    header = Header(MessageType.SURVIVORS, rehearsal.server.session, 1, SERVER)
    return frame(header, SurvivorList(tuple(sorted(ids))).payload())


@pytest.fixture
def masked():
    return Rehearsal(n=5, threshold=2, min_survivors=4).advertise().share(drop=[43]).deliver().mask()


LIES = {
    "not in U2": lambda ids: ids | {43},
    "not in the cohort": lambda ids: ids | {44},
    "without me": lambda ids: (ids - {3}) | {43},
    "too small": lambda ids: ids - {33},
    "only me": lambda ids: {3},
    "empty": lambda ids: set(),
}


@pytest.mark.parametrize("lie", LIES)
def test_no_share_leaves(masked, lie):
    client = masked.clients[3]
    with pytest.raises(UnsafeSurvivors):
        client.receive(listing(masked, LIES[lie]({3, 13, 23, 33})))
    masked.unmask()
    assert masked.opened.survivors == (3, 13, 23, 33)


BOX = bytes([1]) * BOX_BYTES
NONE = bytes(BOX_BYTES)
MASK_SETS = {
    "without me": {13: BOX, 23: BOX, 33: BOX},
    "stranger": {3: NONE, 13: BOX, 23: BOX, 33: BOX, 44: BOX},
    "too small": {3: NONE, 13: BOX, 23: BOX},
    "box from myself": {3: BOX, 13: BOX, 23: BOX, 33: BOX},
}


@pytest.mark.parametrize("lie", MASK_SETS)
def test_false_mask_set(lie):
    rehearsal = Rehearsal(n=5, threshold=2, min_survivors=4).advertise().share()
    header = Header(MessageType.DELIVERY, rehearsal.server.session, 1, SERVER)
    with pytest.raises(InconsistentRoster):
        rehearsal.clients[3].receive(frame(header, Delivery(tuple(MASK_SETS[lie].items())).payload()))
    rehearsal.deliver()
    assert rehearsal.clients[3].phase.name == "READY" and rehearsal.server.phase is Phase.MASK_INPUT
