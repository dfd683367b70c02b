# SPDX-License-Identifier: Apache-2.0
"""The word cipher of the masked split, on TenSEAL's BFV."""

import struct
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from fedmeta_crypto.errors import BadMessage, PeerProtocolError
from fedmeta_crypto.homomorphic.errors import KeySpent, NativeRefusal, NoiseSpent, WrongKey
from fedmeta_crypto.homomorphic.seal.coefficients import checked, pack, packed_bytes
from fedmeta_crypto.homomorphic.seal.presets import BFV_4096, BfvPreset
from fedmeta_crypto.homomorphic.seal.process import DEFAULT_MEMORY, DEFAULT_SECONDS, NativeProcess, meaning
from fedmeta_crypto.modular import Words, checked_words
from fedmeta_crypto.wire import DECRYPTOR

# Below this many chunks a second process costs more than it saves.
_CHUNKS_WORTH_A_WORKER = 32
_HALF = np.uint64(30)


@dataclass(frozen=True, slots=True)
class TensealBfv:
    """BFV with batching: N words modulo t to a ciphertext of 2 N coefficients of 60 bits, 15 bytes to a word.

    A public key on the wire is 3 N numbers of 60 bits: two polynomials modulo q, then their residues modulo the
    special prime, two to a number. There is no place in it for a secret key.

    Guarantee:  confidentiality of BFV, under `presets.SECURITY`, against all but the decryptor; none of integrity:
                who sent which bytes is settled by the masked input's signature.
    Args:       workers: processes that encrypt side by side.  memory, seconds: limits of each.
    """

    workers: int = 1
    memory: int = DEFAULT_MEMORY
    seconds: float = DEFAULT_SECONDS

    @property
    def preset(self) -> BfvPreset:
        """The parameters; the child process knows no others."""
        return BFV_4096

    @property
    def modulus(self) -> int:
        """The plaintext modulus t, a prime."""
        return self.preset.plain_modulus

    @property
    def digest(self) -> bytes:
        """32 bytes that name the parameters and the form of keys and ciphertexts."""
        return self.preset.digest

    @property
    def max_clients(self) -> int:
        """The most honest ciphertexts whose sum decrypts rightly (`BfvPreset.max_clients`)."""
        return self.preset.max_clients

    @property
    def public_key_bytes(self) -> int:
        """The bytes of a public key."""
        return packed_bytes(3 * self.preset.degree)

    def coefficients(self, words: int) -> int:
        """Coefficients of a ciphertext of so many words."""
        return -(-words // self.preset.degree) * 2 * self.preset.degree

    def ciphertext_bytes(self, words: int) -> int:
        """The bytes of a ciphertext of so many words.

        Example:
            >>> TensealBfv().ciphertext_bytes(500_000) / 1_000_000  # two values to a word
            7.55712
        """
        return packed_bytes(self.coefficients(words))

    def check_public_key(self, data: bytes) -> None:
        """Refuse bytes that are not two polynomials of these parameters.  Raises: WrongKey (sender: the decryptor)."""
        self._key(data)

    def _key(self, data: bytes) -> Words:
        n, preset = self.preset.degree, self.preset
        try:
            values = checked(data, count=3 * n, modulus=1 << 60, sender=DECRYPTOR, where="public key")
        except PeerProtocolError as error:
            raise WrongKey(error.what, sender=DECRYPTOR, where="public key") from None
        wide, pairs = values[: 2 * n].reshape(2, n), values[2 * n :]
        low, high = pairs & np.uint64((1 << 30) - 1), pairs >> _HALF
        narrow = np.stack((low, high), axis=1).reshape(2, n)
        if int(wide.max()) >= preset.data_prime or int(narrow.max()) >= preset.special_prime:
            raise WrongKey("a coefficient is not below its prime", sender=DECRYPTOR, where="public key")
        if not (wide.any(axis=1) & narrow.any(axis=1)).all():
            raise WrongKey("a polynomial is zero", sender=DECRYPTOR, where="public key")
        return np.concatenate((wide[0], narrow[0], wide[1], narrow[1]))

    def check_ciphertext(self, data: bytes | memoryview, *, words: int, sender: int) -> None:
        """Refuse bytes that are not a ciphertext of these parameters.

        Raises:     Truncated, Oversized, BadMessage.
        """
        self.read(data, words=words, sender=sender)

    def read(self, data: bytes | memoryview, *, words: int, sender: int) -> Words:
        """The coefficients of a ciphertext.  Shape: (chunks * 2 N,).  Raises as `check_ciphertext`."""
        count, modulus = self.coefficients(words), self.preset.data_prime
        values = checked(data, count=count, modulus=modulus, sender=sender, where="ciphertext")
        if not values.reshape(-1, self.preset.degree)[1::2].any(axis=1).all():
            raise BadMessage("a ciphertext that shows its words to all", sender=sender, where="ciphertext")
        return values

    def encrypt(self, words: Words, public_key: bytes) -> bytes:
        """Encrypt words below t, shape (m,), under a public key; the order of words is kept whatever the workers.

        Raises:     WrongKey, NativeRefusal, NativeProcessDied; OutOfRing: a word is not below t.
        """
        words = checked_words(words, modulus=self.modulus, length=words.size)
        key = self._key(public_key)
        n = self.preset.degree
        chunks = -(-words.size // n)
        workers = max(1, min(self.workers, chunks // _CHUNKS_WORTH_A_WORKER))
        if workers == 1:
            return self._here(words, key)
        step = -(-chunks // workers) * n
        with ThreadPoolExecutor(workers) as pool:
            shares = pool.map(lambda at: self._share(words[at : at + step], key), range(0, words.size, step))
            return b"".join(shares)

    def _here(self, words: Words, key: Words) -> bytes:
        """In this process: what is encrypted is its own, and the key's coefficients were checked one by one."""
        from fedmeta_crypto.homomorphic.seal import native

        try:
            context = native.public_context(native.keyless_context(self.preset), key, self.preset)
            return pack(native.encrypt(context, words, self.preset))
        except (ValueError, RuntimeError, TypeError) as error:
            raise NativeRefusal(meaning(f"{type(error).__name__}: {error}"), where="encrypt") from None

    def _share(self, words: Words, key: Words) -> bytes:
        native = NativeProcess(memory=self.memory, seconds=self.seconds)
        try:
            native.ask(b"P", key.tobytes(), answer=0)
            answer = native.ask(b"E", words.tobytes(), answer=8 * self.coefficients(words.size))
        finally:
            native.end()
        return pack(np.frombuffer(answer, np.uint64))

    def new_key(self, words: int) -> "BfvSecret":
        """A fresh key pair, and an empty sum of vectors of so many words."""
        return BfvSecret(self, words)


class BfvSecret:
    """One secret key, which never leaves its child process, and the running sum of ciphertexts under it."""

    def __init__(self, cipher: TensealBfv, words: int) -> None:
        self._cipher, self._words = cipher, words
        self._total = np.zeros(cipher.coefficients(words), np.uint64)
        self._native: NativeProcess | None = NativeProcess(memory=cipher.memory, seconds=cipher.seconds)
        n = cipher.preset.degree
        key = np.frombuffer(self._native.ask(b"K", answer=32 * n), np.uint64).reshape(2, 2, n)
        narrow = key[:, 1].reshape(-1)
        self._public_key = pack(np.concatenate((key[:, 0].reshape(-1), narrow[0::2] | (narrow[1::2] << _HALF))))

    def __repr__(self) -> str:
        return f"BfvSecret(words={self._words}, open={self._native is not None})"

    def __reduce__(self) -> tuple[object, ...]:
        raise TypeError("a round's secret cannot be copied or pickled")

    @property
    def public_key(self) -> bytes:
        """The public half, in the form that `TensealBfv.check_public_key` takes."""
        return self._public_key

    def add(self, ciphertext: bytes | memoryview, *, sender: int = DECRYPTOR) -> None:
        """Check a ciphertext as `TensealBfv.check_ciphertext` does, then add it; the sum starts from our own zero."""
        if self._native is None:
            raise KeySpent("the sum is closed", where="add")
        self._total += self._cipher.read(ciphertext, words=self._words, sender=sender)
        self._total -= (self._total >= np.uint64(self._cipher.preset.data_prime)) * np.uint64(
            self._cipher.preset.data_prime
        )

    def open(self) -> Words:
        """Decrypt the sum, once: the words modulo t, shape (m,), uint64.  The key is gone afterwards.

        Raises:     NoiseSpent: no noise budget is left.  NativeRefusal, NativeProcessDied.  KeySpent: a second time.
        """
        if self._native is None:
            raise KeySpent("the sum is closed", where="open")
        try:
            answer = self._native.ask(
                b"D", struct.pack("<Q", self._words), self._total.tobytes(), answer=8 + 8 * self._words
            )
        finally:
            self.wipe()
        budget, words = struct.unpack_from("<Q", answer)[0], np.frombuffer(answer, np.uint64, offset=8)
        if budget < 1:
            raise NoiseSpent("the sum cannot be told from noise", where="open")
        return checked_words(words, modulus=self._cipher.modulus, length=self._words)

    def wipe(self) -> None:
        """End the process that holds the key, and forget the sum."""
        if self._native is not None:
            self._native.end()
            self._native = None
            self._total[:] = 0
