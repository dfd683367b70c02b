# SPDX-License-Identifier: Apache-2.0
"""The two attacks of `test_split_attacks` with TenSEAL's own BFV: N = 4096, [60, 30], t of 44 bits.

(0, Delta) is written in SEAL's uncompressed form, which TenSEAL loads as any other ciphertext.
"""

import dataclasses

import numpy as np
import seal_bfv
import tenseal as ts
from seal_bfv import T44, N, SealCipher
from split_rounds import SplitRehearsal

from fedmeta_crypto.homomorphic.parcel import Parcel
from fedmeta_crypto.homomorphic.split.scheme import SplitScheme
from fedmeta_crypto.homomorphic.split.unmasked import UnmaskedSplitForTeaching

DIMENSION = 2 * N  # one full ciphertext
BINS = 64


def scheme():
    return SplitScheme(clients=4, modulus_bits=18, dimension=DIMENSION, cipher=SealCipher())


def chi_square(words):
    """63 degrees of freedom."""
    counts = np.bincount((np.asarray(words, object) * BINS // T44).astype(np.int64), minlength=BINS)
    return ((counts - len(words) / BINS) ** 2 / (len(words) / BINS)).sum()


def honest(ids, zeros_from):
    rng = np.random.default_rng(4)
    vectors = {id_: (rng.integers(-(2**15), 2**15, DIMENSION) % 2**18).astype(np.uint32) for id_ in ids}
    for vector in vectors.values():
        vector[zeros_from:] = 0
    return vectors


def negated(context, ciphertexts):
    """Enc(0) - sum of ciphertexts."""
    total = ts.bfv_vector(context, [0] * N)
    for data in ciphertexts:
        total = total - ts.bfv_vector_from(context, data)
    return total.serialize()


def key_in(slots, context):
    """The ternary key that a polynomial of these slots is, as 0, 1 and t - 1; None if it is no such thing."""
    found = seal_bfv.polynomial(context, slots)
    return found if set(found.tolist()) <= {0, 1, T44 - 1} else None


def test_attack_1_without_masks_opens_the_victim():
    decryptor = UnmaskedSplitForTeaching(scheme())
    vectors = honest((3, 13, 23), DIMENSION)
    uploads = {id_: decryptor.upload(vector) for id_, vector in vectors.items()}
    public = ts.context_from(decryptor.public_key)
    assert not public.has_secret_key()
    uploads[33] = negated(public, [uploads[13], uploads[23]])
    assert np.array_equal(decryptor.open(uploads), vectors[3])


def true_key(context):
    """As its holder has it: the same ciphertext, decrypted by himself."""
    return key_in(ts.bfv_vector_from(context, seal_bfv.delta(context)).decrypt(), context)


def test_attack_2_without_masks_opens_the_key():
    """Every honest vector is zero: what the decryptor opens is the key, and the key opens whatever was uploaded."""
    own, opened = scheme(), []
    decryptor = UnmaskedSplitForTeaching(own)
    vectors = honest((3, 13, 23), 0)
    uploads = {id_: decryptor.upload(vector) for id_, vector in vectors.items()}
    public, holder = ts.context_from(decryptor.public_key), decryptor._key.context
    uploads[33] = seal_bfv.delta(public)
    words = decryptor._key.open
    decryptor._key.open = lambda: opened.append(words()) or opened[0]  # whole words: 18 bits do not hold a slot
    decryptor.open(uploads)
    secret = key_in(opened[0], public)
    assert secret is not None and 2400 < np.count_nonzero(secret) < 3000  # ternary: two thirds of 4096
    assert np.array_equal(secret, true_key(holder))
    # What its holder reads with it, the attackers now read.
    stolen = np.array(ts.bfv_vector_from(holder, uploads[3]).decrypt(), np.int64) % T44
    assert np.array_equal(own.unpack(stolen.astype(np.uint64)), vectors[3])


def attacked(evil_of, zeros_from):
    rehearsal = SplitRehearsal(scheme(), corrupt=1, dropped=0)
    rehearsal.vectors = honest(rehearsal.parameters.cohort, zeros_from)
    rehearsal.advertise().share().deliver()
    bad = rehearsal.clients[33]

    class Colluding(SealCipher):
        def encrypt(self, words, public_key):
            self.masked = words.copy()
            return evil_of(rehearsal, ts.context_from(public_key))

    cipher = Colluding()
    bad.scheme = dataclasses.replace(rehearsal.scheme, cipher=cipher)
    seen = {}
    sums = rehearsal.server._sum

    def summed():
        if rehearsal.server._words is not None and rehearsal.server._residue is not None:
            seen["words"], seen["residue"] = rehearsal.server._words, rehearsal.server._residue.residue
        return sums()

    rehearsal.server._sum = summed
    rehearsal.mask().agree().unmask()
    own = rehearsal.scheme.pack(rehearsal.vectors[33]).astype(object)
    left = (seen["words"].astype(object) - seen["residue"].astype(object) + cipher.masked.astype(object) - own) % T44
    return rehearsal, seen["words"], left


def ciphertext_of(rehearsal, id_):
    parcel = Parcel.read(rehearsal.sent[5, id_], sender=id_, input_bytes=10_000, ciphertext_bytes=2**18)
    return bytes(parcel.ciphertext)


def test_attack_1_on_masked_words_opens_only_noise():
    rehearsal, words, left = attacked(
        lambda rehearsal, public: negated(public, [ciphertext_of(rehearsal, id_) for id_ in (13, 23)]), DIMENSION
    )
    assert chi_square(words) < 130 and chi_square(left) < 130
    assert not np.array_equal(rehearsal.opened.total, rehearsal.vectors[3])
    assert chi_square(rehearsal.scheme.pack(rehearsal.vectors[3])) > 1e4  # the test would see a vector


def test_attack_2_on_masked_words_gives_a_key_that_opens_only_noise():
    keys = {}

    def evil(rehearsal, public):
        keys["true"] = rehearsal.decryptor._key.context
        return seal_bfv.delta(public)

    rehearsal, words, left = attacked(evil, 0)
    assert chi_square(words) < 130
    secret = key_in(np.array(left, np.uint64), keys["true"])  # all vectors were zero: the worst case for the key
    assert secret is not None and np.array_equal(secret, true_key(keys["true"]))
    # With it, every upload of the round is noise.
    for id_ in (3, 13, 23):
        stolen = np.array(ts.bfv_vector_from(keys["true"], ciphertext_of(rehearsal, id_)).decrypt(), np.int64) % T44
        assert chi_square(stolen) < 130


def test_a_round_over_tenseal():
    rehearsal = SplitRehearsal(scheme(), dropped=1)
    rehearsal.vectors = honest(rehearsal.parameters.cohort, DIMENSION)
    rehearsal.advertise().share().deliver().mask(drop=(13,)).agree().unmask()
    assert rehearsal.opened.survivors == (3, 23, 33)
    assert np.array_equal(rehearsal.opened.total, rehearsal.expected((3, 23, 33)))
