# SPDX-License-Identifier: Apache-2.0
"""Rounds whose masked words leave the session: their announcement, their one call, and what they refuse."""

import numpy as np
import pytest
from crypto_rounds import Rehearsal, identity_of, plan, signed_plan, signed_policy

from fedmeta_crypto import ClientSession, Phase, RoundParameters, Strength
from fedmeta_crypto.errors import (
    BadArgument,
    BadMessage,
    MaskReuse,
    OutOfOrder,
    OutOfRing,
    PlanRefused,
    ProtocolError,
    WrongLength,
)
from fedmeta_crypto.messages import masked_input_bytes
from fedmeta_crypto.secagg.client_phases import ClientPhase
from fedmeta_crypto.wire import DECRYPTOR, FRAME_BYTES, SIGNATURE_BYTES

T44 = 17592186028033
KEY_HASH = bytes(range(32))


def detached(n=4, **changes):
    return signed_plan(n, **{"bits": 0, "modulus": T44, "key_hash": KEY_HASH} | changes)


class Detached(Rehearsal):
    def client(self, id_, m0, *, entropy):
        own = signed_policy(self.parameters, modulus=T44)
        return ClientSession(m0, client_id=id_, policy=own, identity=identity_of(id_), entropy=entropy)


def ready():
    rehearsal = Detached(detached()).until(Phase.MASK_INPUT)
    return rehearsal, rehearsal.clients[13]


WORDS = np.arange(5, dtype=np.uint64)


def test_announced_and_read_again():
    parameters = detached()
    message = parameters.to_message(identity_of(1).sign)
    again = RoundParameters.from_message(message, max_bytes=len(message))
    assert again == parameters and again.detached and again.modulus == T44 and again.key_hash == KEY_HASH
    assert again.to_message() == parameters.to_message()
    assert len(detached().to_message()) == len(signed_plan(4).to_message()) + 40


def test_key_and_modulus_are_bound_into_the_session():
    sessions = {detached().session, detached(key_hash=bytes(32)).session, detached(modulus=65537).session}
    assert len(sessions) == 3


@pytest.mark.parametrize(
    "changes",
    [
        {"modulus": T44 + 2},
        {"modulus": 2**61 - 1},
        {"modulus": -T44},
        {"modulus": float(T44)},
        {"key_hash": b""},
        {"key_hash": bytes(31)},
        {"bits": 22},
        {"ids": (3, 13, 23, DECRYPTOR)},
        {"modulus": 0},
        {"modulus": 0, "bits": 22},
        {"modulus": 0, "key_hash": b"", "bits": 0},
    ],
)
def test_no_such_round(changes):
    with pytest.raises(PlanRefused):
        detached(**changes)


def test_never_without_signatures():
    with pytest.raises(PlanRefused):
        plan(4, bits=0, modulus=T44, key_hash=KEY_HASH, strength=Strength.SEMI_HONEST)


def test_a_ring_of_nothing_on_the_wire():
    message = bytearray(detached().to_message(identity_of(1).sign))
    at = message.index(T44.to_bytes(8, "little"))
    message[at : at + 8] = bytes(8)
    with pytest.raises(BadMessage):
        RoundParameters.from_message(bytes(message), max_bytes=len(message))


@pytest.mark.parametrize("cut", range(1, 41, 3))
def test_cut_announcements(cut):
    message = detached().to_message(identity_of(1).sign)
    at = message.index(T44.to_bytes(8, "little"))
    with pytest.raises(ProtocolError):
        RoundParameters.from_message(message[:at] + message[at + cut :], max_bytes=len(message))


def test_neither_kind_of_round_can_stand_in_for_the_other():
    for parameters, wanted in ((detached(), 0), (detached(modulus=65537), T44), (signed_plan(4), T44)):
        policy = signed_policy(parameters, modulus=wanted)
        with pytest.raises(PlanRefused, match="modulus"):
            policy.check(parameters, client_id=3, session=parameters.session)


def test_an_input_carries_no_vector():
    rehearsal, client = ready()
    step = client.mask_detached(WORDS, lambda masked: bytes(32))
    assert len(step.send[0].message) == FRAME_BYTES + SIGNATURE_BYTES + masked_input_bytes(0)
    with pytest.raises(ProtocolError):
        rehearsal.server.receive(step.send[0].message + b"\0", sender=13)


def test_words_are_masked_once_and_the_caller_keeps_his():
    _, client = ready()
    words, seen = WORDS.copy(), []
    client.mask_detached(words, lambda masked: seen.append(masked.copy()) or bytes(32))
    assert np.array_equal(words, WORDS) and not np.array_equal(seen[0], WORDS) and seen[0].max() < T44
    with pytest.raises(MaskReuse):
        client.mask_detached(words, lambda masked: bytes(32))
    assert client._secrets.mask_keys_plus == []


def test_no_second_masking_from_within_the_first():
    _, client = ready()

    def seal(_):
        with pytest.raises(MaskReuse):
            client.mask_detached(WORDS, lambda masked: bytes(32))
        return bytes(32)

    client.mask_detached(WORDS, seal)


@pytest.mark.parametrize("bad", [lambda masked: 1 // 0, lambda masked: b"short", lambda masked: None])
def test_what_fails_after_masking_ends_the_session(bad):
    _, client = ready()
    with pytest.raises((ZeroDivisionError, BadArgument)):
        client.mask_detached(WORDS, bad)
    assert client.phase is ClientPhase.ABORTED and client._secrets is None
    with pytest.raises(OutOfOrder):
        client.resend()
    with pytest.raises(OutOfOrder):
        client.mask_detached(WORDS, lambda masked: bytes(32))


@pytest.mark.parametrize(
    ("words", "error"),
    [(WORDS.astype(np.int64), OutOfRing), (WORDS + np.uint64(T44 - 4), OutOfRing), (WORDS[:4], WrongLength)],
)
def test_a_vector_that_does_not_fit_changes_nothing(words, error):
    _, client = ready()
    with pytest.raises(error):
        client.mask_detached(words, lambda masked: bytes(32))
    assert client.phase is ClientPhase.READY
    client.mask_detached(WORDS, lambda masked: bytes(32))


def test_each_kind_of_input_has_its_own_call():
    _, client = ready()
    with pytest.raises(OutOfOrder):
        client.mask_input(np.zeros(5, np.uint32))
    other = Rehearsal(signed_plan(4)).until(Phase.MASK_INPUT).clients[13]
    with pytest.raises(OutOfOrder):
        other.mask_detached(WORDS, lambda masked: bytes(32))
    assert client.phase is other.phase is ClientPhase.READY


def test_not_before_the_keys_are_agreed():
    client = Detached(detached()).clients[13]
    with pytest.raises(OutOfOrder):
        client.mask_detached(WORDS, lambda masked: bytes(32))


def test_the_server_keeps_no_vector_before_it_opens():
    assert Detached(detached(length=3000)).server._sum.size == 0
