# SPDX-License-Identifier: Apache-2.0
"""One upload is uniform to whoever does not hold its secret, and no message or repr of a round shows the secret."""

import numpy as np
import pytest
from lattice_rounds import LatticeRehearsal
from scipy import stats

from fedmeta_crypto.homomorphic.parcel import Parcel
from fedmeta_crypto.homomorphic.rlwe import client as client_module


@pytest.mark.parametrize("name", ["rlwe32", "rlwe64"])
def test_uniform_though_the_vector_is_zero(name):
    round_ = LatticeRehearsal(name=name, dimension=2**16).until_masked()
    (out,) = round_.clients[3].mask_input(np.zeros(2**16, np.uint32)).send
    parcel = Parcel.read(out.message, sender=3, input_bytes=2**20, ciphertext_bytes=round_.scheme.upload_bytes)
    counts = np.bincount(np.frombuffer(parcel.ciphertext, np.uint8), minlength=256)
    assert stats.chisquare(counts).pvalue > 1e-6


def test_the_secret_leaves_only_masked_and_is_wiped(monkeypatch):
    kept = []
    real = client_module.encrypt

    def watched(*arguments, **named):
        upload, secret = real(*arguments, **named)
        kept.append((secret, secret.copy()))
        return upload, secret

    monkeypatch.setattr(client_module, "encrypt", watched)
    round_ = LatticeRehearsal().until_masked()
    (out,) = round_.clients[3].mask_input(round_.vectors[3]).send
    ((held, secret),) = kept
    assert secret.any() and not held.any()
    for form in (secret.tobytes(), secret.astype("<i2").tobytes(), secret.astype("<u2").tobytes()):
        assert form[:64] not in out.message
    assert not any(isinstance(value, np.ndarray) for value in vars(round_.clients[3]).values())
