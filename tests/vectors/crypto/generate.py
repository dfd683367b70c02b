# SPDX-License-Identifier: Apache-2.0
"""Write the golden vectors: PYTHONPATH=crypto python tests/vectors/crypto/generate.py

Values of standards are written by hand; the rest is what this release computes. A changed file is a
changed wire form: say so in the CHANGELOG and raise the version.
"""

import hashlib
import json
import sys
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parents[1] / "support"))

from crypto_rounds import RECORD, Rehearsal, counter_entropy, plan, signed_plan  # noqa: E402
from lattice_rounds import LatticeRehearsal  # noqa: E402
from split_rounds import SplitRehearsal  # noqa: E402
from toy_bfv import T44, ClearCipher  # noqa: E402

from fedmeta_crypto import Keystream, modular  # noqa: E402
from fedmeta_crypto.homomorphic.split.scheme import SplitScheme  # noqa: E402
from fedmeta_crypto.shamir import pack, split  # noqa: E402

STANDARDS = {
    "x25519": {
        "source": "RFC 7748, section 6.1",
        "alice_private": "77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a",
        "alice_public": "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a",
        "bob_private": "5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb",
        "bob_public": "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f",
        "shared": "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742",
    },
    "hkdf_sha256": [
        {
            "source": "RFC 5869, appendix A.3",
            "secret": "0b" * 22,
            "info": "",
            "key": "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8",
        },
    ],
    "ed25519": [
        {
            "source": "RFC 8032, section 7.1, test 1",
            "secret": "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
            "public": "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
            "message": "",
            "signature": "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155"
            "5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
        },
        {
            "source": "RFC 8032, section 7.1, test 2",
            "secret": "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
            "public": "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
            "message": "72",
            "signature": "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
            "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
        },
        {
            "source": "RFC 8032, section 7.1, test 3",
            "secret": "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
            "public": "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
            "message": "af82",
            "signature": "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac"
            "18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
        },
    ],
    "keystream_of_the_zero_key": {
        "source": "GCM specification (McGrew and Viega), test case 2: E_0 of counter block 2",
        "first_block": "0388dace60b6a392f328c2b971b2fe78",
    },
}


def own_primitives():
    key = bytes(range(16))
    rows = split(bytes(range(32)), points=5, threshold=3, entropy=counter_entropy("shamir"))
    edge = np.array([[65536, 0, 65535, 65536] + [0] * 12], np.uint32)
    return {
        "keystream": {"key": key.hex(), "first_100_bytes": Keystream(key).bytes(100).hex()},
        "shamir": {
            "secret": bytes(range(32)).hex(),
            "threshold": 3,
            "shares_by_point": {str(i + 1): row.tobytes().hex() for i, row in enumerate(pack(rows))},
        },
        "packed_share": {"words": edge[0].tolist(), "bytes": pack(edge).tobytes().hex()},
    }


def whole_round():
    """Three clients in a ring of 20 bits, the second lost after its shares, under counter entropy."""
    rehearsal = Rehearsal(plan(ids=(1, 2, 300), threshold=1, bits=20, length=3, body=b"model"), seed="golden")
    return played(rehearsal, ("advertise", "share", "deliver", "mask", "unmask"))


def sixteen_bit_round():
    """As `whole_round` in a ring of 16 bits, whose masks are words of 16 bits."""
    rehearsal = Rehearsal(plan(ids=(1, 2, 300), threshold=1, bits=16, length=3, body=b"model"), seed="golden")
    return played(rehearsal, ("advertise", "share", "deliver", "mask", "unmask"))


def signed_round():
    """Four clients at the malicious strength, the second lost after its shares; the others countersign a record."""
    rehearsal = Rehearsal(signed_plan(ids=(1, 2, 300, 4000), bits=20, length=3, body=b"model"), seed="golden")
    record = played(rehearsal, ("advertise", "share", "deliver", "mask", "agree", "unmask"))
    rehearsal.publish()
    record["record"] = RECORD.hex()
    record["to_clients_before_countersign"] = hexed(rehearsal.inbox)
    recorded = rehearsal.countersign()
    record["survivors_digest"] = recorded.survivors_digest.hex()
    record["countersignatures"] = hexed(dict(recorded.signatures))
    return record | uploads(rehearsal)


def surplus_round():
    """As `signed_round` with two surplus secrets and six clients, one lost: the second of each survivor is opened."""
    parameters = signed_plan(
        ids=(1, 2, 300, 4000, 50000, 600000), dropped=2, bits=20, length=3, body=b"model", surplus=2
    )
    rehearsal = Rehearsal(parameters, seed="golden")
    record = played(rehearsal, ("advertise", "share", "deliver", "mask", "agree", "unmask"))
    record["dealt"] = {str(id_): [seed.hex() for seed in rehearsal.surplus_of(id_)] for id_ in parameters.cohort}
    record["surplus"] = [[seed.hex() for seed in row] for row in rehearsal.opened.surplus]
    return record


