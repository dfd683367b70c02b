# SPDX-License-Identifier: Apache-2.0
"""What an aggregator may try with the decryptor: each ends in a named error, and no key opens twice or for one."""

import pytest
from crypto_rounds import identity_of, signed_by
from split_rounds import SplitRehearsal, people_with_decryptor, toy_scheme

from fedmeta_crypto import SERVER, Phase
from fedmeta_crypto.errors import (
    BadMessage,
    BadSignature,
    Equivocation,
    OutOfOrder,
    PlanRefused,
    ProtocolError,
    Repeated,
    Stranger,
    Unexpected,
    UnsafeSurvivors,
    WrongSession,
)
from fedmeta_crypto.homomorphic.errors import (
    KeySpent,
    LoneCiphertext,
    OtherSubset,
    RepeatedRound,
    SecondSubset,
    WrongAttachment,
    WrongKey,
)
from fedmeta_crypto.homomorphic.parcel import Parcel
from fedmeta_crypto.homomorphic.split.decryptor import Decryptor, DecryptorPhase
from fedmeta_crypto.messages import ConsistencyProof, SurvivorList
from fedmeta_crypto.secagg.step import Record, RecordKind
from fedmeta_crypto.wire import DECRYPTOR, MessageType, Reader, claimed_type, payload_of


def held_back(n=5, dropped=1, **changes):
    """A round whose aggregator has sent the decryptor M0 only; the rest is in `to_decryptor`."""
    rehearsal = SplitRehearsal(toy_scheme(n), dropped=dropped, **changes)
    rehearsal.serve = False
    del rehearsal.to_decryptor[:]
    return rehearsal


def queue(rehearsal):
    parcels = [m for m in rehearsal.to_decryptor if m[:7] == b"sfmpar/"]
    lists = [m for m in rehearsal.to_decryptor if claimed_type(m) == MessageType.SURVIVORS]
    proofs = [m for m in rehearsal.to_decryptor if claimed_type(m) == MessageType.CONSISTENCY_PROOF]
    return parcels, lists[0], proofs[0]


def listed(rehearsal, message):
    (_, payload) = (None, payload_of(message))
    return SurvivorList.read(Reader(payload, sender=SERVER, where="test"), signed=True)


def other_list(rehearsal, survivors, ids):
    entries = dict(survivors.entries)
    return signed_by(SERVER, SurvivorList(tuple(ids), tuple(entries[i] for i in ids)), rehearsal)


def added(**changes):
    """All ciphertexts are with the decryptor, and nothing else yet."""
    rehearsal = held_back(**changes).until(Phase.UNMASK)
    parcels, survivors, proof = queue(rehearsal)
    for parcel in parcels:
        rehearsal.decryptor.receive(parcel)
    return rehearsal, parcels, survivors, proof


def test_the_honest_way():
    rehearsal, _, survivors, proof = added()
    assert rehearsal.decryptor.receive(survivors).send == ()
    step = rehearsal.decryptor.receive(proof)
    assert [Record.from_bytes(record).kind for record in step.persist] == [RecordKind.ANSWERED]
    assert [out.to for out in step.send] == [SERVER] and rehearsal.decryptor.phase is DecryptorPhase.OPENED


def test_a_lone_ciphertext():
    rehearsal = held_back().until(Phase.UNMASK)
    parcels, survivors, _ = queue(rehearsal)
    rehearsal.decryptor.receive(parcels[0])
    own = listed(rehearsal, survivors)
    with pytest.raises(LoneCiphertext):
        rehearsal.decryptor.receive(other_list(rehearsal, own, own.ids[:1]))


def test_fewer_than_were_announced():
    rehearsal = held_back().until(Phase.UNMASK)
    parcels, survivors, _ = queue(rehearsal)
    for parcel in parcels[:3]:
        rehearsal.decryptor.receive(parcel)
    own = listed(rehearsal, survivors)
    with pytest.raises(LoneCiphertext):
        rehearsal.decryptor.receive(other_list(rehearsal, own, own.ids[:3]))


