# SPDX-License-Identifier: Apache-2.0
"""Clients and aggregator of a masked split: the session's surface, and what each refuses."""

import dataclasses

import numpy as np
import pytest
from crypto_rounds import people_of
from split_rounds import SplitRehearsal, offered, reframed, toy_scheme
from toy_bfv import ClearCipher, ToyCipher

from fedmeta_crypto import SERVER, ClientSession, Phase, ServerSession
from fedmeta_crypto.errors import (
    BadArgument,
    BadMessage,
    BadSignature,
    MaskReuse,
    OutOfOrder,
    OutOfRing,
    Oversized,
    PlanRefused,
    ProtocolError,
    Truncated,
    WrongLength,
    WrongRound,
    WrongSession,
)
from fedmeta_crypto.homomorphic.errors import WrongKey
from fedmeta_crypto.homomorphic.split.aggregator import AddingServer
from fedmeta_crypto.homomorphic.split.client import EncryptingClient
from fedmeta_crypto.homomorphic.split.messages import Kind, announcement
from fedmeta_crypto.homomorphic.split.scheme import SplitScheme
from fedmeta_crypto.homomorphic.trust import TrustModel
from fedmeta_crypto.secagg.client_phases import ClientPhase
from fedmeta_crypto.secagg.step import InputWanted, SumOpened


def public(kind):
    return {name for name in dir(kind) if not name.startswith("_")}


def test_the_surface_is_the_sessions():
    client = SplitRehearsal().clients[3]
    session = {"abort", "advertise_keys", "client_id", "countersign", "delivered", "mask_input", "parameters", "phase"}
    session |= {"receive", "resend", "session"}
    assert session <= public(client)
    assert public(ClientSession) - public(EncryptingClient) == {"mask_detached", "recall_input"}
    assert public(ServerSession) <= public(AddingServer)


def test_whom_each_party_names():
    rehearsal = SplitRehearsal()
    for party in (rehearsal.server, rehearsal.decryptor, rehearsal.clients[3], rehearsal.scheme):
        assert party.trust is TrustModel.SPLIT_MASKED and party.trust.sum_only


def test_a_round_to_the_countersigned_record():
    rehearsal = SplitRehearsal(toy_scheme(4, bits=18, dimension=11)).until(Phase.DONE)
    assert isinstance(rehearsal.opened, SumOpened) and rehearsal.opened.total.dtype == np.uint32
    assert np.array_equal(rehearsal.opened.total, rehearsal.expected(rehearsal.parameters.cohort))
    assert rehearsal.server.attachments() == tuple((id_, bytes([id_]) * 32) for id_ in rehearsal.parameters.cohort)
    recorded = rehearsal.countersign()
    assert recorded.survivors_digest == rehearsal.server.agreed and rehearsal.server.phase is Phase.RECORDED


def test_wanted_is_what_the_application_encodes():
    rehearsal = SplitRehearsal(toy_scheme(4, bits=20, dimension=7)).advertise().share()
    events = rehearsal.clients[3].receive(rehearsal.inbox[3]).events
    (wanted,) = [event for event in events if isinstance(event, InputWanted)]
    assert (wanted.length, wanted.modulus_bits) == (7, 20)


def test_an_upload_is_sent_again_as_it_was_and_then_let_go():
    rehearsal = SplitRehearsal().until(Phase.MASK_INPUT)
    client = rehearsal.clients[3]
    step = client.mask_input(rehearsal.vectors[3])
    assert client.resend().send == step.send
    with pytest.raises(MaskReuse):
        client.mask_input(rehearsal.vectors[3])
    client.delivered()
    with pytest.raises(OutOfOrder):
        client.resend()


@pytest.mark.parametrize(
    ("vector", "error"),
    [
        (np.full(5, 2**22, np.uint32), OutOfRing),
        (np.zeros(5, np.int64), OutOfRing),
        (np.zeros(3, np.uint32), WrongLength),
    ],
)
def test_vectors_that_do_not_fit_change_nothing(vector, error):
    rehearsal = SplitRehearsal().until(Phase.MASK_INPUT)
    with pytest.raises(error):
        rehearsal.clients[3].mask_input(vector)
    with pytest.raises(BadArgument):
        rehearsal.clients[3].mask_input(rehearsal.vectors[3], attachment_hash=b"short")
    assert rehearsal.clients[3].phase is ClientPhase.READY


def test_an_encryption_that_fails_ends_the_session():
    rehearsal = SplitRehearsal().until(Phase.MASK_INPUT)
    client = rehearsal.clients[3]

    class Broken(ToyCipher):
        def encrypt(self, words, public_key):
            raise MemoryError

    client.scheme = dataclasses.replace(client.scheme, cipher=Broken())
    with pytest.raises(MemoryError):
        client.mask_input(rehearsal.vectors[3])
    assert client.phase is ClientPhase.ABORTED


# -- the key offered to clients ------------------------------------------------------------------------------------


