# SPDX-License-Identifier: Apache-2.0
"""What all parties of a masked split agree on: the encryption, and how many values of how many bits pack how."""

import hashlib
from dataclasses import dataclass, field, replace
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from fedmeta_crypto.errors import PlanRefused
from fedmeta_crypto.homomorphic.parcel import PARCEL_BYTES
from fedmeta_crypto.homomorphic.split.cipher import WordCipher
from fedmeta_crypto.homomorphic.split.fields import Fields, fields_that_fit
from fedmeta_crypto.homomorphic.split.messages import REST_BYTES
from fedmeta_crypto.homomorphic.trust import TrustModel
from fedmeta_crypto.keys import DIGEST_BYTES
from fedmeta_crypto.messages import max_bytes
from fedmeta_crypto.modular import Words
from fedmeta_crypto.ring import MAX_BITS, MIN_BITS
from fedmeta_crypto.secagg.parameters import MAX_COHORT, MAX_LENGTH, MIN_COHORT, RoundParameters
from fedmeta_crypto.secagg.policy import ClientPolicy
from fedmeta_crypto.wire import MessageType

_LABEL = "secure-fedmeta masked split/1"
_WHERE = "masked split"
INPUT_BYTES = max_bytes(MessageType.MASKED_INPUT, members=0, length=0, signed=True)  # of an M5 without a vector


@dataclass(frozen=True, slots=True)
class SplitScheme:
    """A plan's encryption under masks: vectors of residues modulo 2^B in, their sum modulo 2^B out.

    Guarantee:  the sum is exact if the integers that the residues stand for (the ones nearest zero) sum to less than
                2^(B-1) in size at every place, as the application's encoding sees to: then it wraps nowhere.
    Args:       clients: size of the cohort.  modulus_bits: B, of the sum.  dimension: d.  cipher: encrypts
                `session_length` words.
    Raises:     PlanRefused: out of range, or the plaintext modulus is too small for such sums.

    Example:
        >>> from fedmeta_crypto.homomorphic.seal.cipher import TensealBfv
        >>> scheme = SplitScheme(clients=10, modulus_bits=22, dimension=5, cipher=TensealBfv())
        >>> scheme.session_length, scheme.trust.value  # two values to a word
        (3, 'split, masked')
    """

    clients: int
    modulus_bits: int
    dimension: int
    cipher: WordCipher = field(repr=False)
    fields: Fields = field(init=False)

    trust: ClassVar = TrustModel.SPLIT_MASKED

    def __post_init__(self) -> None:
        bounds = (
            ("clients", self.clients, MIN_COHORT, min(MAX_COHORT, self.cipher.max_clients)),
            ("modulus_bits", self.modulus_bits, MIN_BITS, MAX_BITS),
            ("dimension", self.dimension, 1, MAX_LENGTH),
        )
        for name, value, low, high in bounds:
            if not isinstance(value, int) or not low <= value <= high:
                raise PlanRefused(f"{name} must be an integer in {low} .. {high}, not {value!r}", where=_WHERE)
        per_word = fields_that_fit(bits=self.modulus_bits, modulus=self.modulus)
        made = Fields(dimension=self.dimension, bits=self.modulus_bits, modulus=self.modulus, per_word=per_word)
        object.__setattr__(self, "fields", made)

    @property
    def modulus(self) -> int:
        """The plaintext modulus t: `RoundParameters.modulus` of every round."""
        return self.cipher.modulus

    @property
    def session_length(self) -> int:
        """Words of a vector: `RoundParameters.length` of every round."""
        return self.fields.words

    @property
    def upload_bytes(self) -> int:
        """The most bytes of one client's ciphertext."""
        return self.cipher.ciphertext_bytes(self.session_length)

    @property
    def parcel_bytes(self) -> int:
        """The most bytes of a client's parcel: ciphertext, M5 and the parcel's own head."""
        return self.upload_bytes + INPUT_BYTES + PARCEL_BYTES

    @property
    def offer_bytes(self) -> int:
        """The most bytes of a proposal or an offer; an announcement is M0, an offer and 16 bytes."""
        return REST_BYTES + self.cipher.public_key_bytes

    @property
    def opened_bytes(self) -> int:
        """The bytes of the decryptor's words."""
        return REST_BYTES + 8 * self.session_length

    @property
    def digest(self) -> bytes:
        """SHA-256 (32 bytes) of all numbers above and the cipher's own digest."""
        numbers = (self.clients, self.modulus_bits, self.dimension, self.modulus, self.fields.per_word)
        rows = f"{_LABEL} {numbers} {self.cipher.digest.hex()}"
        return hashlib.sha256(rows.encode()).digest()

    def pack(self, vector: NDArray[np.uint32]) -> Words:
        """Words below t.  Shapes: (dimension,) to (session_length,)."""
        return self.fields.pack(vector)

    def unpack(self, words: Words) -> NDArray[np.uint32]:
        """The sum modulo 2^B.  Shapes: (session_length,) to (dimension,)."""
        return self.fields.unpack(words)

    def policy(self, policy: ClientPolicy) -> ClientPolicy:
        """A party's policy for rounds of this scheme: detached ones modulo t, and no others."""
        return replace(policy, modulus=self.modulus, max_length=max(policy.max_length, self.session_length))

    def check(self, parameters: RoundParameters) -> None:
        """Raise `PlanRefused` unless a round is one of this scheme."""
        stated = (parameters.modulus, parameters.length, len(parameters.cohort), len(parameters.key_hash))
        if stated != (self.modulus, self.session_length, self.clients, DIGEST_BYTES):
            raise PlanRefused("the round was announced for another encryption or form of vectors", where=_WHERE)