def split_round():
    """Four clients of a masked split, the second lost after its shares; the encryption is none, so the bytes repeat."""
    masks = {}
    for modulus in (65537, 8796093022237, T44):  # nearly half of the draws of the first two are rejected
        masks[str(modulus)] = np.zeros(5, np.uint64)
        modular.add_masks(masks[str(modulus)], modulus, plus=[bytes(range(16))])
    scheme = SplitScheme(clients=4, modulus_bits=18, dimension=5, cipher=ClearCipher())
    rehearsal = SplitRehearsal(scheme, ids=(1, 2, 300, 4000), body=b"model", seed="golden")
    record = played(rehearsal, ("advertise", "share", "deliver", "mask", "agree", "unmask"))
    record["masks_of_the_key_00_to_0f"] = {modulus: mask.tolist() for modulus, mask in masks.items()}
    record["scheme"] = scheme.digest.hex()
    record["from_decryptor"] = {kind.name: data.hex() for kind, data in rehearsal.from_decryptor.items()}
    record["to_decryptor"] = [message.hex() for message in rehearsal.to_decryptor]
    record["words"] = {str(id_): scheme.pack(vector).tolist() for id_, vector in rehearsal.vectors.items()}
    return record


def lattice_round():
    """A threshold round; ciphertexts by their hash, since they are long."""
    round_ = LatticeRehearsal(name="rlwe32", n=4, bits=20, dimension=3000, seed="lattice")
    round_.advertise().share().deliver().mask(drop={13}).agree().unmask()
    sent = {id_: round_.sent[5, id_] for id_ in (3, 23, 33)}
    return {
        "scheme": round_.scheme.digest.hex(),
        "session": round_.server.session.hex(),
        "parcels_sha256": {str(id_): hashlib.sha256(message).hexdigest() for id_, message in sent.items()},
        "first_bytes": {str(id_): message[-12000:-11968].hex() for id_, message in sent.items()},
        "total_sha256": hashlib.sha256(round_.opened.total.astype("<u4").tobytes()).hexdigest(),
        "total_begins": round_.opened.total[:8].tolist(),
    }


def played(rehearsal, moves):
    announcement = next(iter(rehearsal.inbox.values()))
    record = {"announcement": announcement.hex(), "seed": "golden"}
    for move in moves:
        drop = (2,) if move == "mask" else ()
        inbox = hexed(rehearsal.inbox)
        getattr(rehearsal, move)(drop)
        record[f"to_clients_before_{move}"] = inbox if move != "advertise" else {}
    record |= uploads(rehearsal)
    record["inputs"] = {str(id_): vector.tolist() for id_, vector in rehearsal.vectors.items()}
    record["total"] = rehearsal.opened.total.tolist()
    record["survivors"] = list(rehearsal.opened.survivors)
    return record


def hexed(by_id):
    return {str(id_): data.hex() for id_, data in by_id.items()}


def uploads(rehearsal):
    return {"to_server": {f"M{number} from {id_}": m.hex() for (number, id_), m in rehearsal.sent.items()}}


def bad_messages():
    """Altered first messages of client 1 of the whole round, each with the error it must raise."""
    rehearsal = Rehearsal(plan(ids=(1, 2, 300), threshold=1, bits=20, length=3, body=b"model"), seed="golden")
    good = rehearsal.clients[1].advertise_keys().send[0].message

    def at(offset, value):
        return (good[:offset] + value + good[offset + len(value) :]).hex()

    return [
        {"name": "another protocol", "code": "SFM-223", "message": at(0, b"HTTP")},
        {"name": "later version", "code": "SFM-224", "message": at(4, b"\x02")},
        {"name": "reserved type", "code": "SFM-224", "message": at(6, b"\x07")},
        {"name": "another session", "code": "SFM-225", "message": at(7, bytes(32))},
        {"name": "another round", "code": "SFM-226", "message": at(39, b"\x02")},
        {"name": "another sender", "code": "SFM-228", "message": at(47, b"\x02")},
        {"name": "payload announced too long", "code": "SFM-221", "message": at(51, b"\xff\xff\xff\xff")},
        {"name": "payload announced too short", "code": "SFM-224", "message": at(51, b"\x01")},
        {"name": "key of low order", "code": "SFM-232", "message": at(55, bytes(32))},
        {"name": "key not reduced", "code": "SFM-232", "message": at(55, b"\xff" * 32)},
        {"name": "cut", "code": "SFM-221", "message": good[:-3].hex()},
        {"name": "grown by one", "code": "SFM-222", "message": (good * 4).hex()},
        {"name": "trailing byte", "code": "SFM-223", "message": (good + b"\x00").hex()},
        {"name": "empty", "code": "SFM-221", "message": ""},
        {"name": "message for another phase", "code": "SFM-230", "message": at(6, b"\x05")},
    ]


FILES = {
    "standards.json": lambda: STANDARDS,
    "primitives.json": own_primitives,
    "whole_round.json": whole_round,
    "sixteen_bit_round.json": sixteen_bit_round,
    "signed_round.json": signed_round,
    "surplus_round.json": surplus_round,
    "split_round.json": split_round,
    "lattice_round.json": lattice_round,
    "bad_messages.json": bad_messages,
}

if __name__ == "__main__":
    for name, make in FILES.items():
        (HERE / name).write_text(json.dumps(make(), indent=1) + "\n")
