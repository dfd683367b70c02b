# SPDX-License-Identifier: Apache-2.0
"""Ids outside the cohort, off the allow-list or already gone take no part."""

import pytest
from crypto_rounds import Rehearsal, plan, policy

from fedmeta_crypto import ClientSession
from fedmeta_crypto.errors import PlanRefused, Stranger, Unexpected


def test_unknown_sender():
    rehearsal = Rehearsal()
    message = rehearsal.clients[3].advertise_keys().send[0].message
    with pytest.raises(Stranger) as caught:
        rehearsal.server.receive(message, sender=4)
    assert caught.value.sender == 4


def test_client_outside_the_cohort_and_ids_off_the_list():
    message = plan().to_message()
    with pytest.raises(PlanRefused):
        ClientSession(message, client_id=4, policy=policy())
    with pytest.raises(PlanRefused, match="allow-list"):
        ClientSession(message, client_id=3, policy=policy(known_ids=frozenset({3, 13, 23})))
    ClientSession(message, client_id=3, policy=policy(known_ids=frozenset(range(99))))


def test_one_who_left_cannot_come_back():
    rehearsal = Rehearsal().advertise()
    late = rehearsal.clients[3].receive(rehearsal.inbox[3]).send[0].message
    rehearsal.share(drop=[3])
    with pytest.raises(Unexpected):
        rehearsal.server.receive(late, sender=3)
    rehearsal.deliver().mask().unmask()
    assert rehearsal.opened.dropped == (3,)
