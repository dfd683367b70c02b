# SPDX-License-Identifier: Apache-2.0
"""Laws of a round for any size, ring, threshold and pattern of losses."""

import dataclasses
import os
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from fedmeta_crypto import Phase, RoundParameters, Strength, TooFewSurvivors, ring
from fedmeta_crypto.correction import correct
from fedmeta_crypto.graph import majority_against
from fedmeta_crypto.messages import (
    Answer,
    ConsistencyProof,
    ConsistencyVote,
    Delivery,
    Evidence,
    KeyAdvertisement,
    MaskedInput,
    Roster,
    SealedShares,
    SurvivorList,
    UnmaskingShares,
    masked_input_bytes,
)
from fedmeta_crypto.records import MAX_RECORD_BYTES, Countersignature, RoundRecord, verify_countersignature
from fedmeta_crypto.ring import ring_mask
from fedmeta_crypto.sealed import BOX_BYTES, SecretKind
from fedmeta_crypto.secagg.parameters import session_of
from fedmeta_crypto.secagg.step import RecordShown
from fedmeta_crypto.shamir import PRIME, is_packed, pack, reconstruct, split, unpack
from fedmeta_crypto.wire import Header, MessageType, Reader, content_digest, frame, frame_parts, unframe

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))
from crypto_rounds import Rehearsal, people_of, plan, signed_plan, sparse_plan

IDS = st.lists(st.integers(0, 2**32 - 2), min_size=2, max_size=9, unique=True).map(sorted)


@st.composite
def rounds(draw):
    ids = draw(IDS)
    threshold = draw(st.integers(1, len(ids) - 1))
    least = draw(st.integers(threshold + 1, len(ids)))
    parameters = plan(
        ids=ids,
        threshold=threshold,
        min_survivors=least,
        bits=draw(st.integers(8, 32)),
        length=draw(st.sampled_from([1, 2, 31, 300])),
    )
    return parameters, losses(draw, ids, (1, 3, 5, 9))


