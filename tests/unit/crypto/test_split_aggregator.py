# SPDX-License-Identifier: Apache-2.0
"""The aggregator of a masked split: no key in reach, parcels and the decryptor's words checked before use."""

import dataclasses
import gc

import numpy as np
import pytest
from crypto_rounds import identity_of, signed_plan
from split_rounds import SplitRehearsal, reframed, toy_scheme
from toy_bfv import ClearCipher, ToyCipher

from fedmeta_crypto import SERVER, Phase
from fedmeta_crypto.errors import (
    BadMessage,
    BadSignature,
    OutOfOrder,
    Oversized,
    PlanRefused,
    Repeated,
    SpoofedSender,
    Stranger,
    Truncated,
    Unexpected,
    WrongRound,
    WrongSession,
)
from fedmeta_crypto.homomorphic.errors import (
    DecryptorSilent,
    KeyInReach,
    NoCiphertext,
    WrongAttachment,
    WrongKey,
    WrongOpening,
)
from fedmeta_crypto.homomorphic.parcel import Parcel
from fedmeta_crypto.homomorphic.split import messages
from fedmeta_crypto.homomorphic.split.aggregator import AddingServer, proposed_key
from fedmeta_crypto.homomorphic.split.messages import Kind
from fedmeta_crypto.homomorphic.split.scheme import SplitScheme
from fedmeta_crypto.wire import DECRYPTOR


def aggregator(rehearsal, **changes):
    fields = {
        "scheme": rehearsal.scheme,
        "proposal": rehearsal.proposal,
        "identity": identity_of(SERVER),
        "allow_list": rehearsal.people,
    }
    return AddingServer(changes.pop("parameters", rehearsal.parameters), **(fields | changes))


def proposal_of(rehearsal, public_key):
    return reframed(rehearsal, Kind.PROPOSAL, session=bytes(32), key={"public_key": public_key})


def test_no_aggregator_with_a_key_in_reach():
    rehearsal = SplitRehearsal()
    secret = b"toysecrt" + rehearsal.decryptor._key.public_key[8:]
    with pytest.raises(KeyInReach):
        aggregator(rehearsal, proposal=proposal_of(rehearsal, secret))
    for thing in (rehearsal.decryptor, rehearsal.decryptor._key, bytearray(rehearsal.proposal)):
        with pytest.raises(KeyInReach):
            aggregator(rehearsal, proposal=thing)
        with pytest.raises(KeyInReach):
            proposed_key(thing, scheme=rehearsal.scheme, round_=1, people=rehearsal.people)


def test_no_aggregator_for_another_key_or_scheme():
    rehearsal = SplitRehearsal()
    other = rehearsal.scheme.cipher.new_key(3).public_key
    for changes in (
        {"proposal": proposal_of(rehearsal, other)},
        {"scheme": toy_scheme(4, dimension=9)},
        {"parameters": signed_plan(4)},
    ):
        with pytest.raises(PlanRefused):
            aggregator(rehearsal, **changes)
    with pytest.raises(WrongKey):
        aggregator(rehearsal, proposal=proposal_of(rehearsal, b"not a key"))
    with pytest.raises(WrongRound):
        proposed_key(rehearsal.proposal, scheme=rehearsal.scheme, round_=2, people=rehearsal.people)


def test_a_masked_input_without_its_ciphertext():
    rehearsal = SplitRehearsal().until(Phase.MASK_INPUT)
    parcel = rehearsal.clients[3].mask_input(rehearsal.vectors[3]).send[0].message
    read = Parcel.read(parcel, sender=3, input_bytes=10_000, ciphertext_bytes=10**6)
    with pytest.raises(NoCiphertext):
        rehearsal.server.receive(read.masked_input, sender=3)
    with pytest.raises(NoCiphertext):
        rehearsal.server.receive(Parcel(read.masked_input, read.commitment, b"").to_bytes(), sender=3)
    rehearsal.server.receive(parcel, sender=3)


