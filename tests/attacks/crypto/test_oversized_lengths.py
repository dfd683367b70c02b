# SPDX-License-Identifier: Apache-2.0
"""Length fields that promise gigabytes: refused by the bytes really there, with nothing allocated."""

import struct
import tracemalloc

import pytest
from crypto_rounds import Rehearsal, plan, policy

from fedmeta_crypto import SERVER, ClientSession, Phase
from fedmeta_crypto.errors import Oversized, ProtocolError, Truncated
from fedmeta_crypto.wire import Header, MessageType, frame

HUGE = struct.pack("<I", 2**32 - 1)


def peak_of(call):
    tracemalloc.start()
    try:
        with pytest.raises(ProtocolError) as caught:
            call()
        return caught.value, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


CASES = {
    MessageType.SHARES: (Phase.SHARE_KEYS, HUGE),
    MessageType.MASKED_INPUT: (Phase.MASK_INPUT, bytes(64) + HUGE),
    MessageType.UNMASKING: (Phase.UNMASK, HUGE),
}


@pytest.mark.parametrize("kind", CASES)
def test_counts_to_the_server(kind):
    phase, payload = CASES[kind]
    rehearsal = Rehearsal().until(phase)
    message = frame(Header(kind, rehearsal.server.session, 1, 3), payload)
    error, peak = peak_of(lambda: rehearsal.server.receive(message, sender=3))
    assert isinstance(error, Truncated) and peak < 100_000


@pytest.mark.parametrize("kind", [MessageType.ROSTER])
def test_counts_to_a_client(kind):
    rehearsal = Rehearsal().advertise()
    message = frame(Header(kind, rehearsal.server.session, 1, SERVER), HUGE)
    error, peak = peak_of(lambda: rehearsal.clients[3].receive(message))
    assert isinstance(error, Truncated) and peak < 100_000


def test_payload_size_in_the_frame():
    rehearsal = Rehearsal()
    message = bytearray(rehearsal.clients[3].advertise_keys().send[0].message)
    message[51:55] = HUGE
    error, peak = peak_of(lambda: rehearsal.server.receive(bytes(message), sender=3))
    assert isinstance(error, Truncated) and peak < 100_000


def test_more_bytes_than_the_round_needs():
    rehearsal = Rehearsal()
    with pytest.raises(Oversized):
        rehearsal.server.receive(bytes(10**6), sender=3)
    with pytest.raises(Oversized):
        ClientSession(bytes(10**6), client_id=3, policy=policy())


def test_announced_sizes():
    for changes in ({"body": bytes(65)}, {"length": 4097}):
        with pytest.raises(ProtocolError):
            ClientSession(plan(**changes).to_message(), client_id=3, policy=policy())
    message = bytearray(plan().to_message())
    for at in (55 + 24, 55 + 28):  # cohort size, body size
        broken = message[:at] + HUGE + message[at + 4 :]
        error, peak = peak_of(lambda b=bytes(broken): ClientSession(b, client_id=3, policy=policy()))
        assert error.code == "SFM-223" and peak < 100_000
