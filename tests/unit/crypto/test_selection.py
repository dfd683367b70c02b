# SPDX-License-Identifier: Apache-2.0
"""A selection's exact form, what it refuses, and what it says of its leakage."""

import copy

import numpy as np
import pytest
from crypto_rounds import Rehearsal, signed_plan
from selective_rounds import SelectiveRehearsal, selection_of

from fedmeta_crypto.errors import MaskReuse, OutOfOrder, OutOfRing, WrongLength
from fedmeta_crypto.homomorphic.errors import BadSelection
from fedmeta_crypto.homomorphic.selection import Selection
from fedmeta_crypto.homomorphic.selective import SelectiveClient, SelectiveServer
from fedmeta_crypto.homomorphic.trust import TrustModel
from fedmeta_crypto.ring import wire_bytes
from fedmeta_crypto.secagg.client_phases import ClientPhase
from fedmeta_crypto.secagg.step import InputWanted


def test_the_mask_goes_in_and_comes_out():
    for d in (1, 7, 8, 9, 1000):
        mask = np.random.default_rng(d).random(d) < 0.5
        mask[0] = True
        selection = Selection.of(mask)
        assert np.array_equal(selection.mask, mask) and selection.encrypted == mask.sum()
        assert selection.encrypted + selection.clear == d
        assert Selection(d, selection.packed) == selection and hash(selection) == hash(Selection.of(mask.copy()))


def test_a_changed_mask_array_changes_no_selection():
    mask = np.array([True, False])
    selection = Selection.of(mask)
    mask[:] = False
    selection.mask[:] = False
    assert selection.encrypted == 1


def test_golden_digest():
    """(printf 'secure-fedmeta selection/1'; printf '\\003\\0\\0\\0\\0\\0\\0\\0\\005') | sha256sum."""
    digest = "ee6ad661561e9a9b5cfd18dc2e1565d31fa99228857c830c158afe0aa3d85242"
    assert Selection.of(np.array([True, False, True])).digest.hex() == digest


@pytest.mark.parametrize(
    "make",
    [
        lambda: Selection.of(np.zeros(5, bool)),
        lambda: Selection.of(np.ones(5, np.uint8)),
        lambda: Selection.of(np.ones((2, 2), bool)),
        lambda: Selection.of(np.ones(0, bool)),
        lambda: Selection(9, b"\xff"),
        lambda: Selection(7, b"\xff"),
        lambda: Selection(8, b"\xff\x00"),
        lambda: Selection(2**40, b"\xff"),
        lambda: Selection(8, bytearray(b"\xff")),
    ],
)
def test_refused(make):
    with pytest.raises(BadSelection, match="SFM-216"):
        make()


def test_parts_that_do_not_fit():
    selection, vector = selection_of(10, 4), np.arange(10, dtype=np.uint32)
    secret, clear = selection.split(vector)
    with pytest.raises(BadSelection, match=r"shape \(9,\)"):
        selection.split(vector[:9])
    for parts in ((secret[:3], clear), (secret, clear[:5]), (clear, secret), (secret, clear.astype(np.uint16))):
        with pytest.raises(BadSelection, match="do not fit"):
            selection.join(*parts)


def test_only_the_local_epsilon_unless_everything_is_encrypted():
    some, everything = selection_of(10, 9), selection_of(10, 10)
    for trust in TrustModel:
        assert some.statement(trust).view == "local"
        assert everything.statement(trust).view == ("server" if trust.sum_only else "local")


def test_the_statement_names_the_coordinates():
    mask = np.ones(20, bool)
    mask[[0, 5, 6, 7, 19]] = False
    leakage = Selection.of(mask).statement(TrustModel.THRESHOLD)
    assert leakage.ranges == ((0, 1), (5, 8), (19, 20)) and (leakage.encrypted, leakage.clear) == (15, 5)
    text = str(leakage)
    assert "reads 5 of 20 coordinates of each client one by one: 0, 5 to 7, 19." in text
    assert "only the local epsilon" in text and "Choosing it from private data" in text
    assert TrustModel.THRESHOLD.who_could_read in text
    many = Selection.of(np.arange(100) % 2 == 0).statement(TrustModel.SPLIT)
    assert "and 44 more ranges" in str(many) and len(many.ranges) == 50


def test_the_application_is_asked_for_the_whole_vector():
    round_ = SelectiveRehearsal(selection_of(12, 5)).advertise().share().deliver()
    for events in (round_.events[4, id_] for id_ in round_.parameters.cohort):
        (wanted,) = (event for event in events if isinstance(event, InputWanted))
        assert (wanted.length, wanted.modulus_bits) == (12, 32)


def test_a_round_of_another_length_is_left():
    round_ = Rehearsal(signed_plan(length=6))
    id_ = round_.parameters.cohort[0]
    round_.clients[id_] = SelectiveClient(round_.clients[id_], selection_of(12, 5), modulus_bits=32)
    round_.advertise().share()
    with pytest.raises(BadSelection, match="the round sums 6 values of 32 bits, the selection encrypts 5 of 32"):
        round_.clients[id_].receive(round_.inbox[id_])
    assert round_.clients[id_].phase is ClientPhase.ABORTED


def test_an_upload_is_resent_byte_for_byte_and_made_once():
    round_ = SelectiveRehearsal(selection_of(12, 5), bits=22).advertise().share().deliver()
    id_ = round_.parameters.cohort[0]
    client, vector = round_.clients[id_], round_.vectors[id_]
    with pytest.raises(WrongLength):
        client.mask_input(vector[:5])
    with pytest.raises(OutOfRing):
        client.mask_input(vector + np.uint32(2**22))
    assert client.phase is ClientPhase.READY
    (sent,) = client.mask_input(vector).send
    (again,) = client.resend().send
    assert again == sent and len(sent.message) > wire_bytes(12, 22)
    with pytest.raises(MaskReuse):
        client.mask_input(vector)
    client.delivered()
    with pytest.raises(OutOfOrder):
        client.resend()


def test_sessions_are_not_copied_and_show_no_values():
    round_ = SelectiveRehearsal(selection_of(12, 5))
    client = next(iter(round_.clients.values()))
    assert "5 of 12 coordinates" in repr(client) and "5 of 12 coordinates" in repr(round_.server)
    with pytest.raises(TypeError, match="one-shot"):
        copy.copy(client)
    assert isinstance(round_.server, SelectiveServer)
    assert round_.server.statement(TrustModel.SPLIT_MASKED) == client.statement(TrustModel.SPLIT_MASKED)
