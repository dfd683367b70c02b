# SPDX-License-Identifier: Apache-2.0
"""The standards' values, this release's own bytes, and the refusals that must stay refusals."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from crypto_rounds import Rehearsal, people_of, plan
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from fedmeta_crypto import Keystream, Phase, ProtocolError, RoundParameters, Step
from fedmeta_crypto.identities import AllowList, Identity
from fedmeta_crypto.keys import KeyPair, derive
from fedmeta_crypto.records import verify_countersignature
from fedmeta_crypto.secagg.parameters import session_of
from fedmeta_crypto.shamir import reconstruct, unpack

VECTORS = Path(__file__).parents[2] / "vectors" / "crypto"
sys.path.insert(0, str(VECTORS))
import generate  # noqa: E402

STANDARDS = json.loads((VECTORS / "standards.json").read_text())


@pytest.mark.parametrize("name", generate.FILES)
def test_files_are_what_this_release_computes(name):
    assert json.loads((VECTORS / name).read_text()) == generate.FILES[name]()


def test_x25519():
    v = {k: bytes.fromhex(x) for k, x in STANDARDS["x25519"].items() if k != "source"}
    alice = KeyPair(v["alice_private"])
    assert alice.public == v["alice_public"]
    assert alice.agree(v["bob_public"], peer=2) == v["shared"]
    bob = X25519PrivateKey.from_private_bytes(v["bob_private"])
    assert bob.exchange(X25519PublicKey.from_public_bytes(v["alice_public"])) == v["shared"]


@pytest.mark.parametrize("case", STANDARDS["hkdf_sha256"], ids=lambda case: case["source"])
def test_hkdf(case):
    v = {k: bytes.fromhex(x) for k, x in case.items() if k != "source"}
    assert derive(v["secret"], v["info"], len(v["key"])) == v["key"]


@pytest.mark.parametrize("case", STANDARDS["ed25519"], ids=lambda case: case["source"])
def test_ed25519(case):
    v = {k: bytes.fromhex(x) for k, x in case.items() if k != "source"}
    identity = Identity(v["secret"])
    assert identity.public == v["public"] and identity.sign(v["message"]) == v["signature"]
    people = AllowList(Identity(bytes(32)).public, {5: v["public"]})
    assert people.verify(5, v["message"], v["signature"])
    assert not people.verify(5, v["message"] + b"\0", v["signature"])


def test_keystream_starts_at_counter_block_two():
    first = STANDARDS["keystream_of_the_zero_key"]["first_block"]
    assert Keystream(bytes(16)).bytes(16).hex() == first


def test_any_three_of_the_five_stored_shares():
    stored = json.loads((VECTORS / "primitives.json").read_text())["shamir"]
    packed = np.array([list(bytes.fromhex(row)) for row in stored["shares_by_point"].values()], np.uint8)
    rows = unpack(packed, 16)
    for points in ((1, 2, 3), (5, 3, 1), (2, 4, 5)):
        assert reconstruct(points, rows[[p - 1 for p in points]]).hex() == stored["secret"]


@pytest.mark.parametrize(("name", "bits"), [("whole_round.json", 20), ("sixteen_bit_round.json", 16)])
def test_the_stored_round_replays_from_its_bytes(name, bits):
    stored = json.loads((VECTORS / name).read_text())
    rehearsal = Rehearsal(plan(ids=(1, 2, 300), threshold=1, bits=bits, length=3, body=b"model"))
    for label, message in stored["to_server"].items():
        number, sender = label[1:].split(" from ")
        if number == "9" and rehearsal.server.phase.name == "MASK_INPUT":
            rehearsal.server.deadline(rehearsal.server.phase)
        step = rehearsal.server.receive(bytes.fromhex(message), sender=int(sender))
    assert step.events[-1].total.tolist() == stored["total"]
    assert list(step.events[-1].survivors) == stored["survivors"] == [1, 300]


def test_the_stored_signed_round_replays_from_its_bytes():
    stored = json.loads((VECTORS / "signed_round.json").read_text())
    parameters = RoundParameters.from_message(bytes.fromhex(stored["announcement"]), max_bytes=10**4)
    server = Rehearsal(parameters).server
    last_of = {"5": Phase.MASK_INPUT}
    step = Step()
    for label, message in stored["to_server"].items():
        number, sender = label[1:].split(" from ")
        if number == "7" and last_of:
            server.deadline(last_of.popitem()[1])
        if server.phase is Phase.DONE:
            opened = step.events[-1]
            step = server.publish(bytes.fromhex(stored["record"]))
            shown = {str(out.to): out.message.hex() for out in step.send}
            assert shown == stored["to_clients_before_countersign"]
        step = server.receive(bytes.fromhex(message), sender=int(sender))
    assert opened.total.tolist() == stored["total"]
    assert list(opened.survivors) == stored["survivors"] == [1, 300, 4000]
    recorded = step.events[-1]
    assert recorded.survivors_digest.hex() == stored["survivors_digest"]
    assert {str(id_): signature.hex() for id_, signature in recorded.signatures} == stored["countersignatures"]
    assert all(len(m) % 2 == 0 and m[-132:-128] == "4000" for m in stored["to_server"].values())


def test_the_stored_surplus_round_replays_from_its_bytes():
    stored = json.loads((VECTORS / "surplus_round.json").read_text())
    parameters = RoundParameters.from_message(bytes.fromhex(stored["announcement"]), max_bytes=10**4)
    server = Rehearsal(parameters).server
    for label, message in stored["to_server"].items():
        number, sender = label[1:].split(" from ")
        if number == "7" and server.phase is Phase.MASK_INPUT:
            server.deadline(Phase.MASK_INPUT)
        step = server.receive(bytes.fromhex(message), sender=int(sender))
    opened = step.events[-1]
    assert parameters.surplus == 2 and opened.total.tolist() == stored["total"]
    assert list(opened.survivors) == stored["survivors"] == [1, 300, 4000, 50000, 600000]
    assert [[seed.hex() for seed in row] for row in opened.surplus] == stored["surplus"]
    assert stored["surplus"] == [stored["dealt"][str(id_)][1:] for id_ in opened.survivors]


def test_the_stored_countersignatures_verify_with_an_allow_list_alone():
    stored = json.loads((VECTORS / "signed_round.json").read_text())
    announcement = bytes.fromhex(stored["announcement"])
    for id_, signature in stored["countersignatures"].items():
        assert verify_countersignature(
            bytes.fromhex(signature),
            allow_list=people_of((1, 2, 300, 4000)),
            id_=int(id_),
            session=session_of(announcement, signed=True),
            round_=1,
            survivors=bytes.fromhex(stored["survivors_digest"]),
            record=bytes.fromhex(stored["record"]),
        )


@pytest.mark.parametrize("case", json.loads((VECTORS / "bad_messages.json").read_text()), ids=lambda c: c["name"])
def test_bad_messages_are_refused_by_name(case):
    rehearsal = Rehearsal(plan(ids=(1, 2, 300), threshold=1, bits=20, length=3, body=b"model"), seed="golden")
    with pytest.raises(ProtocolError) as caught:
        rehearsal.server.receive(bytes.fromhex(case["message"]), sender=1)
    assert caught.value.code == case["code"]
