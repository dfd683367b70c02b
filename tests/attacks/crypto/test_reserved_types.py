# SPDX-License-Identifier: Apache-2.0
"""Message types, versions and signatures of later releases are refused by name, never half-understood."""

import pytest
from crypto_rounds import Rehearsal, signed_plan

from fedmeta_crypto.errors import BadMessage, Unsupported


@pytest.mark.parametrize(("at", "value"), [(4, 2), (5, 2), (6, 7), (6, 8), (6, 10), (6, 11), (6, 12), (6, 255)])
def test_refused_by_name(at, value):
    rehearsal = Rehearsal()
    message = bytearray(rehearsal.clients[3].advertise_keys().send[0].message)
    message[at] = value
    with pytest.raises(Unsupported):
        rehearsal.server.receive(bytes(message), sender=3)


@pytest.mark.parametrize("value", [12, 13, 255])
def test_numbers_that_no_strength_has(value):
    """From 12 on; 7, 8, 10 and 11 exist in a signed round, and are refused above in one without signatures."""
    rehearsal = Rehearsal(signed_plan(4))
    message = bytearray(rehearsal.clients[3].advertise_keys().send[0].message)
    message[6] = value
    with pytest.raises(Unsupported):
        rehearsal.server.receive(bytes(message), sender=3)


@pytest.mark.parametrize("value", [7, 8, 10, 11, 12])
def test_refused_by_a_client_without_signatures(value):
    rehearsal = Rehearsal().advertise()
    message = bytearray(rehearsal.inbox[3])
    message[6] = value
    with pytest.raises(Unsupported):
        rehearsal.clients[3].receive(bytes(message))


def test_signature_and_magic():
    rehearsal = Rehearsal()
    message = rehearsal.clients[3].advertise_keys().send[0].message
    with pytest.raises(Unsupported):
        rehearsal.server.receive(message[:-2] + b"\x40\x00", sender=3)
    with pytest.raises(BadMessage):
        rehearsal.server.receive(b"HTTP" + message[4:], sender=3)
