# SPDX-License-Identifier: Apache-2.0
"""Uploads that were altered, exchanged, cut, repeated or made elsewhere are refused by name, and the rest adds up."""

import numpy as np
import pytest
from crypto_rounds import counter_entropy
from hypothesis import given, settings
from hypothesis import strategies as st
from lattice_rounds import LatticeRehearsal

from fedmeta_crypto.errors import (
    BadMessage,
    BadSignature,
    Oversized,
    PeerProtocolError,
    Repeated,
    SpoofedSender,
    Stranger,
    Truncated,
    WrongSession,
)
from fedmeta_crypto.homomorphic.errors import DecryptionFailed, NoCiphertext, WrongAttachment
from fedmeta_crypto.homomorphic.parcel import PARCEL_BYTES, Parcel


def parcels(round_):
    return {id_: client.mask_input(round_.vectors[id_]).send[0].message for id_, client in round_.clients.items()}


def parts(round_, message):
    return Parcel.read(message, sender=3, input_bytes=2**20, ciphertext_bytes=round_.scheme.upload_bytes)


def flipped(data, at):
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def bent(round_, sent):
    """(what arrives, from whom, the error's name)."""
    own, other = parts(round_, sent[3]), parts(round_, sent[13])
    cipher = bytes(own.ciphertext)
    elsewhere = LatticeRehearsal(seed="elsewhere", server_nonce=bytes([1]) * 32).until_masked()
    late = elsewhere.clients[3].mask_input(round_.vectors[3]).send[0].message
    at_m5 = PARCEL_BYTES + len(own.masked_input)
    return {
        "a flipped bit of the ciphertext": (flipped(sent[3], len(sent[3]) - 1), 3, WrongAttachment),
        "a flipped bit of the commitment": (flipped(sent[3], PARCEL_BYTES - 1), 3, WrongAttachment),
        "a flipped bit of the signature": (flipped(sent[3], at_m5 - 1), 3, BadSignature),
        "a flipped bit of the masked key": (flipped(sent[3], at_m5 - 200), 3, BadSignature),
        "another's ciphertext": (
            Parcel(own.masked_input, own.commitment, other.ciphertext).to_bytes(),
            3,
            WrongAttachment,
        ),
        "another's parcel": (sent[13], 3, SpoofedSender),
        "a parcel of another session": (late, 3, WrongSession),
        "a stranger's": (sent[3], 99, Stranger),
        "a longer ciphertext": (Parcel(own.masked_input, own.commitment, cipher + bytes(4)).to_bytes(), 3, Oversized),
        "a shorter ciphertext": (Parcel(own.masked_input, own.commitment, cipher[:-4]).to_bytes(), 3, BadMessage),
        "no ciphertext": (own.masked_input, 3, NoCiphertext),
        "no masked input": (Parcel(b"", own.commitment, cipher).to_bytes(), 3, NoCiphertext),
        "a masked input of a header": (Parcel(own.masked_input[:60], own.commitment, cipher).to_bytes(), 3, Truncated),
        "half a parcel": (sent[3][: len(sent[3]) // 2], 3, Truncated),
        "a parcel's head": (sent[3][:20], 3, Truncated),
        "trailing bytes": (sent[3] + b"x", 3, Oversized),
        "sizes that lie": (sent[3][:8] + b"\xff\xff\xff\x7f" + sent[3][12:], 3, Oversized),
    }


CASES = tuple(bent(r := LatticeRehearsal().until_masked(), parcels(r)))


@pytest.mark.parametrize("case", CASES)
def test_a_bent_upload_changes_nothing(case):
    round_ = LatticeRehearsal().until_masked()
    sent = parcels(round_)
    message, sender, error = bent(round_, sent)[case]
    with pytest.raises(error):
        round_.server.receive(message, sender=sender)
    for id_, parcel in sent.items():
        round_._collect(round_.server.receive(parcel, sender=id_))
    opened = round_.agree().unmask()
    assert np.array_equal(opened.total, round_.expected(round_.parameters.cohort))


def test_a_second_upload_is_not_added():
    round_ = LatticeRehearsal().until_masked()
    sent = parcels(round_)
    round_.server.receive(sent[3], sender=3)
    with pytest.raises(Repeated):
        round_.server.receive(sent[3], sender=3)
    for id_ in (13, 23, 33):
        round_._collect(round_.server.receive(sent[id_], sender=id_))
    assert np.array_equal(round_.agree().unmask().total, round_.expected(round_.parameters.cohort))


ROUND = LatticeRehearsal().until_masked()
SENT = parcels(ROUND)


@settings(max_examples=300, deadline=None)
@given(st.integers(0, len(SENT[3]) - 1), st.integers(1, 255), st.integers(-8, 8))
def test_no_mutation_is_taken(at, bits, longer):
    message = bytearray(SENT[3])
    message[at] ^= bits
    bytes_ = bytes(message[: len(message) + min(longer, 0)]) + bytes(max(longer, 0))
    with pytest.raises(PeerProtocolError):
        ROUND.server.receive(bytes_, sender=3)
    assert ROUND.server.attachments() == () and not ROUND.server._total.any()


def test_an_upload_under_another_secret_is_a_failure_and_no_sum():
    """A client whose ciphertext does not fit its masked key spoils the round, and everybody is told."""
    round_ = LatticeRehearsal().until_masked()
    twin = LatticeRehearsal().until_masked().clients[3]  # same keys, as the entropy is the test's
    for id_, client in round_.clients.items():
        own = client if id_ != 3 else twin
        if id_ == 3:
            own._entropy = counter_entropy("another")
            inner, real = own._inner, own._inner.mask_input
            inner.mask_input = lambda vector, real=real, **rest: real(vector[::-1].copy(), **rest)
        (out,) = own.mask_input(round_.vectors[id_]).send
        round_._collect(round_.server.receive(out.message, sender=id_))
    round_.clients[3] = twin
    with pytest.raises(DecryptionFailed, match="residual"):
        round_.agree().unmask()
    assert round_.opened is None and round_.server.phase.name == "FAILED"
