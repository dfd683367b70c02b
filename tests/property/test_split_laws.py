# SPDX-License-Identifier: Apache-2.0
"""Masked split gives the integers that masking gives, whoever drops out and when; no message of it is of two minds."""

import numpy as np
from crypto_rounds import Rehearsal, signed_plan, sparse_plan
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from split_rounds import SplitRehearsal, small_vectors, toy_scheme

from fedmeta_crypto import Phase
from fedmeta_crypto.homomorphic.split.fields import Fields, fields_that_fit
from fedmeta_crypto.secagg.opening import SumOpened

T44 = 17592186028033


@st.composite
def rounds(draw):
    """(n, A, D, bits, dimension, who drops out before which of the five uploads)."""
    n = draw(st.integers(3, 7))
    dropped = draw(st.integers(0, (n - 2) // 2))
    corrupt = draw(st.integers(0, max(0, (n - 1 - dropped) // 3 - 1)))
    bits = draw(st.integers(8, 32))
    dimension = draw(st.integers(1, 40))
    gone = draw(st.lists(st.integers(0, n - 1), unique=True, max_size=dropped))
    when = [draw(st.integers(0, 4)) for _ in gone]
    return n, corrupt, dropped, bits, dimension, dict(zip(gone, when, strict=True))


def run(rehearsal, ids, gone):
    """Every move, with those who are gone by then left out."""
    left = [{ids[i] for i, when in gone.items() if when <= move} for move in range(5)]
    rehearsal.advertise(left[0]).share(left[1]).deliver(left[2]).mask(left[2]).agree(left[3]).unmask(left[4])
    return rehearsal.opened


@settings(max_examples=30, deadline=None)
@given(rounds())
def test_the_same_sum_as_masking_modulo_a_power_of_two(case):
    n, corrupt, dropped, bits, dimension, gone = case
    scheme = toy_scheme(n, bits=bits, dimension=dimension, n=4)
    split = SplitRehearsal(scheme, corrupt=corrupt, dropped=dropped)
    ids = split.parameters.cohort
    opened = run(split, ids, gone)
    masking = Rehearsal(signed_plan(n, corrupt=corrupt, dropped=dropped, bits=bits, length=dimension))
    masking.vectors = split.vectors
    other = run(masking, ids, gone)
    assert isinstance(opened, SumOpened) and opened.survivors == other.survivors and opened.dropped == other.dropped
    assert opened.total.dtype == other.total.dtype and np.array_equal(opened.total, other.total)
    assert np.array_equal(opened.total, split.expected(opened.survivors))


@settings(max_examples=200, deadline=None)
@given(st.integers(2, 200), st.integers(9, 32), st.integers(1, 9), st.integers(0, 2**32 - 1), st.booleans())
def test_packed_words_add_up_to_packed_sums(clients, bits, dimension, seed, extreme):
    value_bits = bits - (clients - 1).bit_length()
    assume(value_bits >= 1)
    per_word = fields_that_fit(clients=clients, bits=bits, modulus=T44)
    form = Fields(dimension=dimension, bits=bits, modulus=T44, per_word=per_word)
    top = 2 ** (value_bits - 1)
    rng = np.random.default_rng(seed)
    corners = np.array([-top, top - 1])
    values = rng.choice(corners, (clients, dimension)) if extreme else rng.integers(-top, top, (clients, dimension))
    if seed % 3 == 0:
        values[:] = -top if seed % 2 else top - 1  # everybody at the same end
    vectors = (values % 2**bits).astype(np.uint32)
    words = sum(form.pack(vector).astype(object) for vector in vectors) % T44
    assert form.unpack(np.array(words, np.uint64)).tolist() == (values.sum(axis=0) % 2**bits).tolist()


@settings(max_examples=200, deadline=None)
@given(st.integers(2, 5000), st.integers(8, 32))
def test_two_to_a_word_only_where_no_sum_can_wrap(clients, bits):
    assume(bits > (clients - 1).bit_length())
    most = clients * 2 ** (bits - (clients - 1).bit_length() - 1)
    if fields_that_fit(clients=clients, bits=bits, modulus=T44) == 2:
        assert most < 2**21 and most + most * 2**22 < T44 / 2
    else:
        assert most < T44 / 2


def test_fifty_clients_of_sixteen_bits_pack_by_two():
    assert fields_that_fit(clients=50, bits=22, modulus=T44) == 2
    assert 50 * 2**15 == 1_638_400 < 2**21
    assert toy_scheme(50, bits=22, dimension=9).session_length == 5
    assert toy_scheme(50, bits=32, dimension=9).session_length == 9


def test_dropouts_at_every_phase_of_one_round():
    scheme = toy_scheme(15, bits=16, dimension=6, n=4)
    rehearsal = SplitRehearsal(scheme, dropped=4)
    ids = rehearsal.parameters.cohort
    opened = run(rehearsal, ids, {0: 0, 3: 1, 5: 2, 7: 2, 8: 3, 9: 4})
    assert opened.survivors == tuple(ids[i] for i in (1, 2, 4, 6, *range(8, 15)))
    assert np.array_equal(opened.total, rehearsal.expected(opened.survivors))
    assert small_vectors(scheme, ids)[ids[0]].size == 6 and rehearsal.server.phase is Phase.DONE


def test_surplus_secrets_are_opened_beside_the_sum():
    rehearsal = SplitRehearsal(toy_scheme(7, bits=16, dimension=6, n=4), dropped=2, surplus=2)
    ids = rehearsal.parameters.cohort
    dealt = {}
    rehearsal.advertise().share()
    for id_, message in rehearsal.inbox.items():
        (wanted,) = rehearsal.clients[id_].receive(message).events
        dealt[id_] = wanted.surplus
    rehearsal.mask(drop=ids[:1]).agree().unmask()
    assert rehearsal.opened.surplus == tuple((dealt[id_][1],) for id_ in ids[1:])
    assert np.array_equal(rehearsal.opened.total, rehearsal.expected(ids[1:]))


def test_on_a_sparse_graph():
    scheme = toy_scheme(12, bits=16, dimension=6, n=4)
    rehearsal = SplitRehearsal(scheme, made=sparse_plan, corrupt=1, dropped=1)
    assert rehearsal.parameters.neighbours < 11
    ids = rehearsal.parameters.cohort
    rehearsal.advertise().share().deliver().mask(drop=ids[4:5]).agree().unmask()
    assert rehearsal.opened.dropped == ids[4:5]
    assert np.array_equal(rehearsal.opened.total, rehearsal.expected(rehearsal.opened.survivors))