@pytest.mark.parametrize("kept", [slice(0, 4), slice(1, 5)])
def test_survivors_that_are_not_those_added(kept):
    """One ciphertext is missing from the sum, or one too many is in it: the two subsets differ by one client."""
    rehearsal = held_back().until(Phase.UNMASK)
    parcels, survivors, _ = queue(rehearsal)
    for parcel in parcels[kept]:
        rehearsal.decryptor.receive(parcel)
    with pytest.raises(OtherSubset, match="listed but not added"):
        rehearsal.decryptor.receive(survivors)
    rehearsal, _, survivors, _ = added()
    own = listed(rehearsal, survivors)
    with pytest.raises(OtherSubset, match="added but not listed"):
        rehearsal.decryptor.receive(other_list(rehearsal, own, own.ids[kept]))


def test_an_input_other_than_the_added_one():
    rehearsal, _, survivors, _ = added()
    own = listed(rehearsal, survivors)
    forged = SurvivorList(own.ids, (bytes(32), *own.digests[1:]))
    with pytest.raises(OtherSubset):
        rehearsal.decryptor.receive(signed_by(SERVER, forged, rehearsal))


def test_a_second_subset_before_and_after_the_opening():
    rehearsal, _, survivors, proof = added()
    own = listed(rehearsal, survivors)
    smaller = other_list(rehearsal, own, own.ids[:4])
    rehearsal.decryptor.receive(survivors)
    with pytest.raises(SecondSubset):
        rehearsal.decryptor.receive(smaller)
    rehearsal.decryptor.receive(proof)
    with pytest.raises(SecondSubset):
        rehearsal.decryptor.receive(smaller)


def test_nothing_opens_twice():
    rehearsal, parcels, survivors, proof = added()
    rehearsal.decryptor.receive(survivors)
    key = rehearsal.decryptor._key
    rehearsal.decryptor.receive(proof)
    assert key.wiped and rehearsal.decryptor._key is None
    for message in (parcels[0], survivors, proof):
        with pytest.raises(KeySpent):
            rehearsal.decryptor.receive(message)


def test_the_answer_again_is_the_same_bytes():
    rehearsal, _, survivors, proof = added()
    rehearsal.decryptor.receive(survivors)
    step = rehearsal.decryptor.receive(proof)
    assert rehearsal.decryptor.resend().send == step.send
    rehearsal.decryptor.delivered()
    with pytest.raises(OutOfOrder):
        rehearsal.decryptor.resend()
    rehearsal.decryptor.begin(2)
    rehearsal.decryptor.abort()
    with pytest.raises(OutOfOrder):
        rehearsal.decryptor.resend()


def test_a_sum_that_does_not_decrypt_leaves_no_key():
    rehearsal, _, survivors, proof = added()
    rehearsal.decryptor.receive(survivors)
    key = rehearsal.decryptor._key
    key.open = lambda: 1 // 0
    with pytest.raises(ZeroDivisionError):
        rehearsal.decryptor.receive(proof)
    assert key.wiped and rehearsal.decryptor.phase is DecryptorPhase.OPENED
    with pytest.raises(KeySpent):
        rehearsal.decryptor.receive(proof)


def test_without_a_quorum():
    rehearsal, _, survivors, proof = added(n=5)
    rehearsal.decryptor.receive(survivors)
    full = ConsistencyProof.read(Reader(payload_of(proof), sender=SERVER, where="test"))
    for evidence in (full.evidence[:2], ()):
        with pytest.raises(UnsafeSurvivors):
            rehearsal.decryptor.receive(signed_by(SERVER, ConsistencyProof(evidence), rehearsal))
    assert rehearsal.decryptor.receive(proof).send


def test_votes_that_nobody_cast():
    rehearsal, _, survivors, proof = added()
    rehearsal.decryptor.receive(survivors)
    full = ConsistencyProof.read(Reader(payload_of(proof), sender=SERVER, where="test"))
    forged = tuple(item._replace(signature=bytes(64)) for item in full.evidence)
    with pytest.raises(BadSignature):
        rehearsal.decryptor.receive(signed_by(SERVER, ConsistencyProof(forged), rehearsal))