def test_an_offer_made_again_is_taken():
    rehearsal = SplitRehearsal()
    m0, offer = offered(rehearsal)
    assert reframed(rehearsal) == offer  # Ed25519 is deterministic
    rehearsal.client(3, announcement(m0, reframed(rehearsal)))


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"by": SERVER}, BadSignature),
        ({"by": 13}, BadSignature),
        ({"session": bytes(32)}, WrongSession),
        ({"round_": 2}, WrongRound),
        ({"kind": Kind.PROPOSAL}, BadMessage),
        ({"kind": Kind.OPENED}, BadMessage),
        ({"key": {"scheme_digest": bytes(32)}}, WrongKey),
        ({"payload": bytes(40)}, WrongKey),
        ({"payload": b""}, Truncated),
    ],
)
def test_offers_that_a_client_refuses(changes, error):
    rehearsal = SplitRehearsal()
    m0, _ = offered(rehearsal)
    with pytest.raises(error):
        rehearsal.client(3, announcement(m0, reframed(rehearsal, **changes)))


def test_another_key_of_the_true_decryptor_is_refused():
    rehearsal = SplitRehearsal()
    m0, _ = offered(rehearsal)
    other = rehearsal.scheme.cipher.new_key(3).public_key
    with pytest.raises(WrongKey, match="announcement names"):
        rehearsal.client(3, announcement(m0, reframed(rehearsal, key={"public_key": other})))


def test_the_old_rounds_offer_does_not_do_for_a_new_one():
    old, new = SplitRehearsal(round_=1), SplitRehearsal(round_=2)
    with pytest.raises(WrongRound):
        new.client(3, announcement(offered(new)[0], offered(old)[1]))


@pytest.mark.parametrize("cut", [0, 5, 15, 16, 100, -1])
def test_cut_announcements(cut):
    rehearsal = SplitRehearsal()
    with pytest.raises(ProtocolError):
        rehearsal.client(3, rehearsal.inbox[3][:cut])


def test_announcements_too_long_or_without_an_offer():
    rehearsal = SplitRehearsal()
    m0, offer = offered(rehearsal)
    for message, error in ((rehearsal.inbox[3] + b"x", Oversized), (announcement(m0, b""), Truncated)):
        with pytest.raises(error):
            rehearsal.client(3, message)
    with pytest.raises(BadMessage):
        rehearsal.client(3, m0 + offer)


def test_another_scheme_is_refused_by_the_client():
    rehearsal = SplitRehearsal()
    for scheme in (toy_scheme(4, dimension=9), toy_scheme(5), toy_scheme(4, modulus=65537, bits=12)):
        with pytest.raises(PlanRefused):
            rehearsal.client(3, rehearsal.inbox[3], scheme=scheme)
    # Form and modulus are the same, the digest is not.
    with pytest.raises(WrongKey):
        rehearsal.client(3, rehearsal.inbox[3], scheme=toy_scheme(4, bits=20))


def test_no_decryptor_on_the_clients_list():
    rehearsal = SplitRehearsal()
    policy = dataclasses.replace(rehearsal.policy, allow_list=people_of(rehearsal.parameters.cohort))
    with pytest.raises(PlanRefused):
        rehearsal.client(3, rehearsal.inbox[3], policy=policy)


# -- the scheme ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("clients", "bits", "dimension"),
    [(1, 22, 5), (4, 7, 5), (4, 33, 5), (4, 22, 0), (4, 22, 2**28 + 1), (1001, 32, 5), (4.0, 22, 5)],
)
def test_what_cannot_fit_is_refused(clients, bits, dimension):
    with pytest.raises(PlanRefused):
        SplitScheme(clients=clients, modulus_bits=bits, dimension=dimension, cipher=ToyCipher())


@pytest.mark.parametrize("modulus", [65537, 2**31 - 1])
def test_a_small_plaintext_modulus_takes_small_rings_only(modulus):
    bits = modulus.bit_length()
    assert toy_scheme(4, bits=bits - 1, dimension=5, modulus=modulus).session_length == 5
    with pytest.raises(PlanRefused, match="wrap"):
        toy_scheme(4, bits=bits + 1, modulus=modulus)


def test_digests_name_everything():
    schemes = [toy_scheme(4), toy_scheme(5), toy_scheme(4, bits=20), toy_scheme(4, dimension=6), toy_scheme(4, n=4)]
    assert len({scheme.digest for scheme in schemes}) == 5
    assert toy_scheme(4).digest == toy_scheme(4).digest and len(toy_scheme(4).digest) == 32


def test_sizes_are_known_before_anything_is_sent():
    scheme = SplitScheme(clients=4, modulus_bits=22, dimension=11, cipher=ClearCipher())
    rehearsal = SplitRehearsal(scheme).until(Phase.DONE)
    assert len(rehearsal.sent[5, 3]) == scheme.parcel_bytes
    sizes = {kind: len(message) for kind, message in rehearsal.from_decryptor.items()}
    assert sizes == {
        Kind.PROPOSAL: scheme.offer_bytes,
        Kind.OFFER: scheme.offer_bytes,
        Kind.OPENED: scheme.opened_bytes,
    }
