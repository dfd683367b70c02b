# SPDX-License-Identifier: Apache-2.0
"""Uploads bent at random, at the live server of a round: none is taken, nothing crashes, and the rest still adds up.

The messages are parcels as clients send them: head, masked input with its signature, ciphertext. Of the key that the
decryptor offers, the clients are the judges, and no bent one is taken either.
"""

import numpy as np
import pytest
from crypto_rounds import counter_entropy
from lattice_rounds import LatticeRehearsal
from split_rounds import SplitRehearsal

from fedmeta_crypto.errors import ProtocolError
from fedmeta_crypto.homomorphic.seal.cipher import TensealBfv
from fedmeta_crypto.homomorphic.split.scheme import SplitScheme


def rounds(word):
    if word != "bfv":
        return LatticeRehearsal(name=word, dimension=3000)
    return SplitRehearsal(SplitScheme(clients=4, modulus_bits=19, dimension=500, cipher=TensealBfv()))


def parcels(round_):
    round_.advertise().share().deliver()
    return {id_: client.mask_input(round_.vectors[id_]).send[0].message for id_, client in round_.clients.items()}


def bent(good, other, draw):
    """One mutation of a message that another of its kind may lend pieces to; never the message itself."""
    data, at = bytearray(good), int(draw.integers(len(good)))
    match int(draw.integers(8)):
        case 0:
            data[at] ^= 1 << int(draw.integers(8))
        case 1:
            at = int(draw.integers(min(200, len(good))))  # heads and sizes are in front
            data[at] = (data[at] + int(draw.integers(1, 256))) % 256
        case 2:
            del data[at:]
        case 3:
            data += draw.bytes(int(draw.integers(1, 99)))
        case 4:
            data[at:] = other[at:] if other[at:] != good[at:] else bytes(1 + len(good) - at)
        case 5:
            at = int(draw.integers(20))
            data[at : at + 8] = int(draw.integers(2**63)).to_bytes(8, "little")
        case 6:
            data = bytearray(draw.bytes(at))
        case 7:
            data = bytearray(other)  # another's, whole
    return bytes(data)


def fuzz(word, count, seed):
    round_, elsewhere = rounds(word), rounds(word)
    sent = parcels(round_)
    old = parcels(elsewhere) if word == "bfv" else sent  # the same session under another key, and other signatures
    draw = np.random.default_rng(seed)
    for _ in range(count):
        sender = int(draw.choice(round_.parameters.cohort))
        other = [*(m for id_, m in sent.items() if id_ != sender), *(old[sender],) * (word == "bfv")]
        message = bent(sent[sender], other[int(draw.integers(len(other)))], draw)
        if message == sent[sender]:
            continue
        with pytest.raises(ProtocolError):
            round_.server.receive(message, sender=sender)
    assert round_.server.attachments() == ()
    for id_, message in sent.items():
        round_._collect(round_.server.receive(message, sender=id_))
    opened = round_.agree().unmask()
    assert np.array_equal(opened.total, round_.expected(opened.survivors)) and len(opened.survivors) == 4


def fuzz_keys(count, seed):
    """Announcements with a bent offer: no client begins such a round."""
    round_, draw = rounds("bfv"), np.random.default_rng(seed)
    good, other = dict(round_.inbox)[3], dict(rounds("bfv").inbox)[3]
    for _ in range(count):
        message = bent(good, other, draw)
        if message in (good, other):
            continue
        with pytest.raises(ProtocolError):
            round_.client(3, message, entropy=counter_entropy("x"))


@pytest.mark.parametrize("word", ["rlwe32", "rlwe64", "bfv"])
def test_bent_uploads(word):
    fuzz(word, 1500, 1)


def test_bent_keys():
    fuzz_keys(500, 2)


@pytest.mark.long
@pytest.mark.parametrize("word", ["rlwe32", "rlwe64", "bfv"])
def test_thirty_thousand_bent_uploads(word):
    fuzz(word, 30_000, 3)


@pytest.mark.long
def test_ten_thousand_bent_keys():
    fuzz_keys(10_000, 4)
