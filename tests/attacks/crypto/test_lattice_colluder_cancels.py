# SPDX-License-Identifier: Apache-2.0
"""A client that works with the server uploads minus the others' ciphertexts, and learns nothing: no key follows.

The attack that opens a victim's vector where one party holds a key (an unmasked split) fails here by construction: the
sum of the keys still holds everybody's.
"""

import numpy as np
import pytest
from lattice_rounds import LatticeRehearsal
from scipy import stats

from fedmeta_crypto.homomorphic.errors import DecryptionFailed
from fedmeta_crypto.homomorphic.parcel import Parcel, attachment_digest
from fedmeta_crypto.homomorphic.rlwe.product import Multiplier
from fedmeta_crypto.homomorphic.rlwe.scheme import public_blocks

VICTIM, COLLUDER = 3, 33


def test_the_opened_sum_is_no_vector_of_anyone(monkeypatch):
    round_ = LatticeRehearsal(dimension=6000).until_masked()
    scheme = round_.scheme
    kind = round_.server._total.dtype
    sent = {}
    for id_ in round_.parameters.cohort[:-1]:
        (out,) = round_.clients[id_].mask_input(round_.vectors[id_]).send
        sent[id_] = out.message
    honest = {
        id_: np.frombuffer(
            Parcel.read(m, sender=id_, input_bytes=2**20, ciphertext_bytes=scheme.upload_bytes).ciphertext, kind
        )
        for id_, m in sent.items()
    }
    evil = np.zeros(scheme.dimension, kind)
    for id_, ciphertext in honest.items():
        if id_ != VICTIM:
            evil -= ciphertext
    # The colluder signs what it likes about its own upload: its masked key is all zeros.
    colluder = round_.clients[COLLUDER]
    digest = attachment_digest(scheme.digest, bytes(32), evil.tobytes())
    (out,) = colluder._inner.mask_input(np.zeros(scheme.session_length, np.uint16), attachment_hash=digest).send
    sent[COLLUDER] = Parcel(out.message, bytes(32), evil.tobytes()).to_bytes()
    seen = {}
    real = type(round_.server)._opened

    def watched(self, event):
        seen["key"], seen["total"] = event.total.copy(), self._total.copy()
        return real(self, event)

    monkeypatch.setattr(type(round_.server), "_opened", watched)
    for id_, message in sent.items():
        round_._collect(round_.server.receive(message, sender=id_))
    with pytest.raises(DecryptionFailed):
        round_.agree().unmask()
    # What the server is left with: the victim's ciphertext, and a key that opens the sum of three and no other.
    assert np.array_equal(seen["total"], honest[VICTIM])
    bits = scheme.session_modulus_bits
    key = seen["key"].astype(np.int64)
    key -= (key >> (bits - 1)) << bits
    noisy = np.concatenate(
        [
            seen["total"][at : at + a.size] - Multiplier(key).times(a).reshape(-1)[: scheme.dimension - at]
            for at, a in public_blocks(scheme, round_.server.session, round_.server._roster)
        ]
    )
    guessed = noisy >> kind.type(scheme.shift)
    assert not np.array_equal(guessed, round_.vectors[VICTIM])
    counts = np.bincount((guessed >> 12).astype(int), minlength=16)
    assert stats.chisquare(counts).pvalue > 1e-6
