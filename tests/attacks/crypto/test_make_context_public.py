# SPDX-License-Identifier: Apache-2.0
"""TenSEAL's `make_context_public` leaves a working decryptor behind; this project never relies on it."""

import re
from pathlib import Path

import tenseal as ts
from seal_bfv import fresh_context
from tenseal import sealapi

import fedmeta_crypto
from fedmeta_crypto.homomorphic.seal import native
from fedmeta_crypto.homomorphic.seal.presets import BFV_4096


def test_a_context_made_public_still_decrypts():
    context = fresh_context()
    vector = ts.bfv_vector(context, [41] * 4096)
    context.make_context_public()
    assert context.is_public()
    assert not context.has_secret_key()
    plain = sealapi.Plaintext()
    context.data.decryptor().decrypt(vector.ciphertext()[0], plain)
    assert plain.to_string() == "29"  # 41: the constant polynomial


def test_a_public_context_of_this_project_does_not():
    own = native.new_context(BFV_4096)
    public = native.public_context(own, native.key_coefficients(own, BFV_4096), BFV_4096)
    assert not public.has_secret_key()
    try:
        public.data.decryptor()
    except (RuntimeError, ValueError, AttributeError):
        reached = False
    else:
        reached = True
    assert not reached


def test_no_source_calls_it():
    root = Path(fedmeta_crypto.__file__).parents[2]
    rooms = [*root.glob("crypto/**/*.py"), *root.glob("secure_fedmeta/**/*.py"), *root.glob("privacy/**/*.py")]
    assert len(rooms) > 50
    assert not [path for path in rooms if re.search(r"\.make_context_public\(", path.read_text())]


def test_tenseal_is_imported_by_one_file_of_the_room():
    root = Path(fedmeta_crypto.__file__).parent
    users = [
        path.name for path in root.rglob("*.py") if re.search(r"^\s*(import|from) tenseal", path.read_text(), re.M)
    ]
    assert users == ["native.py"]
