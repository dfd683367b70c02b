# SPDX-License-Identifier: Apache-2.0
"""What the split protocol asks of an encryption: words modulo t in, and the sum of ciphertexts out, by one key holder.

The parties know an encryption through these two interfaces only, so that the attacks of the test suite can replace it.
Every method that takes foreign bytes parses them with this project's own parser before a native library sees them.
"""

from typing import Protocol

from fedmeta_crypto.modular import Words


class RoundSecret(Protocol):
    """One secret key and the running sum of ciphertexts under it."""

    @property
    def public_key(self) -> bytes:
        """The public half, in the form that `WordCipher.check_public_key` takes."""

    def add(self, ciphertext: bytes | memoryview, *, sender: int) -> None:
        """Check a ciphertext as `WordCipher.check_ciphertext` does, and add it; the sum starts from this side's zero.

        Raises:     PeerProtocolError: its form is wrong, and nothing was added.
        """

    def open(self) -> Words:
        """Decrypt the sum: the words modulo t, shape (m,), uint64.

        Raises:     a `ProtocolError` where it can tell that they are not the sum, as when no noise budget is left.
        """

    def wipe(self) -> None:
        """Forget key and sum; harmless when done before."""


class WordCipher(Protocol):
    """An additively homomorphic public-key encryption of vectors of words modulo t."""

    @property
    def modulus(self) -> int:
        """The plaintext modulus t, a prime."""

    @property
    def digest(self) -> bytes:
        """32 bytes that name the parameters and the form of keys and ciphertexts."""

    @property
    def max_clients(self) -> int:
        """The most ciphertexts whose sum decrypts rightly, whatever was encrypted."""

    def ciphertext_bytes(self, words: int) -> int:
        """The most bytes of a ciphertext of so many words."""

    @property
    def public_key_bytes(self) -> int:
        """The most bytes of a public key."""

    def check_public_key(self, data: bytes) -> None:
        """Refuse bytes that are not a public key of these parameters, or that hold more than one.

        Raises:     WrongKey: (sender: the decryptor).  KeyInReach: they hold a secret key.
        """

    def check_ciphertext(self, data: bytes | memoryview, *, words: int, sender: int) -> None:
        """Refuse bytes that are not a ciphertext of these parameters; raises a `PeerProtocolError`."""

    def encrypt(self, words: Words, public_key: bytes) -> bytes:
        """Encrypt words below t, shape (m,), under a key that `check_public_key` took."""

    def new_key(self, words: int) -> RoundSecret:
        """A fresh key pair, and an empty sum of vectors of so many words."""
