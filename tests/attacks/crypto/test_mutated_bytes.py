# SPDX-License-Identifier: Apache-2.0
"""An adversary flips, cuts, grows and splices bytes: only named errors come out, and the state survives."""

import random

import numpy as np
import pytest
from crypto_rounds import Rehearsal, policy, signed_plan

from fedmeta_crypto import ClientSession, Phase, ProtocolError

MUTANTS = 1000


def mutate(data, rng):
    data = bytearray(data)
    match rng.randrange(6):
        case 0:
            data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        case 1:
            del data[rng.randrange(len(data)) :]
        case 2:
            data += rng.randbytes(rng.randrange(1, 40))
        case 3:  # any four bytes, as if a length or an id
            at = rng.randrange(len(data) - 3)
            data[at : at + 4] = rng.choice([b"\xff\xff\xff\xff", bytes(4), rng.randbytes(4)])
        case 4:
            i, j = sorted(rng.sample(range(len(data)), 2))
            del data[i:j]
        case _:
            i, j = sorted(rng.sample(range(len(data)), 2))
            data[i:i] = data[i:j]
    return bytes(data)


def small():
    return Rehearsal(n=3, threshold=1, min_survivors=2, length=2, bits=20)


def finish(rehearsal):
    """Complete a round from wherever it is, by replaying the honest moves that are left."""
    phase = rehearsal.server.phase
    moves = {
        Phase.ADVERTISE_KEYS: ("advertise", "share", "deliver", "mask", "unmask"),
        Phase.SHARE_KEYS: ("share", "deliver", "mask", "unmask"),
        Phase.MASK_INPUT: ("mask", "unmask"),
        Phase.UNMASK: ("unmask",),
    }
    for move in moves[phase]:
        getattr(rehearsal, move)()
    assert np.array_equal(rehearsal.opened.total, rehearsal.client_sums())


def attack(build, seed):
    """build() gives (rehearsal, honest bytes, receive); returns how many mutants were refused."""
    rng = random.Random(seed)
    refused = 0
    rehearsal, honest, receive = build()
    for _ in range(MUTANTS):
        mutant = mutate(honest, rng)
        if mutant == honest:
            continue
        try:
            receive(mutant)
        except ProtocolError:
            refused += 1
        else:  # well-formed: the receiver believed it, so begin afresh
            rehearsal, honest, receive = build()
    return rehearsal, honest, receive, refused


def test_announcement():
    rehearsal = small()
    honest = rehearsal.parameters.to_message()
    rng = random.Random(0)
    for _ in range(MUTANTS):
        mutant = mutate(honest, rng)
        try:
            session = ClientSession(mutant, client_id=3, policy=policy())
        except ProtocolError:
            continue
        assert session.parameters.to_message() == mutant  # canonical: another meaning, another session
        assert (session.session == rehearsal.server.session) == (mutant == honest)


@pytest.mark.parametrize("number", [1, 3, 5, 9])
def test_messages_to_the_server(number):
    def build():
        phase = {1: Phase.ADVERTISE_KEYS, 3: Phase.SHARE_KEYS, 5: Phase.MASK_INPUT, 9: Phase.UNMASK}[number]
        rehearsal = small().until(phase)
        client = rehearsal.clients[3]
        if number == 1:
            step = client.advertise_keys()
        elif number == 5:
            step = client.mask_input(rehearsal.vectors[3])
        else:
            step = client.receive(rehearsal.inbox[3])
        return rehearsal, step.send[0].message, lambda data: rehearsal.server.receive(data, sender=3)

    _, honest, receive, refused = attack(build, number)
    assert refused > MUTANTS // 2
    assert receive(honest).send == ()
    with pytest.raises(ProtocolError):
        receive(honest)


def signed():
    return Rehearsal(signed_plan(3, dropped=0, length=2, bits=20))


def no_mutant_is_accepted(honest, receive, rng):
    for _ in range(MUTANTS):
        mutant = mutate(honest, rng)
        if mutant != honest:
            with pytest.raises(ProtocolError):
                receive(mutant)


@pytest.mark.parametrize("number", [1, 3, 5, 7, 9])
def test_signed_messages_to_the_server(number):
    phases = {3: Phase.SHARE_KEYS, 5: Phase.MASK_INPUT, 7: Phase.CONSISTENCY, 9: Phase.UNMASK}
    rehearsal = signed().until(phases.get(number, Phase.ADVERTISE_KEYS))
    client = rehearsal.clients[3]
    if number == 1:
        step = client.advertise_keys()
    elif number == 5:
        step = client.mask_input(rehearsal.vectors[3])
    else:
        step = client.receive(rehearsal.inbox[3])
    (honest,) = (outgoing.message for outgoing in step.send)
    no_mutant_is_accepted(honest, lambda m: rehearsal.server.receive(m, sender=3), random.Random(number))
    rehearsal.server.receive(honest, sender=3)


@pytest.mark.parametrize("number", [2, 4, 6, 8])
def test_signed_messages_to_a_client(number):
    rehearsal = signed()
    for move in ("advertise", "share", "deliver mask", "agree")[: number // 2]:
        for part in move.split():
            getattr(rehearsal, part)()
    honest, client = rehearsal.inbox[3], rehearsal.clients[3]
    no_mutant_is_accepted(honest, client.receive, random.Random(number))
    client.receive(honest)
    assert client.phase.name != "ABORTED"


def test_signed_announcement():
    rehearsal = signed()
    honest, entropy = rehearsal.inbox[3], rehearsal.clients[3]._entropy
    no_mutant_is_accepted(honest, lambda m: rehearsal.client(3, m, entropy=entropy), random.Random(0))
    rehearsal.client(3, honest, entropy=entropy)


@pytest.mark.parametrize("number", [2, 4, 6])
def test_messages_to_a_client(number):
    def build():
        phase = {2: Phase.SHARE_KEYS, 4: Phase.SHARE_KEYS, 6: Phase.UNMASK}[number]
        rehearsal = small().until(phase)
        if number == 4:
            rehearsal.share()
        return rehearsal, rehearsal.inbox[3], rehearsal.clients[3].receive

    rehearsal, _, _, refused = attack(build, number)
    assert refused > MUTANTS // 2
    if number == 4:
        rehearsal.deliver()
    finish(rehearsal)
