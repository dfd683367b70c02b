# SPDX-License-Identifier: Apache-2.0
"""Surplus secrets: of which clients, which ones, in which form, and under which announcements."""

import dataclasses

import pytest
from crypto_rounds import Rehearsal, plan, policy, read_as, signed_plan, signed_policy, sparse_plan

from fedmeta_crypto import Phase, RoundParameters, Strength
from fedmeta_crypto.errors import PlanRefused
from fedmeta_crypto.keys import commitment, surplus_commitment
from fedmeta_crypto.messages import Delivery, SealedShares, UnmaskingShares, max_bytes
from fedmeta_crypto.sealed import MAX_SURPLUS, SecretKind, box_bytes, pack_secrets, surplus_kind, unpack_secrets
from fedmeta_crypto.wire import MessageType


def announced(**changes):
    return signed_plan(**{"n": 8, "corrupt": 1, "dropped": 2, "surplus": 2} | changes)


@pytest.mark.parametrize("lost", [(), (13,), (13, 73)])
def test_the_server_gets_those_above_the_number_of_dropped_and_no_others(lost):
    rehearsal = Rehearsal(announced()).advertise().share().deliver().mask(drop=lost).agree()
    opened = rehearsal.unmask()
    own = {id_: rehearsal.surplus_of(id_) for id_ in rehearsal.parameters.cohort}
    assert opened.surplus == (() if len(lost) == 2 else tuple(own[id_][len(lost) :] for id_ in opened.survivors))
    assert (opened.total == rehearsal.client_sums()).all()
    for id_ in opened.survivors:
        answers = read_as(UnmaskingShares, rehearsal.sent[9, id_], surplus=2).answers
        seeds = tuple(surplus_kind(k) for k in range(len(lost) + 1, 3))
        for peer in set(own) - {id_}:
            kinds = tuple(answer.kind for answer in answers if answer.peer == peer)
            assert kinds == ((SecretKind.MASK_KEY,) if peer in lost else (SecretKind.SELF_MASK, *seeds))


def test_secrets_are_fresh_and_differ():
    rounds = [Rehearsal(announced(), seed=seed).until(Phase.MASK_INPUT) for seed in "ab"]
    seeds = [seed for r in rounds for id_ in r.parameters.cohort for seed in r.surplus_of(id_)]
    assert len(set(seeds)) == len(seeds) == 32 and {len(seed) for seed in seeds} == {32}


def test_the_client_forgets_them_and_shows_none():
    rehearsal = Rehearsal(announced()).until(Phase.MASK_INPUT)
    seed = rehearsal.surplus_of(3)[0]
    assert rehearsal.clients[3]._secrets.surplus == []
    shown = repr(rehearsal.events[4, 3]) + repr(rehearsal.clients[3]) + repr(rehearsal.server)
    rehearsal.mask().agree()
    shown += repr(rehearsal.unmask())
    assert "surplus" not in shown and repr(seed)[2:-1] not in shown and seed.hex() not in shown


def test_none_announced_is_the_form_without_them():
    """A zero byte in M0, one row per peer, boxes of 91 bytes: what earlier releases sent and took."""
    rehearsal = Rehearsal(announced(surplus=0)).until(Phase.DONE)
    m0 = rehearsal.parameters.to_message()
    assert m0[55 + 3] == 0 and announced().to_message()[55 + 3] == 2
    assert box_bytes() == 1 + 2 * 37 + 16 and rehearsal.opened.surplus == ()
    shares = read_as(SealedShares, rehearsal.sent[3, 3])
    assert shares.commitments == () and {len(box) for _, box in shares.boxes} == {box_bytes()}


@pytest.mark.parametrize("surplus", [1, 2])
def test_sizes_are_those_of_the_table(surplus):
    rehearsal = Rehearsal(announced(surplus=surplus)).until(Phase.MASK_INPUT)
    shares = read_as(SealedShares, rehearsal.sent[3, 3], surplus=surplus)
    assert {len(box) for _, box in shares.boxes} == {1 + (2 + surplus) * 37 + 16}
    assert len(shares.payload()) == 4 + 7 * (6 + box_bytes(surplus)) + 32 * surplus
    seeds = rehearsal.surplus_of(3)
    assert shares.commitments == tuple(
        surplus_commitment(k, seed, session=rehearsal.server.session) for k, seed in enumerate(seeds, start=1)
    )
    rehearsal.mask().agree().unmask()
    sizes = {"members": 7, "length": 5, "signed": True, "surplus": surplus}
    assert len(rehearsal.sent[9, 3]) == max_bytes(MessageType.UNMASKING, **sizes)
    assert len(rehearsal.sent[3, 3]) == max_bytes(MessageType.SHARES, **sizes)
    assert Delivery(shares.boxes).payload() == shares.payload()[: -32 * surplus]


def test_commitments_of_different_purposes_and_numbers_differ():
    made = [surplus_commitment(k, bytes(32), session=bytes(32)) for k in range(1, MAX_SURPLUS + 1)]
    assert len({*made, commitment(bytes(32), session=bytes(32))}) == MAX_SURPLUS + 1


def test_shares_of_another_number_of_secrets_do_not_open():
    shares = tuple(bytes([i]) * 2 + bytes(32) for i in range(5))
    text = pack_secrets(shares)
    assert unpack_secrets(text, 3) == shares
    assert unpack_secrets(text, 2) is unpack_secrets(text, 4) is unpack_secrets(text) is None
    assert unpack_secrets(bytes([4]) + text[1:], 3) is None


@pytest.mark.parametrize("wanted", [0, 1, 3])
@pytest.mark.parametrize("signed", [True, False])
def test_a_client_takes_part_with_just_the_number_that_it_expects(wanted, signed):
    parameters = announced() if signed else plan(8, threshold=5, min_survivors=6, surplus=2)
    own = (signed_policy if signed else lambda _, **changes: policy(**changes))(parameters, surplus=wanted)
    with pytest.raises(PlanRefused, match=f"2 surplus secrets, {wanted} wanted"):
        own.check(parameters, client_id=3)
    dataclasses.replace(own, surplus=2).check(parameters, client_id=3)


@pytest.mark.parametrize("surplus", [-1, 3, 254, 256, 1.0, None])
def test_numbers_that_cannot_be(surplus):
    with pytest.raises(PlanRefused, match="surplus must be an integer in 0"):
        announced(surplus=surplus)


def test_only_on_the_complete_graph():
    for strength in Strength:
        corrupt = 0 if strength is Strength.SEMI_HONEST else 1
        sparse_plan(12, strength=strength, corrupt=corrupt, dropped=2, threshold=None if corrupt else 3)
        with pytest.raises(PlanRefused, match="not complete"):
            sparse_plan(12, strength=strength, corrupt=corrupt, dropped=2, surplus=2, threshold=None if corrupt else 3)


def test_memory_is_bounded_before_anything_is_made():
    with pytest.raises(PlanRefused, match="neighbours of all clients together"):
        plan(1000, threshold=501, min_survivors=502, surplus=253)


def test_the_announcement_carries_it():
    message = announced().to_message(lambda words: words + words)
    again = RoundParameters.from_message(message, max_bytes=len(message))
    assert again.surplus == 2 and again == announced()
    bent = bytearray(message)
    bent[55 + 3] = 3
    with pytest.raises(PlanRefused):
        RoundParameters.from_message(bytes(bent), max_bytes=len(message))
