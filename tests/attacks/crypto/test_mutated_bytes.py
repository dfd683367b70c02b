# SPDX-License-Identifier: Apache-2.0
"""An adversary flips, cuts, grows and splices bytes: only named errors come out, and the state survives.

Ten thousand mutants of each message type and strength in the long run (fewer of unsigned messages with surplus
secrets), a twentieth of them in the short one. Material for splices are all messages of this round and of another one.
"""

import gc
import random
import tracemalloc
from functools import cache

import numpy as np
import pytest
from crypto_rounds import Rehearsal, plan, policy, signed_plan, sparse_plan

from fedmeta_crypto import ClientSession, ProtocolError, Strength

MANY = 10_000
AMOUNTS = [pytest.param(MANY // 20, id="short"), pytest.param(MANY, id="all", marks=pytest.mark.long)]
GROWTH = 200_000  # bytes: allocators and caches breathe, a leak of one message per mutant does not fit

PLANS = {
    "semi-honest": lambda round_: plan(n=3, threshold=1, min_survivors=2, length=2, bits=20, round_=round_),
    "malicious": lambda round_: signed_plan(3, dropped=0, length=2, bits=20, round_=round_),
    "semi-honest surplus": lambda round_: plan(
        n=3, threshold=1, min_survivors=2, length=2, bits=20, round_=round_, surplus=1
    ),
    "malicious surplus": lambda round_: signed_plan(4, dropped=1, length=2, bits=20, round_=round_, surplus=1),
    "semi-malicious ring": lambda round_: sparse_plan(
        6, strength=Strength.SEMI_MALICIOUS, corrupt=0, dropped=0, k=2, threshold=2, length=2, bits=12, round_=round_
    ),
}
UNSIGNED = ("semi-honest", "semi-honest surplus")
SIGNED = [name for name in PLANS if name not in UNSIGNED]
FIRST = 3  # the client that sends or receives


def new(name, round_=1):
    return Rehearsal(PLANS[name](round_))


@cache
def material(name):
    """Every message of a whole round, and of another."""
    pieces = []
    for round_ in (1, 2):
        rehearsal = new(name, round_)
        pieces += rehearsal.inbox.values()
        moves = ["advertise", "share", "deliver", "mask", "agree", "unmask"]
        for move in moves + (["publish", "countersign"] if rehearsal.signed else []):
            getattr(rehearsal, move)()
            pieces += rehearsal.inbox.values()
        pieces += rehearsal.sent.values()
    return tuple(dict.fromkeys(pieces))


def mutate(data, pieces, rng):
    data = bytearray(data)
    other = rng.choice(pieces)
    match rng.randrange(8):
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
        case 5:
            i, j = sorted(rng.sample(range(len(data)), 2))
            data[i:i] = data[i:j]
        case 6:  # the head of one message and the tail of another
            at = rng.randrange(min(len(data), len(other)))
            data[at:] = other[at:]
        case _:  # a message of this round or another, as it is
            return other
    return bytes(data)


def steady(work):
    """Run, and hold that memory did not grow with the number of mutants."""
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        work()
        gc.collect()  # sessions that a believed mutant has ended may hang in cycles
        assert tracemalloc.get_traced_memory()[0] - before < GROWTH
    finally:
        tracemalloc.stop()


def at_message(name, number):
    """(rehearsal, the honest message, its receiver) just before message `number` of client FIRST is taken."""
    rehearsal = new(name)
    moves = ["advertise", "share", "deliver", "mask", *(["agree"] if rehearsal.signed else []), "unmask", "publish"]
    client, server = rehearsal.clients[FIRST], rehearsal.server
    before = {1: 0, 2: 1, 3: 1, 4: 2, 5: 3, 6: 4, 7: 4, 8: 5, 9: 5 if rehearsal.signed else 4, 10: 7, 11: 7}[number]
    for move in moves[:before]:
        getattr(rehearsal, move)()
    if number % 2 == 0:
        return rehearsal, rehearsal.inbox[FIRST], client.receive
    if number == 1:
        step = client.advertise_keys()
    elif number == 5:
        step = client.mask_input(rehearsal.vectors[FIRST])
    elif number == 11:
        client.receive(rehearsal.inbox[FIRST])
        step = client.countersign()
    else:
        step = client.receive(rehearsal.inbox[FIRST])
    (honest,) = (outgoing.message for outgoing in step.send)
    return rehearsal, honest, lambda data: server.receive(data, sender=FIRST)


# Of surplus secrets only the messages that they change.
UNSIGNED_CASES = [("semi-honest", number) for number in (1, 2, 3, 4, 5, 6, 9)]
UNSIGNED_CASES += [("semi-honest surplus", number) for number in (3, 4, 9)]
SIGNED_CASES = [(name, number) for name in SIGNED for number in range(1, 12) if "surplus" not in name]
SIGNED_CASES += [("malicious surplus", number) for number in (3, 4, 9)]


@pytest.mark.parametrize("amount", AMOUNTS)
@pytest.mark.parametrize(("name", "number"), SIGNED_CASES)
def test_no_mutant_of_a_signed_message_is_accepted(name, number, amount):
    _, honest, receive = at_message(name, number)
    pieces, rng = material(name), random.Random(number)

    def work():
        for _ in range(amount):
            mutant = mutate(honest, pieces, rng)
            if mutant != honest:
                with pytest.raises(ProtocolError):
                    receive(mutant)

    steady(work)
    receive(honest)


@pytest.mark.parametrize("amount", AMOUNTS)
@pytest.mark.parametrize(("name", "number"), UNSIGNED_CASES)
def test_mutants_without_signatures(name, number, amount):
    """A mutant may be well-formed and believed, since nothing is signed; then the attack begins afresh."""
    if "surplus" in name:
        amount = min(amount, MANY // 5)  # each mutant that is believed costs a whole round
    rng, pieces, refused = random.Random(number), material(name), 0
    _, honest, receive = at_message(name, number)

    def work():
        nonlocal receive, refused
        for _ in range(amount):
            mutant = mutate(honest, pieces, rng)
            if mutant == honest:
                continue
            try:
                receive(mutant)
            except ProtocolError:
                refused += 1
            else:
                _, _, receive = at_message(name, number)

    steady(work)
    assert refused > amount // 2
    _, honest, receive = at_message(name, number)
    receive(honest)
    with pytest.raises(ProtocolError):
        receive(honest)


@pytest.mark.parametrize("number", [2, 4, 6])
def test_a_round_goes_on_after_refused_mutants(number):
    rng, pieces = random.Random(number), material("semi-honest")
    rehearsal, honest, receive = at_message("semi-honest", number)
    for _ in range(200):
        mutant = mutate(honest, pieces, rng)
        if mutant[:55] != honest[:55] or len(mutant) != len(honest):  # another header or size is always refused
            with pytest.raises(ProtocolError):
                receive(mutant)
    moves = {2: ("share", "deliver", "mask", "unmask"), 4: ("deliver", "mask", "unmask"), 6: ("unmask",)}
    for move in moves[number]:
        getattr(rehearsal, move)()
    assert np.array_equal(rehearsal.opened.total, rehearsal.client_sums())


@pytest.mark.parametrize("amount", AMOUNTS)
@pytest.mark.parametrize("name", UNSIGNED)
def test_announcement(name, amount):
    rehearsal, pieces, rng = new(name), material(name), random.Random(0)
    honest = rehearsal.parameters.to_message()

    def work():
        for _ in range(amount):
            mutant = mutate(honest, pieces, rng)
            try:
                session = ClientSession(mutant, client_id=FIRST, policy=policy(surplus=rehearsal.parameters.surplus))
            except ProtocolError:
                continue
            assert session.parameters.to_message() == mutant  # canonical: another meaning, another session
            assert (session.session == rehearsal.server.session) == (mutant == honest)

    steady(work)


@pytest.mark.parametrize("amount", AMOUNTS)
@pytest.mark.parametrize("name", SIGNED)
def test_signed_announcement(name, amount):
    rehearsal, pieces, rng = new(name), material(name), random.Random(0)
    honest, entropy = rehearsal.inbox[FIRST], rehearsal.clients[FIRST]._entropy
    other = new(name, 2).inbox[FIRST]  # the server's own word for another round: sound, and another session

    def work():
        for _ in range(amount):
            mutant = mutate(honest, pieces, rng)
            if mutant not in (honest, other):
                with pytest.raises(ProtocolError):
                    rehearsal.client(FIRST, mutant, entropy=entropy)

    steady(work)
    assert rehearsal.client(FIRST, honest, entropy=entropy).session == rehearsal.server.session
    assert rehearsal.client(FIRST, other, entropy=entropy).session != rehearsal.server.session
