# SPDX-License-Identifier: Apache-2.0
"""A member speaks in another member's name."""

import pytest
from crypto_rounds import Rehearsal

from fedmeta_crypto.errors import SpoofedSender


def test_header_and_transport_must_agree():
    rehearsal = Rehearsal()
    message = rehearsal.clients[3].advertise_keys().send[0].message
    with pytest.raises(SpoofedSender) as caught:
        rehearsal.server.receive(message, sender=13)
    assert caught.value.sender == 13  # the connection is blamed, not the name on the letter


def test_a_client_does_not_take_a_clients_word():
    rehearsal = Rehearsal()
    message = rehearsal.clients[3].advertise_keys().send[0].message
    rehearsal.clients[13].advertise_keys()
    with pytest.raises(SpoofedSender):
        rehearsal.clients[13].receive(message)