def test_proof_that_clients_were_shown_another_list():
    from fedmeta_crypto.messages import ConsistencyVote, Evidence
    from fedmeta_crypto.wire import signature_of

    rehearsal, _, survivors, proof = added()
    rehearsal.decryptor.receive(survivors)
    full = ConsistencyProof.read(Reader(payload_of(proof), sender=SERVER, where="test"))
    vote = signed_by(full.evidence[0].id, ConsistencyVote(bytes(32)), rehearsal)
    other = Evidence(full.evidence[0].id, MessageType.CONSISTENCY, bytes(32), signature_of(vote))
    with pytest.raises(Equivocation):
        rehearsal.decryptor.receive(signed_by(SERVER, ConsistencyProof((other, *full.evidence[1:])), rehearsal))
    assert rehearsal.decryptor._key is None
    with pytest.raises(KeySpent):
        rehearsal.decryptor.receive(proof)


def test_a_duplicate_ciphertext():
    rehearsal, parcels, *_ = added()
    with pytest.raises(Repeated):
        rehearsal.decryptor.receive(parcels[0])


def test_a_ciphertext_after_the_list():
    rehearsal = held_back().until(Phase.UNMASK)
    parcels, survivors, _ = queue(rehearsal)
    for parcel in parcels:
        rehearsal.decryptor.receive(parcel)
    rehearsal.decryptor.receive(survivors)
    with pytest.raises(Unexpected):
        rehearsal.decryptor.receive(parcels[0])


def exchanged(rehearsal, parcel, **parts):
    size = rehearsal.scheme.upload_bytes
    read = Parcel.read(parcel, sender=3, input_bytes=10_000, ciphertext_bytes=size)
    fields = {"masked_input": read.masked_input, "commitment": read.commitment, "ciphertext": read.ciphertext}
    return Parcel(**(fields | parts)).to_bytes()


def test_another_ciphertext_than_the_signed_one():
    rehearsal = held_back().until(Phase.UNMASK)
    parcels, *_ = queue(rehearsal)
    size = rehearsal.scheme.upload_bytes
    for parts in ({"ciphertext": parcels[1][-size:]}, {"commitment": b"c" * 32}):
        with pytest.raises(WrongAttachment):
            rehearsal.decryptor.receive(exchanged(rehearsal, parcels[0], **parts))


def test_a_ciphertext_of_another_round():
    old = held_back(round_=1, seed="old").until(Phase.UNMASK)
    rehearsal = held_back(round_=1, seed="new")
    with pytest.raises(WrongSession):
        rehearsal.decryptor.receive(queue(old)[0][0])


def test_a_ciphertext_of_a_stranger_and_an_unsigned_one():
    rehearsal = held_back().until(Phase.UNMASK)
    parcel = queue(rehearsal)[0][0]
    m5 = bytearray(Parcel.read(parcel, sender=3, input_bytes=10_000, ciphertext_bytes=10**6).masked_input)
    m5[-1] ^= 1
    with pytest.raises(BadSignature):
        rehearsal.decryptor.receive(exchanged(rehearsal, parcel, masked_input=bytes(m5)))
    m5[47:51] = (99).to_bytes(4, "little")
    with pytest.raises(Stranger):
        rehearsal.decryptor.receive(exchanged(rehearsal, parcel, masked_input=bytes(m5)))


def test_a_round_that_was_begun_before():
    rehearsal, _, survivors, proof = added(round_=7)
    for old in (7, 6, 1):
        with pytest.raises(RepeatedRound):
            rehearsal.decryptor.begin(old)
    rehearsal.decryptor.receive(survivors)
    rehearsal.decryptor.receive(proof)
    with pytest.raises(RepeatedRound):
        rehearsal.decryptor.begin(7)
    rehearsal.decryptor.begin(8)


def test_a_restart_from_disk_forgets_no_round():
    rehearsal = SplitRehearsal(toy_scheme(4), round_=5).until(Phase.DONE)
    records = [Record.from_bytes(record) for record in rehearsal.persisted]
    assert [(record.kind, record.round) for record in records] == [
        (RecordKind.ROUND_BEGUN, 5),
        (RecordKind.ANSWERED, 5),
    ]
    import dataclasses

    policy = dataclasses.replace(rehearsal.policy, last_round=max(record.round for record in records))
    again = Decryptor(rehearsal.scheme, policy=policy, identity=identity_of(DECRYPTOR))
    with pytest.raises(RepeatedRound):
        again.begin(5)
    m0 = rehearsal.to_decryptor[0]
    again.begin(6)
    with pytest.raises(RepeatedRound):  # the old round's announcement with a new round's key
        again.receive(m0)
    assert SplitRehearsal(rehearsal.scheme, decryptor=again, round_=9).until(Phase.DONE).opened is not None


