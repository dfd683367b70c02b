# SPDX-License-Identifier: Apache-2.0
"""One client that works with the aggregator, on a split without masks and on the masked one.

Attack 1: it uploads Enc(0) - sum of all others' ciphertexts but one: the opened "sum" is that one client's vector.
Attack 2: it uploads (0, Delta): the opened sum is the honest one plus the secret key, which then opens every upload.

Both run against textbook BFV here, whose ciphertexts a test can make as it likes. Attack 1 is run against TenSEAL in
`test_split_attacks_tenseal.py`.
"""

import dataclasses

import numpy as np
import pytest
from split_rounds import SplitRehearsal, toy_scheme

from fedmeta_crypto import modular
from fedmeta_crypto.homomorphic.split.unmasked import UnmaskedSplitForTeaching
from fedmeta_crypto.homomorphic.trust import TrustModel

DIMENSION = 9000
BINS = 64


def chi_square(words, modulus):
    """63 degrees of freedom; words of 44 bits in 64 equal bins."""
    counts = np.bincount((np.asarray(words, object) * BINS // modulus).astype(np.int64), minlength=BINS)
    return ((counts - len(words) / BINS) ** 2 / (len(words) / BINS)).sum()


def quiet_half(rehearsal_or_vectors):
    """All honest vectors with a second half of zeros, where an opened key can be read off."""
    for vector in rehearsal_or_vectors.values():
        vector[DIMENSION // 4 :] = 0


class Colluding:
    """The bad client's encryption: as announced, but the ciphertext is what the attack wants."""

    def __init__(self, cipher, evil):
        self._cipher, self._evil = cipher, evil

    def __getattr__(self, name):
        return getattr(self._cipher, name)

    def encrypt(self, words, public_key):
        self.masked = words.copy()
        return self._evil(public_key)


def negated(cipher, ciphertexts, public_key, words):
    """Enc(0) - sum of ciphertexts."""
    zero = cipher.encrypt(np.zeros(words, np.uint64), public_key)
    return cipher.combine((1, zero), *[(-1, data) for data in ciphertexts])


def delta(cipher, words):
    """(0, Delta) in every block."""
    one = [0] * cipher.n + [cipher.q // cipher.modulus] + [0] * (cipher.n - 1)
    return cipher.to_bytes(one * cipher.blocks(words))


def test_attack_1_without_masks_opens_the_victim():
    scheme = toy_scheme(4, dimension=40)
    decryptor = UnmaskedSplitForTeaching(scheme)
    rng = np.random.default_rng(1)
    vectors = {id_: rng.integers(0, 2**15, 40).astype(np.uint32) for id_ in (3, 13, 23)}
    uploads = {id_: decryptor.upload(vector) for id_, vector in vectors.items()}
    others = [uploads[id_] for id_ in (13, 23)]
    uploads[33] = negated(scheme.cipher, others, decryptor.public_key, scheme.session_length)
    assert decryptor.trust is TrustModel.SPLIT and not decryptor.trust.sum_only
    assert np.array_equal(decryptor.open(uploads), vectors[3])


def test_attack_2_without_masks_opens_the_key_and_with_it_every_upload():
    scheme = toy_scheme(4, dimension=40, n=8)
    decryptor = UnmaskedSplitForTeaching(scheme)
    rng = np.random.default_rng(2)
    vectors = {id_: rng.integers(0, 2**15, 40).astype(np.uint32) for id_ in (3, 13, 23)}
    for vector in vectors.values():
        vector[16:20] = vector[36:] = vector[8:16] = vector[28:36] = 0  # words 8 .. 19 are zero
    uploads = {id_: decryptor.upload(vector) for id_, vector in vectors.items()}
    secret = list(decryptor._key.s)
    uploads[33] = delta(scheme.cipher, scheme.session_length)
    opened = scheme.pack(decryptor.open(uploads)).astype(np.int64)
    found = np.where(opened[8:16] > scheme.modulus // 2, opened[8:16] - scheme.modulus, opened[8:16])
    assert found.tolist() == secret
    # The key is wiped, and the attackers have it all the same.
    thief = scheme.cipher.new_key(scheme.session_length)
    thief.s = found.tolist()
    for id_ in (3, 13, 23):
        words = thief.decrypt(scheme.cipher.from_bytes(uploads[id_]))
        assert np.array_equal(scheme.unpack(words), vectors[id_])


def attacked(evil_of):
    """A masked round in which client 33 uploads what the attack wants, and the opened words and residue of it."""
    rehearsal = SplitRehearsal(toy_scheme(4, dimension=DIMENSION), corrupt=1, dropped=0)
    quiet_half(rehearsal.vectors)
    rehearsal.advertise().share().deliver()
    bad = rehearsal.clients[33]
    cipher = Colluding(rehearsal.scheme.cipher, lambda public: evil_of(rehearsal, public))
    bad.scheme = dataclasses.replace(rehearsal.scheme, cipher=cipher)
    seen = {}
    take_words, take_residue = rehearsal.server._take_words, rehearsal.server._sum

    def opened(message):
        step = take_words(message)
        seen["words"] = rehearsal.server._words.copy()
        return step

    def summed():
        if rehearsal.server._residue is not None:
            seen["residue"] = rehearsal.server._residue.residue
        return take_residue()

    rehearsal.server._take_words, rehearsal.server._sum = opened, summed
    secrets = rehearsal.clients[3]._inner._secrets
    rehearsal.victims_keys = [
        [bytes(key) for key in keys] for keys in (secrets.mask_keys_plus, secrets.mask_keys_minus)
    ]
    bads = bad._inner._secrets
    rehearsal.bads_keys = [bytes(key) for key in (*bads.mask_keys_plus, *bads.mask_keys_minus)]
    rehearsal.mask().agree().unmask()
    modulus = rehearsal.scheme.modulus
    own_mask = (cipher.masked.astype(object) - rehearsal.scheme.pack(rehearsal.vectors[33]).astype(object)) % modulus
    # All that aggregator and bad client can compute: the opened words less the residue, plus the bad client's own mask.
    left = (seen["words"].astype(object) - seen["residue"].astype(object) + own_mask) % modulus
    return rehearsal, seen["words"], left


def test_attack_1_on_masked_words_opens_only_noise():
    def evil(rehearsal, public_key):
        others = [rehearsal_ciphertext(rehearsal, id_) for id_ in (13, 23)]
        return negated(rehearsal.scheme.cipher, others, public_key, rehearsal.scheme.session_length)

    rehearsal, words, left = attacked(evil)
    modulus = rehearsal.scheme.modulus
    assert not np.array_equal(rehearsal.opened.total, rehearsal.vectors[3])
    assert chi_square(words, modulus) < 130  # 63 degrees of freedom: less than 1e-6
    assert chi_square(left, modulus) < 130
    assert chi_square(rehearsal.scheme.pack(rehearsal.vectors[3]), modulus) > 1e4  # the test would see a vector
    # The words are the victim's, as the decryptor opened them. M9 gives the aggregator its own mask, the bad client
    # knows the one they share: what is left is under the masks with two honest clients, and uniform.
    plus, minus = rehearsal.victims_keys
    known = {plus[0], *rehearsal.bads_keys}
    some = words.copy()
    modular.add_masks(some, modulus, plus=[k for k in minus if k in known], minus=[k for k in plus if k in known])
    assert len(known & {*plus, *minus}) == 2 and chi_square(some, modulus) < 130
    modular.add_masks(words, modulus, plus=minus, minus=plus)
    assert np.array_equal(rehearsal.scheme.unpack(words), rehearsal.vectors[3])


def rehearsal_ciphertext(rehearsal, id_):
    (parcel,) = (message for (number, sender), message in rehearsal.sent.items() if (number, sender) == (5, id_))
    size = rehearsal.scheme.upload_bytes
    return parcel[-size:]


def test_attack_2_on_masked_words_opens_the_key_and_the_key_only_noise():
    def evil(rehearsal, _):
        evil.secret = list(rehearsal.decryptor._key.s)
        return delta(rehearsal.scheme.cipher, rehearsal.scheme.session_length)

    rehearsal, words, left = attacked(evil)
    scheme = rehearsal.scheme
    modulus, n = scheme.modulus, scheme.cipher.n
    assert chi_square(words, modulus) < 130
    # The sum of so many zeros is known, so the key shows: the worst that this attack can do.
    zeros = np.array(left[-(scheme.session_length % n) - n :][:n], object)
    found = [int(x) if x < modulus // 2 else int(x - modulus) for x in zeros]
    assert found == evil.secret
    # And the stolen key opens words that are masked: whoever holds it, aggregator or decryptor, reads noise.
    thief = scheme.cipher.new_key(scheme.session_length)
    thief.s = found
    for id_ in (3, 13, 23):
        stolen = thief.decrypt(scheme.cipher.from_bytes(rehearsal_ciphertext(rehearsal, id_)))
        assert chi_square(stolen, modulus) < 130
        assert not np.array_equal(scheme.unpack(stolen), rehearsal.vectors[id_])


@pytest.mark.parametrize("attack", ["Enc(0)", "zeros"])
def test_a_bad_client_that_uploads_nothing_gains_nothing(attack):
    """The sum lacks its masks then, so that everything opened stays uniform."""

    def evil(rehearsal, public_key):
        scheme = rehearsal.scheme
        if attack == "zeros":
            return bytes(scheme.upload_bytes)
        return scheme.cipher.encrypt(np.zeros(scheme.session_length, np.uint64), public_key)

    rehearsal, words, left = attacked(evil)
    assert chi_square(words, rehearsal.scheme.modulus) < 130
    # With the bad client's own mask added again it is the honest sum: that much the round promises to the aggregator.
    total = rehearsal.scheme.unpack(np.array(left, np.uint64))
    assert np.array_equal(total, rehearsal.expected((3, 13, 23)))