def test_parcels_that_are_refused():
    rehearsal = SplitRehearsal().until(Phase.MASK_INPUT)
    parcels = {id_: rehearsal.clients[id_].mask_input(rehearsal.vectors[id_]).send[0].message for id_ in (3, 13)}
    size = rehearsal.scheme.upload_bytes
    one, other = parcels[3], parcels[13]
    cases = [
        (one[:-size] + other[-size:], 3, WrongAttachment),
        (one[:-1] + bytes([one[-1] ^ 1]), 3, WrongAttachment),
        (one, 13, SpoofedSender),
        (one + b"x", 3, Oversized),
        (one[:-1], 3, Truncated),
    ]
    for message, sender, error in cases:
        with pytest.raises(error):
            rehearsal.server.receive(message, sender=sender)
    assert rehearsal.server.attachments() == ()
    rehearsal.server.receive(one, sender=3)
    for message, sender, error in ((one, 3, Repeated), (one, 99, Stranger)):
        with pytest.raises(error):
            rehearsal.server.receive(message, sender=sender)
    rehearsal.server.receive(other, sender=13)


def test_a_parcel_that_comes_late():
    rehearsal = SplitRehearsal(dropped=1).until(Phase.MASK_INPUT)
    late = rehearsal.clients[3].mask_input(rehearsal.vectors[3]).send[0].message
    rehearsal.mask(drop=(3,))
    with pytest.raises(Unexpected):
        rehearsal.server.receive(late, sender=3)
    rehearsal.agree().unmask()
    assert np.array_equal(rehearsal.opened.total, rehearsal.expected((13, 23, 33)))


def test_a_client_that_encrypts_under_an_old_key():
    """Its masked input names the old key, whatever its ciphertext is under."""
    old = SplitRehearsal(round_=1)
    rehearsal = SplitRehearsal(round_=2).until(Phase.MASK_INPUT)
    client = rehearsal.clients[3]
    honest = client._inner.parameters
    stale = dataclasses.replace(honest, key_hash=old.parameters.key_hash)
    client._public_key = old.clients[3]._public_key
    client._inner.parameters = stale
    message = client.mask_input(rehearsal.vectors[3]).send[0].message
    with pytest.raises(WrongAttachment, match="key"):
        rehearsal.server.receive(message, sender=3)


def test_a_ciphertext_that_is_none_though_it_is_signed():
    rehearsal = SplitRehearsal().until(Phase.MASK_INPUT)

    class Garbage(ToyCipher):
        def encrypt(self, words, public_key):
            return b"\xff" * self.ciphertext_bytes(len(words))

    rehearsal.clients[3].scheme = dataclasses.replace(rehearsal.scheme, cipher=Garbage())
    with pytest.raises(BadMessage):
        rehearsal.server.receive(rehearsal.clients[3].mask_input(rehearsal.vectors[3]).send[0].message, sender=3)


# -- the decryptor's words -----------------------------------------------------------------------------------------


def waiting():
    """A round that lacks nothing but the decryptor's words."""
    rehearsal = SplitRehearsal()
    rehearsal.serve = False
    rehearsal.until(Phase.DONE)
    assert rehearsal.server.phase is Phase.DECRYPT and rehearsal.opened is None
    return rehearsal


def test_words_that_come_last_and_words_that_come_first():
    late = waiting()
    with pytest.raises(OutOfOrder):
        late.server.publish(b"too early")
    late.serve = True
    for message in late.to_decryptor[1:]:
        late.hand_over(message)
    assert late.server.phase is Phase.DONE
    early = SplitRehearsal(seed="e").until(Phase.UNMASK)
    assert early.server._words is not None and early.server.phase is Phase.UNMASK
    early.unmask()
    for rehearsal in (late, early):
        assert np.array_equal(rehearsal.opened.total, rehearsal.expected(rehearsal.parameters.cohort))
    with pytest.raises(Repeated):
        early.server.receive(early.sent[5, 3], sender=DECRYPTOR)


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"by": SERVER}, BadSignature),
        ({"session": bytes(32)}, WrongSession),
        ({"round_": 9}, WrongRound),
        ({"kind": Kind.OFFER}, BadMessage),
    ],
)
def test_words_in_another_name(changes, error):
    rehearsal = waiting()
    payload = messages.opened_payload(rehearsal.server.agreed, np.zeros(3, np.uint64))
    with pytest.raises(error):
        rehearsal.server.receive(
            reframed(rehearsal, **{"kind": Kind.OPENED} | changes, payload=payload), sender=DECRYPTOR
        )


