# SPDX-License-Identifier: Apache-2.0
"""FOR TEACHING ONLY: a split without masks, to show how one bad client breaks it.

The decryptor holds the key and every upload, so it can read each. And its rules do not help against one bad client that
works with the aggregator: with a negated sum of all others' ciphertexts it makes the opened sum equal to one victim's
vector, and with the ciphertext (0, Delta) equal to the sum plus the secret key. Both are run in
`tests/attacks/crypto/test_split_attacks.py`. No session of this package takes such uploads.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from fedmeta_crypto.homomorphic.errors import KeySpent, LoneCiphertext
from fedmeta_crypto.homomorphic.split.scheme import SplitScheme
from fedmeta_crypto.homomorphic.trust import TrustModel
from fedmeta_crypto.ring import checked_copy
from fedmeta_crypto.wire import SERVER


class UnmaskedSplitForTeaching:
    """A decryptor's key and the one sum that it opens, of uploads without masks.

    Guarantee:  none against a bad client, and none against the decryptor: `trust.who_could_read` says so.

    Example:
        >>> from fedmeta_crypto.homomorphic.seal.cipher import TensealBfv
        >>> scheme = SplitScheme(clients=3, modulus_bits=20, dimension=2, cipher=TensealBfv())
        >>> split = UnmaskedSplitForTeaching(scheme)
        >>> split.open({id_: split.upload(np.array([id_, 7], np.uint32)) for id_ in (3, 5, 8)})
        array([16, 21], dtype=uint32)
    """

    trust = TrustModel.SPLIT

    def __init__(self, scheme: SplitScheme) -> None:
        self.scheme = scheme
        self._key = scheme.cipher.new_key(scheme.session_length)
        self.public_key = self._key.public_key
        self._spent = False

    def __repr__(self) -> str:
        return f"UnmaskedSplitForTeaching(trust={self.trust.value!r})"

    def upload(self, vector: NDArray[np.uint32]) -> bytes:
        """A client's ciphertext of its packed words.  Shapes: (scheme.dimension,), uint32, below 2^B."""
        own = checked_copy(vector, bits=self.scheme.modulus_bits, length=self.scheme.dimension)
        return self.scheme.cipher.encrypt(self.scheme.pack(own.astype(np.uint32, copy=False)), self.public_key)

    def open(self, uploads: Mapping[int, bytes]) -> NDArray[np.uint32]:
        """The sum modulo 2^B of distinct clients' uploads, after the checks that a decryptor can make; once.

        Raises:     LoneCiphertext: fewer than two.  KeySpent: opened before.  PeerProtocolError: a bad ciphertext.
        """
        if self._spent:
            raise KeySpent("this key has opened its sum", where="open")
        if len(uploads) < 2:
            raise LoneCiphertext(f"{len(uploads)} uploads", sender=SERVER, where="open")
        for id_, ciphertext in uploads.items():
            self.scheme.cipher.check_ciphertext(ciphertext, words=self.scheme.session_length, sender=id_)
        self._spent = True
        for id_, ciphertext in uploads.items():
            self._key.add(ciphertext, sender=id_)
        words = self._key.open()
        self._key.wipe()
        return self.scheme.unpack(words)