@st.composite
def signed_rounds(draw):
    ids = draw(IDS)
    n = len(ids)
    corrupt, dropped = draw(st.integers(0, n // 3)), draw(st.integers(0, n // 3))
    assume((n - 1 + corrupt) // 2 + 1 <= n - dropped - 1)
    bits, length = draw(st.integers(8, 32)), draw(st.sampled_from([1, 2, 31, 300]))
    parameters = signed_plan(ids=ids, corrupt=corrupt, dropped=dropped, bits=bits, length=length)
    return parameters, losses(draw, ids, (1, 3, 5, 7, 9))


@st.composite
def sparse_rounds(draw):
    """Fewer neighbours than n - 1, at each strength, with thresholds that its rule allows."""
    strength = draw(st.sampled_from(Strength))
    n = draw(st.integers(4, 16))
    k = 2 * draw(st.integers(1, (n - 2) // 2))
    if strength is Strength.MALICIOUS:
        corrupt = draw(st.integers(0, k - 1))
        dropped = draw(st.integers(0, k - 1 - corrupt))
        threshold = majority_against(k, corrupt)
    else:
        corrupt, dropped = draw(st.integers(0, n // 3)), draw(st.integers(0, n // 3))
        threshold = draw(st.integers(k // 2 + 1 if strength.signed else 1, k))
    assume(threshold < n - dropped and threshold <= k)
    parameters = sparse_plan(
        n,
        strength=strength,
        corrupt=corrupt,
        dropped=dropped,
        k=k,
        threshold=threshold,
        bits=draw(st.integers(8, 32)),
        length=draw(st.sampled_from([1, 2, 31, 300])),
        server_nonce=draw(st.binary(min_size=32, max_size=32)),
    )
    return parameters, losses(draw, parameters.cohort, (1, 3, 5, 7, 9) if strength.signed else (1, 3, 5, 9))


def losses(draw, ids, numbers):
    """The number of the message that each client fails to send; 0: none."""
    return {id_: draw(st.sampled_from([0] * 3 * len(numbers) + list(numbers))) for id_ in ids}


def outcome(parameters, lost_at):
    """The survivors if the round must succeed, else None: the protocol's rules on sets of ids alone."""
    near = {id_: set(parameters.neighbours_of(id_, parameters.session)) for id_ in parameters.cohort}
    t, signed = parameters.threshold, parameters.strength.signed

    def stay(ids, number, *, needed):
        there = {id_ for id_ in ids if lost_at[id_] != number}
        return there if len(there) >= needed else set()

    def connected(ids):
        return {id_ for id_ in ids if len(near[id_] & ids) >= parameters.fewest_near}

    advertised = stay(parameters.cohort, 1, needed=parameters.min_survivors)
    shared = stay(connected(advertised), 3, needed=parameters.min_survivors)
    survivors = stay(connected(shared), 5, needed=parameters.min_survivors)
    voted = stay(survivors, 7, needed=max(parameters.fewest_votes, t + 1) if signed else 0)
    answered = stay(voted, 9, needed=t + 1)
    opens = bool(answered) and all(len(near[id_] & answered) >= t for id_ in shared)
    return tuple(sorted(survivors)) if opens else None


def check_exactness(case, seed):
    parameters, lost_at = case

    def lost(number):
        return {id_ for id_, at in lost_at.items() if at == number}

    expected = outcome(parameters, lost_at)
    rehearsal = Rehearsal(parameters, seed=str(seed))
    try:
        rehearsal.advertise(lost(1)).share(lost(3)).deliver().mask(lost(5)).agree(lost(7)).unmask(lost(9))
    except TooFewSurvivors as error:
        assert expected is None and error.have < error.need
        assert rehearsal.opened is None and rehearsal.server.phase is Phase.FAILED
        return
    assert rehearsal.opened.survivors == expected
    assert set(rehearsal.opened.dropped) == set(parameters.cohort) - set(expected)
    assert np.array_equal(rehearsal.opened.total, rehearsal.client_sums())
    assert rehearsal.opened.total.dtype == np.uint32


ANY_ROUND = st.one_of(rounds(), signed_rounds(), sparse_rounds())


@given(ANY_ROUND, st.integers(0, 2**32))
@settings(max_examples=300, deadline=None)
def test_the_sum_is_exact_or_the_round_fails_by_name(case, seed):
    check_exactness(case, seed)


@pytest.mark.long
@given(ANY_ROUND, st.integers(0, 2**32))
@settings(max_examples=1000, deadline=None)
def test_the_sum_is_exact_in_a_thousand_rounds(case, seed):
    check_exactness(case, seed)


@pytest.mark.parametrize("native", [False, True])
@pytest.mark.parametrize("bits", range(8, 33))
def test_every_ring_is_exact(bits, native):
    """One of seven lost before its input and one after it, at both strengths; inputs of uint32 or of native words."""
    for parameters in (plan(7, bits=bits, length=77), signed_plan(7, bits=bits, length=77, dropped=1)):
        rehearsal = Rehearsal(parameters, seed=str(bits))
        if native:
            rehearsal.vectors = {id_: vector.astype(ring.word(bits)) for id_, vector in rehearsal.vectors.items()}
        given_ = {id_: vector.copy() for id_, vector in rehearsal.vectors.items()}
        rehearsal.advertise().share().deliver().mask([13]).agree().unmask([23])
        expected = sum(given_[id_].astype(np.int64) for id_ in (3, 23, 33, 43, 53, 63)) % 2**bits
        opened = rehearsal.opened
        assert opened.survivors == (3, 23, 33, 43, 53, 63)
        assert opened.total.dtype == np.uint32 and np.array_equal(opened.total, expected)
        assert all(np.array_equal(rehearsal.vectors[id_], vector) for id_, vector in given_.items())


@given(signed_rounds(), st.binary(min_size=1, max_size=99), st.sets(st.integers(0, 8)), st.integers(0, 2**32))
@settings(max_examples=50, deadline=None)
def test_every_countersignature_is_collected_and_verifies(case, record, silent, seed):
    """Whoever answered is shown the very record; who countersigned and who did not add up to them."""
    parameters, lost_at = case
    cohort = parameters.cohort
    rehearsal = Rehearsal(parameters, seed=str(seed))
    rehearsal.advertise().share().deliver().mask().agree()
    late = [id_ for id_ in cohort if lost_at[id_] == 9][: len(cohort) - parameters.threshold - 1]
    rehearsal.unmask(late)
    rehearsal.publish(record)
    answered = [id_ for id_ in cohort if id_ not in late]
    refusing = {id_ for i, id_ in enumerate(cohort) if i in silent and id_ in answered}
    recorded = rehearsal.countersign(refusing)
    assert rehearsal.server.phase is Phase.RECORDED
    assert [id_ for id_, _ in recorded.signatures] == [id_ for id_ in answered if id_ not in refusing]
    assert set(recorded.missing) == refusing
    values = {
        "allow_list": people_of(cohort),
        "session": parameters.session,
        "round_": parameters.round,
        "survivors": recorded.survivors_digest,
    }
    for id_, signature in recorded.signatures:
        assert verify_countersignature(signature, id_=id_, record=record, **values)
        assert not verify_countersignature(signature, id_=id_, record=record + b"0", **values)
    shown = {rehearsal.events[10, id_] for id_ in answered}
    assert shown == {(RecordShown(record, recorded.survivors_digest),)}


@given(
    st.binary(min_size=2, max_size=64).filter(lambda s: len(s) % 2 == 0),
    st.integers(1, 20).flatmap(lambda n: st.tuples(st.just(n), st.integers(1, n))),
    st.randoms(use_true_random=False),
)
def test_any_threshold_of_shares_reconstructs(secret, counts, random):
    points, threshold = counts
    rows = split(secret, points=points, threshold=threshold, entropy=os.urandom)
    chosen = random.sample(range(1, points + 1), threshold)
    assert reconstruct(tuple(chosen), rows[[j - 1 for j in chosen]]) == secret


@st.composite
def bent_shares(draw):
    """(secret, points, shares, threshold, bad points): at most half the surplus is wrong, in any words."""
    points = draw(st.integers(1, 24))
    threshold = draw(st.integers(1, points))
    received = draw(st.integers(threshold, points))
    chosen = draw(st.permutations(range(1, points + 1)))[:received]
    secret = draw(st.binary(min_size=8, max_size=8))
    rows = split(secret, points=points, threshold=threshold, entropy=os.urandom)[[p - 1 for p in chosen]]
    bad = draw(st.sets(st.integers(0, received - 1), max_size=(received - threshold) // 2))
    for row in bad:
        for word in draw(st.sets(st.integers(0, 3), min_size=1)):
            rows[row, word] = (int(rows[row, word]) + draw(st.integers(1, PRIME - 1))) % PRIME
    return secret, tuple(chosen), rows, threshold, {chosen[row] for row in bad}


@given(bent_shares())
@settings(max_examples=200, deadline=None)
def test_wrong_shares_up_to_half_the_surplus_are_corrected(case):
    secret, points, rows, threshold, bad = case
    found, wrong = correct(points, rows, threshold=threshold)
    assert found == secret and set(wrong) == bad


@given(bent_shares(), st.randoms(use_true_random=False))
@settings(max_examples=100, deadline=None)
def test_any_shares_at_all_give_an_answer_or_none(case, random):
    _, points, rows, threshold, _ = case
    rows[:] = [[random.randrange(PRIME) for _ in row] for row in rows]
    found = correct(points, rows, threshold=threshold)
    assert found is None or len(found[1]) <= len(points)


@given(st.lists(st.lists(st.integers(0, PRIME - 1), min_size=16, max_size=16), min_size=1, max_size=5))
def test_packing_is_a_bijection_on_rows(rows):
    words = np.array(rows, np.uint32)
    packed = pack(words)
    assert packed.shape == (len(rows), 34) and all(is_packed(row.tobytes(), 16) for row in packed)
    assert np.array_equal(unpack(packed, 16), words)


@given(st.binary(min_size=34, max_size=34))
def test_packed_form_is_canonical(data):
    if is_packed(data, 16):
        row = np.frombuffer(data, np.uint8)[None]
        assert pack(unpack(row, 16)).tobytes() == data


B32 = st.binary(min_size=32, max_size=32)
BOX = st.binary(min_size=BOX_BYTES, max_size=BOX_BYTES)
SHARE = st.lists(st.integers(0, PRIME - 1), min_size=16, max_size=16).map(
    lambda words: pack(np.array([words], np.uint32)).tobytes()
)
ADVERTS = st.builds(KeyAdvertisement, B32, B32, B32)


def rows_of(values):
    return st.dictionaries(st.integers(0, 2**32 - 2), values, max_size=6).map(
        lambda table: tuple(sorted(table.items()))
    )


B64 = st.binary(min_size=64, max_size=64)


def signed(kind, values):
    """A list whose rows end in signatures."""
    return rows_of(st.tuples(values, B64)).map(
        lambda rows: kind(tuple((id_, value) for id_, (value, _) in rows), tuple(sig for _, (_, sig) in rows))
    )


MESSAGES = st.one_of(
    ADVERTS,
    signed(Roster, ADVERTS),
    rows_of(B32).filter(bool).map(lambda rows: SurvivorList(*zip(*rows, strict=True))),
    st.builds(ConsistencyVote, B32),
    st.builds(RoundRecord, st.one_of(st.binary(min_size=1, max_size=200), st.just(bytes(MAX_RECORD_BYTES)))),
    st.builds(Countersignature, B32),
    st.builds(
        ConsistencyProof,
        rows_of(st.tuples(st.sampled_from([MessageType.MASKED_INPUT, MessageType.CONSISTENCY]), B32, B64)).map(
            lambda rows: tuple(Evidence(id_, *rest) for id_, rest in rows)
        ),
    ),
    st.builds(Roster, rows_of(ADVERTS)),
    st.builds(SealedShares, rows_of(BOX)),
    st.builds(Delivery, rows_of(BOX)),
    rows_of(B32).map(lambda rows: SurvivorList(tuple(id_ for id_, _ in rows))),
    st.builds(
        UnmaskingShares,
        rows_of(st.tuples(st.sampled_from(SecretKind), SHARE)).map(
            lambda rows: tuple(Answer(peer, *rest) for peer, rest in rows)
        ),
    ),
)
SIGNED_KINDS = (ConsistencyVote, ConsistencyProof, RoundRecord, Countersignature)
HEADERS = st.tuples(B32, st.integers(0, 2**64 - 1), st.integers(0, 2**32 - 1))


@given(MESSAGES, HEADERS)
def test_wire_round_trip(message, head):
    header = Header(message.TYPE, *head)
    inside = bool(getattr(message, "signatures", ()) or getattr(message, "digests", ()))
    with_signature = inside or isinstance(message, SIGNED_KINDS)
    sign = (lambda words: words + words[::-1]) if with_signature else None
    data = frame(header, message.payload(), sign)
    again, payload = unframe(data, sender=1, max_bytes=len(data), signed=with_signature)
    assert again == header
    decoded = type(message).read(Reader(payload, sender=1, where="test"), **({"signed": True} if inside else {}))
    assert decoded == message and frame(again, decoded.payload(), sign) == data


@given(st.integers(8, 32), st.lists(st.integers(0, 2**32 - 1), max_size=20), B32, B32)
def test_masked_input_round_trip(bits, values, attachment, view):
    vector = np.array(values, np.uint32) & ring_mask(bits)
    message = MaskedInput(attachment, view, vector, bits)
    payload = message.payload()
    assert len(payload) == masked_input_bytes(len(values), bits)
    reader = Reader(memoryview(payload), sender=1, where="test")
    decoded = MaskedInput.read(reader, bits=bits, length=len(values), sender=1)
    assert np.array_equal(decoded.vector, vector) and decoded.payload() == payload
    assert decoded.vector.dtype == ring.word(bits)
    header, sign = Header(message.TYPE, bytes(32), 1, 1), lambda words: words + words
    assert frame_parts(header, message.parts(), None, content=b"") == frame(header, payload)
    content = content_digest(*message.parts())
    assert content == content_digest(payload)
    assert frame_parts(header, message.parts(), sign, content=content) == frame(header, payload, sign)


@given(rounds(), B32, B32, st.binary(max_size=64), st.integers(1, 2**63 - 1))
def test_announcement_round_trip(case, behaviour, nonce, body, round_):
    base = case[0]
    parameters = plan(ids=base.cohort, round_=round_, behaviour_hash=behaviour, server_nonce=nonce, body=body, bits=9)
    message = parameters.to_message()
    again = RoundParameters.from_message(message, max_bytes=len(message))
    assert again == parameters and again.to_message() == message and again.session == parameters.session


@given(st.one_of(signed_rounds(), sparse_rounds()), st.binary(max_size=64))
def test_signed_announcement_round_trip(case, body):
    parameters = dataclasses.replace(case[0], body=body)
    assume(parameters.strength.signed)
    message = parameters.to_message(lambda words: words + words)
    again = RoundParameters.from_message(message, max_bytes=len(message))
    assert again == parameters and again.to_message(lambda words: words + words) == message
    assert again.session == parameters.session == session_of(message, signed=True)


@pytest.mark.parametrize("n", [2, 3, 40])
def test_sizes_at_the_edges(n):
    for parameters in (plan(n), signed_plan(n, corrupt=n // 4, dropped=n // 10)):
        rehearsal = Rehearsal(parameters)
        rehearsal.advertise().share().deliver().mask().agree().unmask()
        assert np.array_equal(rehearsal.opened.total, rehearsal.client_sums())