@pytest.mark.parametrize("length", [0, 2, 4])
def test_words_of_another_form(length):
    rehearsal = waiting()
    agreed, t = rehearsal.server.agreed, rehearsal.scheme.modulus
    payloads = [
        messages.opened_payload(agreed, np.zeros(length, np.uint64)),
        messages.opened_payload(bytes(32), np.zeros(3, np.uint64)),
        messages.opened_payload(agreed, np.array([0, 1, t], np.uint64)),
    ]
    for payload in payloads:
        with pytest.raises((WrongOpening, Oversized)):
            rehearsal.server.receive(reframed(rehearsal, Kind.OPENED, payload=payload), sender=DECRYPTOR)
    assert rehearsal.server.phase is Phase.DECRYPT


def test_a_decryptor_that_says_nothing():
    rehearsal = waiting()
    with pytest.raises(DecryptorSilent):
        rehearsal.server.deadline(Phase.DECRYPT)
    assert rehearsal.server.phase is Phase.FAILED and rehearsal.opened is None
    rehearsal = SplitRehearsal(serve=False)
    with pytest.raises(DecryptorSilent):
        rehearsal.server.deadline(Phase.ANNOUNCE)
    assert rehearsal.server.phase is Phase.FAILED


def test_the_order_of_calls():
    rehearsal = SplitRehearsal(serve=False)
    with pytest.raises(OutOfOrder):
        rehearsal.server.announce()
    with pytest.raises(OutOfOrder):
        rehearsal.server.receive(b"", sender=3)
    with pytest.raises(OutOfOrder):
        rehearsal.server.deadline(Phase.DECRYPT)
    fresh = aggregator(rehearsal)
    for call in (lambda: fresh.receive(b"", sender=DECRYPTOR), lambda: fresh.deadline(Phase.ANNOUNCE)):
        with pytest.raises(OutOfOrder):
            call()
    done = SplitRehearsal().until(Phase.DONE)
    assert done.server.deadline(Phase.DECRYPT).events == done.server.deadline(Phase.UNMASK).events == ()
    with pytest.raises(Repeated):
        done.server.receive(done.sent[9, 3], sender=3)


# -- memory --------------------------------------------------------------------------------------------------------


def large_buffers(thing, least):
    """All bytes and arrays of at least so many bytes that an object holds on to, sessions and lists included."""
    seen, found, todo = set(), [], [thing]
    while todo:
        one = todo.pop()
        if id(one) in seen or isinstance(one, type | type(gc)):
            continue
        seen.add(id(one))
        size = len(one) if isinstance(one, bytes | bytearray) else getattr(one, "nbytes", 0)
        if isinstance(size, int) and size >= least:
            found.append(one)
        todo += gc.get_referents(one)
    return found


def test_no_upload_is_kept():
    """Neither here nor with the decryptor, whatever the number of clients: uploads pass through."""
    scheme = SplitScheme(clients=6, modulus_bits=22, dimension=20_000, cipher=ClearCipher())
    rehearsal = SplitRehearsal(scheme).until(Phase.CONSISTENCY)
    sent = [message for (number, _), message in rehearsal.sent.items() if number == 5]
    assert len(sent) == 6 and all(len(message) > 80_000 for message in sent)
    rehearsal.decryptor._key.total = np.zeros(0)  # the one sum that it keeps
    for party in (rehearsal.server, rehearsal.decryptor):
        assert large_buffers(party, 40_000) == []
    assert large_buffers([sent], 40_000) == sent  # the search works
