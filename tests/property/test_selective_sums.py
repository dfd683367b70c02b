# SPDX-License-Identifier: Apache-2.0
"""Sums with selected coordinates hidden are the sums with all of them hidden, whoever drops out and wherever."""

import numpy as np
from crypto_rounds import RECORD, Rehearsal, plan, sum_of
from hypothesis import given, settings
from hypothesis import strategies as st
from selective_rounds import SelectiveLatticeRehearsal, SelectiveRehearsal, SelectiveSplitRehearsal

from fedmeta_crypto.homomorphic.selection import Selection


@given(mask=st.lists(st.booleans(), min_size=1, max_size=200).filter(any), seed=st.integers(0, 2**32 - 1))
def test_split_then_join_is_nothing(mask, seed):
    selection = Selection.of(np.array(mask))
    vector = np.random.default_rng(seed).integers(0, 2**32, len(mask), dtype=np.uint32)
    secret, clear = selection.split(vector)
    assert np.array_equal(selection.join(secret, clear), vector)
    assert np.array_equal(secret, vector[np.array(mask)]) and len(clear) == selection.clear


@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_the_sum_is_that_of_full_encryption(data):
    mask = np.array(data.draw(st.lists(st.booleans(), min_size=1, max_size=40).filter(any)))
    bits, signed = data.draw(st.sampled_from([8, 12, 16, 17, 22, 32])), data.draw(st.booleans())
    selection = Selection.of(mask)
    n, changes = 5, {} if signed else {"threshold": 3}
    round_ = SelectiveRehearsal(
        selection, signed=signed, bits=bits, n=n, seed=data.draw(st.integers(0, 999)), **changes
    )
    phase = data.draw(st.sampled_from(["advertise", "share", "mask", "unmask", "nobody"]))
    lost = {data.draw(st.sampled_from(round_.parameters.cohort))}
    for move in ("advertise", "share", "deliver", "mask", "agree", "unmask"):
        getattr(round_, move)(drop=lost if move == phase else ())
    assert set(round_.opened.survivors) == set(round_.parameters.cohort) - (
        set() if phase in ("unmask", "nobody") else lost
    )
    assert np.array_equal(round_.opened.total, sum_of(round_.vectors, round_.opened.survivors, bits))
    assert round_.opened.total.dtype == np.uint32
    if phase == "nobody":  # the same vectors with every coordinate hidden
        full = Rehearsal(plan(n, threshold=3, bits=bits, length=len(mask)))
        full.vectors = round_.vectors
        for move in ("advertise", "share", "deliver", "mask", "unmask"):
            getattr(full, move)()
        assert np.array_equal(full.opened.total, round_.opened.total)


@settings(max_examples=15, deadline=None)
@given(data=st.data())
def test_parcels_in_the_layer_give_the_sum_of_full_encryption(data):
    mask = np.array(data.draw(st.lists(st.booleans(), min_size=1, max_size=12).filter(any)))
    bits, seed = data.draw(st.sampled_from([12, 22, 32])), data.draw(st.integers(0, 999))
    round_ = SelectiveSplitRehearsal(Selection.of(mask), bits=bits, seed=seed)
    lost = set(data.draw(st.lists(st.sampled_from(round_.parameters.cohort), max_size=1)))
    round_.advertise().share().deliver().mask(drop=lost).agree().unmask()
    survivors = tuple(id_ for id_ in round_.parameters.cohort if id_ not in lost)
    assert round_.opened.survivors == survivors
    assert np.array_equal(round_.opened.total, round_.expected(survivors))
    assert round_.server.attachments() == tuple((id_, bytes([id_]) * 32) for id_ in survivors)
    assert len(round_.countersign().signatures) == len(survivors)


def test_a_record_goes_through_the_layer():
    round_ = SelectiveRehearsal(Selection.of(np.array([True, False, True])))
    for move in ("advertise", "share", "deliver", "mask", "agree", "unmask"):
        getattr(round_, move)()
    recorded = round_.publish(RECORD).countersign()
    assert len(recorded.signatures) == 4 and recorded.survivors_digest == round_.server.agreed


@settings(max_examples=10, deadline=None)
@given(data=st.data())
def test_lattice_parcels_in_the_layer_give_the_sum_of_full_encryption(data):
    mask = np.array(data.draw(st.lists(st.booleans(), min_size=1, max_size=300).filter(any)))
    name, bits = data.draw(st.sampled_from([("rlwe32", 12), ("rlwe32", 22), ("rlwe64", 32)]))
    round_ = SelectiveLatticeRehearsal(Selection.of(mask), name=name, bits=bits, seed=data.draw(st.integers(0, 999)))
    lost = set(data.draw(st.lists(st.sampled_from(round_.parameters.cohort), max_size=1)))
    round_.advertise().share().deliver().mask(drop=lost).agree().unmask()
    survivors = tuple(id_ for id_ in round_.parameters.cohort if id_ not in lost)
    assert round_.opened.survivors == survivors
    assert np.array_equal(round_.opened.total, sum_of(round_.vectors, survivors, bits))