def test_a_new_round_ends_the_one_before():
    rehearsal, parcels, survivors, _ = added()
    key = rehearsal.decryptor._key
    rehearsal.decryptor.begin(2)
    assert key.wiped
    for message in (parcels[0], survivors):
        with pytest.raises(Unexpected):
            rehearsal.decryptor.receive(message)


def test_an_aborted_round_stays_closed():
    rehearsal, _, survivors, _ = added()
    rehearsal.decryptor.abort()
    with pytest.raises(KeySpent):
        rehearsal.decryptor.receive(survivors)


def announced(changes, **signer):
    rehearsal = SplitRehearsal(toy_scheme(4), serve=False)
    fields = {name: getattr(rehearsal.parameters, name) for name in rehearsal.parameters.__dataclass_fields__}
    parameters = type(rehearsal.parameters)(**(fields | changes))
    return rehearsal, parameters.to_message(identity_of(signer.get("by", SERVER)).sign)


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"key_hash": bytes(32)}, WrongKey),
        ({"modulus": 65537}, PlanRefused),
        ({"length": 7}, PlanRefused),
        ({"round": 2}, RepeatedRound),
        ({"min_survivors": 4}, PlanRefused),
        ({"identities": bytes(32)}, PlanRefused),
    ],
)
def test_announcements_that_it_signs_no_key_for(changes, error):
    rehearsal, m0 = announced(changes)
    with pytest.raises(error):
        rehearsal.decryptor.receive(m0)
    assert rehearsal.decryptor.phase is DecryptorPhase.KEYED


def test_an_announcement_by_another_than_the_server():
    rehearsal, m0 = announced({}, by=3)
    with pytest.raises(BadSignature):
        rehearsal.decryptor.receive(m0)


def test_one_announcement_a_key():
    rehearsal, m0 = announced({})
    rehearsal.decryptor.receive(m0)
    with pytest.raises(Unexpected):
        rehearsal.decryptor.receive(m0)


def test_other_messages():
    rehearsal = held_back().until(Phase.UNMASK)
    for message in (rehearsal.sent[1, 3], b"", b"sfmdec/1"):
        with pytest.raises(BadMessage):
            rehearsal.decryptor.receive(message)


def test_no_decryptor_without_its_key_on_the_list():
    rehearsal = SplitRehearsal(toy_scheme(4))
    with pytest.raises(PlanRefused):
        Decryptor(rehearsal.scheme, policy=rehearsal.policy, identity=identity_of(3))
    import dataclasses

    for people in (None, people_with_decryptor(()[:0])):
        policy = dataclasses.replace(rehearsal.policy, allow_list=people)
        if people is None:
            with pytest.raises(PlanRefused):
                Decryptor(rehearsal.scheme, policy=policy, identity=identity_of(DECRYPTOR))


def test_no_secret_shows_and_nothing_is_copied():
    import copy
    import pickle

    rehearsal = SplitRehearsal(toy_scheme(4), round_=3)
    assert repr(rehearsal.decryptor) == "Decryptor(round=3, phase=ADDING)"
    for copying in (copy.copy, copy.deepcopy, pickle.dumps):
        for thing in (rehearsal.decryptor, rehearsal.server, rehearsal.clients[3]):
            with pytest.raises(TypeError):
                copying(thing)


def test_errors_leave_the_round_as_it_was():
    rehearsal, parcels, survivors, proof = added()
    for message in (proof, parcels[0], survivors[:-1]):
        with pytest.raises(ProtocolError):
            rehearsal.decryptor.receive(message)
    rehearsal.decryptor.receive(survivors)
    for message in (survivors, parcels[0], proof[:-1]):
        with pytest.raises(ProtocolError):
            rehearsal.decryptor.receive(message)
    step = rehearsal.decryptor.receive(proof)
    rehearsal._collect(rehearsal.server.receive(step.send[0].message, sender=DECRYPTOR))
    rehearsal.unmask()
    assert (rehearsal.opened.total == rehearsal.expected(rehearsal.opened.survivors)).all()
