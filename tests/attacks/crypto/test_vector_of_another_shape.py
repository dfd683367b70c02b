# SPDX-License-Identifier: Apache-2.0
"""Vectors too short, too long or outside the ring, from the caller and from a peer."""

import struct

import numpy as np
import pytest
from crypto_rounds import Rehearsal

from fedmeta_crypto import Phase
from fedmeta_crypto.errors import BadArgument, BadMessage, OutOfRing, ProtocolError, WrongLength
from fedmeta_crypto.messages import MaskedInput
from fedmeta_crypto.wire import Header, MessageType, frame


@pytest.fixture
def ready():
    return Rehearsal(bits=12, length=5).until(Phase.MASK_INPUT)


@pytest.mark.parametrize("shape", [(4,), (6,), (5, 1), (0,), ()])
def test_caller_gives_another_shape(ready, shape):
    with pytest.raises(WrongLength):
        ready.clients[3].mask_input(np.zeros(shape, np.uint32))
    ready.clients[3].mask_input(ready.vectors[3])  # a refused vector does not burn the mask


@pytest.mark.parametrize("bad", [np.zeros(5), np.zeros(5, np.int32), [0] * 5, np.full(5, 2**12, np.uint32)])
def test_caller_gives_values_outside_the_ring(ready, bad):
    with pytest.raises(OutOfRing):
        ready.clients[3].mask_input(bad)


def test_attachment_hash_has_32_bytes(ready):
    with pytest.raises(BadArgument):
        ready.clients[3].mask_input(ready.vectors[3], attachment_hash=b"short")


@pytest.mark.parametrize("bits", [12, 32])
@pytest.mark.parametrize("values", [[0] * 4, [0] * 6, [], [2**12 - 1] * 7])
def test_peer_sends_another_vector(ready, values, bits):
    header = Header(MessageType.MASKED_INPUT, ready.server.session, 1, 3)
    payload = MaskedInput(bytes(32), ready.server._views[3], np.array(values, np.uint32), bits).payload()
    with pytest.raises(ProtocolError) as caught:
        ready.server.receive(frame(header, payload), sender=3)
    assert caught.value.sender == 3
    assert not ready.server._sum.any()


def test_peer_masks_for_another_view(ready):
    header = Header(MessageType.MASKED_INPUT, ready.server.session, 1, 3)
    payload = MaskedInput(bytes(32), bytes(32), np.zeros(5, np.uint32), 12).payload()
    with pytest.raises(BadMessage, match="another mask set"):
        ready.server.receive(frame(header, payload), sender=3)


def test_bits_beyond_the_last_value(ready):
    """Five values of 12 bits fill seven bytes and a half: the other half must be zero."""
    header = Header(MessageType.MASKED_INPUT, ready.server.session, 1, 3)
    payload = bytearray(MaskedInput(bytes(32), ready.server._views[3], np.zeros(5, np.uint32), 12).payload())
    payload[-1] |= 0x10
    with pytest.raises(BadMessage, match="beyond the last value"):
        ready.server.receive(frame(header, bytes(payload)), sender=3)


def test_values_of_another_width(ready):
    """The right number of values, packed for a larger ring."""
    header = Header(MessageType.MASKED_INPUT, ready.server.session, 1, 3)
    payload = MaskedInput(bytes(32), ready.server._views[3], np.full(5, 2**12, np.uint32), 16).payload()
    with pytest.raises(ProtocolError):
        ready.server.receive(frame(header, payload), sender=3)


def test_count_that_disagrees_with_the_bytes(ready):
    header = Header(MessageType.MASKED_INPUT, ready.server.session, 1, 3)
    with pytest.raises(ProtocolError):
        ready.server.receive(frame(header, bytes(64) + struct.pack("<I", 5) + bytes(16)), sender=3)
