# SPDX-License-Identifier: Apache-2.0
"""No byte of a masked split's messages can be changed, cut or added without a named refusal; nothing else moves."""

import numpy as np
import pytest
from crypto_rounds import identity_of
from split_rounds import SplitRehearsal, toy_scheme
from toy_bfv import ClearCipher

from fedmeta_crypto import SERVER, Phase, ProtocolError
from fedmeta_crypto.homomorphic.split.aggregator import proposed_key
from fedmeta_crypto.homomorphic.split.scheme import SplitScheme
from fedmeta_crypto.wire import DECRYPTOR


def small():
    return SplitRehearsal(SplitScheme(clients=3, modulus_bits=16, dimension=2, cipher=ClearCipher()), dropped=0)


def mutations(message):
    """Every byte changed in one bit and in all, every length cut to, and a byte more."""
    for at in range(len(message)):
        for flip in (1, 0x80, 0xFF):
            yield message[:at] + bytes([message[at] ^ flip]) + message[at + 1 :]
    for size in range(0, len(message), 3):
        yield message[:size]
    yield message + b"\0"


def refused(message, take):
    count = 0
    for bad in mutations(message):
        with pytest.raises(ProtocolError):
            take(bad)
        count += 1
    assert count > 3 * len(message)


def test_proposals():
    rehearsal = small()
    fields = {"scheme": rehearsal.scheme, "round_": 1, "people": rehearsal.people}
    refused(rehearsal.proposal, lambda bad: proposed_key(bad, **fields))
    proposed_key(rehearsal.proposal, **fields)


def test_announcements_with_their_offers():
    rehearsal = small()
    refused(rehearsal.inbox[3], lambda bad: rehearsal.client(3, bad))


def test_offers():
    rehearsal = small()
    waiting = SplitRehearsal(rehearsal.scheme, dropped=0, serve=False)
    offer = waiting.decryptor.receive(waiting.to_decryptor[0]).send[0].message
    refused(offer, lambda bad: waiting.server.receive(bad, sender=DECRYPTOR))
    assert len(waiting.server.receive(offer, sender=DECRYPTOR).send) == 3


def test_parcels_at_the_aggregator():
    rehearsal = small().until(Phase.MASK_INPUT)
    parcel = rehearsal.clients[3].mask_input(rehearsal.vectors[3]).send[0].message
    refused(parcel, lambda bad: rehearsal.server.receive(bad, sender=3))
    assert rehearsal.server.attachments() == () and len(rehearsal.server.receive(parcel, sender=3).send) == 1


def held_back():
    rehearsal = small()
    rehearsal.serve = False
    del rehearsal.to_decryptor[:]
    return rehearsal.until(Phase.UNMASK)


def test_everything_that_reaches_the_decryptor():
    rehearsal = held_back()
    for message in rehearsal.to_decryptor:
        refused(message, rehearsal.decryptor.receive)
        step = rehearsal.decryptor.receive(message)
    rehearsal.opened_message = step.send[0].message
    refused(rehearsal.opened_message, lambda bad: rehearsal.server.receive(bad, sender=DECRYPTOR))
    rehearsal._collect(rehearsal.server.receive(rehearsal.opened_message, sender=DECRYPTOR))
    rehearsal.unmask()
    assert np.array_equal(rehearsal.opened.total, rehearsal.expected(rehearsal.parameters.cohort))


def test_announcements_at_the_decryptor():
    rehearsal = SplitRehearsal(small().scheme, dropped=0, serve=False)
    (m0,) = rehearsal.to_decryptor
    refused(m0, rehearsal.decryptor.receive)
    assert rehearsal.decryptor.receive(m0).send[0].to == SERVER


@pytest.mark.parametrize("seed", range(3))
def test_random_bytes(seed):
    rehearsal, rng = SplitRehearsal(toy_scheme(3), dropped=0).until(Phase.MASK_INPUT), np.random.default_rng(seed)
    for magic in (b"", b"SFMS\1\1", b"sfmpar/1", b"sfmdec/1", b"sfmann/1"):
        for size in (0, 1, 50, 200, 900):
            bad = magic + rng.bytes(size)
            for take in (
                rehearsal.decryptor.receive,
                lambda bad: rehearsal.server.receive(bad, sender=3),
                lambda bad: rehearsal.server.receive(bad, sender=DECRYPTOR),
                lambda bad: rehearsal.client(3, bad, identity=identity_of(3)),
            ):
                with pytest.raises(ProtocolError):
                    take(bad)
