# SPDX-License-Identifier: Apache-2.0
"""A threshold round as its parties see it: order of calls, what is refused, what is held and for how long."""

import copy
import itertools
import pickle
import tracemalloc

import numpy as np
import pytest
from crypto_rounds import counter_entropy, plan, signed_plan, sparse_plan
from lattice_rounds import LatticeRehearsal

from fedmeta_crypto import Phase
from fedmeta_crypto.errors import (
    MaskReuse,
    OutOfOrder,
    OutOfRing,
    PlanRefused,
    Repeated,
    TooFewSurvivors,
    WrongLength,
    WrongRound,
)
from fedmeta_crypto.homomorphic.parcel import is_parcel
from fedmeta_crypto.homomorphic.rlwe import AddingServer, scheme_for
from fedmeta_crypto.secagg.step import InputWanted, SumOpened


@pytest.mark.parametrize("signed", [True, False])
@pytest.mark.parametrize("name", ["rlwe32", "rlwe64"])
def test_a_whole_round(name, signed):
    round_ = LatticeRehearsal(name=name, signed=signed, dimension=5000)
    opened = round_.until_masked().mask().agree().unmask()
    assert isinstance(opened, SumOpened) and opened.survivors == round_.parameters.cohort
    assert opened.total.dtype == np.uint32 and np.array_equal(opened.total, round_.expected(opened.survivors))
    assert round_.server.phase is Phase.DONE


def test_records_are_countersigned_as_in_any_round():
    round_ = LatticeRehearsal()
    round_.until_masked().mask().agree().unmask()
    round_.publish()
    for id_, message in dict(round_.inbox).items():
        round_.clients[id_].receive(message)
        (out,) = round_.clients[id_].countersign().send
        round_._collect(round_.server.receive(out.message, sender=id_))
    assert len(round_.recorded.signatures) == 4 and round_.server.agreed


def test_input_wanted_is_about_the_vector():
    round_ = LatticeRehearsal(bits=20, dimension=77).until_masked()
    (event,) = round_.events[4, 3]
    assert isinstance(event, InputWanted) and (event.length, event.modulus_bits) == (77, 20)


def test_commitments_travel_in_the_parcel():
    round_ = LatticeRehearsal().until_masked()
    for id_, client in round_.clients.items():
        (out,) = client.mask_input(round_.vectors[id_], attachment_hash=bytes([id_]) * 32).send
        round_._collect(round_.server.receive(out.message, sender=id_))
    assert round_.server.attachments() == tuple((id_, bytes([id_]) * 32) for id_ in round_.parameters.cohort)


def test_one_vector_once_and_in_order():
    round_ = LatticeRehearsal()
    client, vector = round_.clients[3], round_.vectors[3]
    with pytest.raises(OutOfOrder):
        client.mask_input(vector)
    round_.until_masked()
    with pytest.raises(WrongLength):
        client.mask_input(vector[:-1])
    with pytest.raises(OutOfRing):
        client.mask_input(vector.astype(np.int64))
    with pytest.raises(OutOfRing):
        client.mask_input(np.full_like(vector, 2**16))
    client.mask_input(vector)
    with pytest.raises(MaskReuse):
        client.mask_input(vector)


def test_the_same_bytes_are_sent_again():
    round_ = LatticeRehearsal().until_masked()
    client = round_.clients[3]
    (first,) = client.mask_input(round_.vectors[3]).send
    (again,) = client.resend().send
    assert is_parcel(first.message) and again == first
    client.delivered()
    with pytest.raises(OutOfOrder):
        client.resend()


def test_no_vector_is_changed_and_no_session_is_copied():
    round_ = LatticeRehearsal().until_masked()
    before = round_.vectors[3].copy()
    round_.clients[3].mask_input(round_.vectors[3])
    assert np.array_equal(before, round_.vectors[3])
    for party in (round_.clients[3], round_.server):
        for way in (copy.copy, copy.deepcopy, pickle.dumps):
            with pytest.raises(TypeError):
                way(party)
    assert repr(round_.clients[3]) == "EncryptingClient(client_id=3, round=1, phase=MASKED)"
    assert repr(round_.server) == "AddingServer(round=1, phase=MASK_INPUT)"


def test_an_aborted_client_holds_nothing():
    round_ = LatticeRehearsal().until_masked()
    round_.clients[3].abort()
    with pytest.raises(OutOfOrder):
        round_.clients[3].mask_input(round_.vectors[3])


def test_the_same_session_twice_is_refused():
    """Its secret would be a fresh one, yet a client never lends itself to one announcement twice."""
    round_ = LatticeRehearsal()
    announcement = round_.server._inner._announcement
    session = round_.server.session
    for seen, error in (({"last_round": 1}, WrongRound), ({"seen_sessions": frozenset({session})}, Repeated)):
        with pytest.raises(error):
            round_.client(3, announcement, entropy=counter_entropy("x"), **seen)


@pytest.mark.parametrize("change", [{"dimension": 2049, "n": 5}, {"name": "rlwe64"}, {"n": 5}])
def test_a_round_of_another_scheme_is_refused(change):
    fields = {"name": "rlwe32", "n": 4, "dimension": 50} | change
    other = scheme_for(fields["name"], clients=fields["n"], modulus_bits=16, dimension=fields["dimension"])
    round_ = LatticeRehearsal()
    with pytest.raises(PlanRefused, match="another encryption or cohort"):
        round_.client(3, round_.server._inner._announcement, entropy=counter_entropy("x"), scheme=other)
    with pytest.raises(PlanRefused, match="another encryption or cohort"):
        AddingServer(round_.parameters, scheme=other)


def honest_in_the_worst_sum(parameters):
    if parameters.strength.signed:
        return parameters.honest_among(parameters.min_survivors, parameters.fewest_votes)
    return parameters.min_survivors - (parameters.threshold - 1)


def test_no_round_opens_the_key_of_a_single_honest_client():
    """With all others corrupt, or gone, the sum of keys would be one client's own: such rounds cannot be announced."""
    seen = 0
    for n in range(3, 9):
        for corrupt, dropped, k in itertools.product(range(n), range(n), (None, *range(2, n - 1, 2))):
            for make in (signed_plan, sparse_plan):
                try:
                    more = {} if k is None or make is signed_plan else {"k": k}
                    parameters = make(n, corrupt=corrupt, dropped=dropped, **more)
                except (PlanRefused, ValueError):
                    continue
                seen += 1
                assert honest_in_the_worst_sum(parameters) >= 2
        for threshold in range(1, n - 1):
            seen += 1
            assert honest_in_the_worst_sum(plan(n, threshold=threshold)) >= 2
    assert seen > 100


def test_too_few_survivors_open_nothing():
    round_ = LatticeRehearsal()
    with pytest.raises(TooFewSurvivors):
        round_.until_masked().mask(drop={3, 13})
    assert round_.opened is None and round_.server.phase is Phase.FAILED


@pytest.mark.long
def test_the_server_holds_one_sum():
    scheme = scheme_for("rlwe32", clients=8, modulus_bits=16, dimension=2**20)
    round_ = LatticeRehearsal(scheme).until_masked()
    parcels = {id_: client.mask_input(round_.vectors[id_]).send[0].message for id_, client in round_.clients.items()}
    tracemalloc.start()
    try:
        for id_, parcel in parcels.items():
            round_.server.receive(parcel, sender=id_)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 2.5 * scheme.upload_bytes
