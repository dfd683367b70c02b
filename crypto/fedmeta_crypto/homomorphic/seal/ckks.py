# SPDX-License-Identifier: Apache-2.0
"""Sums of real vectors under CKKS, for comparison and teaching: no masks, and an inexact result.

It is no base for a claim of privacy towards the key holder (`RealSums.statement`).
"""

import struct
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedmeta_crypto.errors import OutOfRing, PeerProtocolError, PlanRefused
from fedmeta_crypto.homomorphic.errors import KeySpent, NativeRefusal, WrongKey
from fedmeta_crypto.homomorphic.seal.coefficients import checked, pack, packed_bytes
from fedmeta_crypto.homomorphic.seal.presets import CKKS_4096
from fedmeta_crypto.homomorphic.seal.process import DEFAULT_SECONDS, NativeProcess, meaning
from fedmeta_crypto.homomorphic.trust import TrustModel
from fedmeta_crypto.modular import Words
from fedmeta_crypto.wire import DECRYPTOR

Reals = NDArray[np.float64]
_N = CKKS_4096.degree
APPROXIMATE = (
    "A CKKS result carries noise that depends on the key: who is shown enough results can compute the key (Li and "
    "Micciancio, ePrint 2020/1533). Show results to the key holder only."
)


@dataclass(frozen=True, slots=True)
class OpenedReals:
    """The opened sum, shape (d,), and what no value of it is off by (`CkksPreset.error_bound`)."""

    values: Reals
    error_bound: float


@dataclass(frozen=True, slots=True)
class RealSums:
    """How many clients add vectors of d values of absolute value at most `largest`.

    Raises:     PlanRefused: a sum could wrap, or the trust model is one that masks or thresholds would have to keep.

    Example:
        >>> RealSums(clients=10, dimension=2048, largest=1.0).ciphertext_bytes
        61440
    """

    clients: int
    dimension: int
    largest: float
    trust: TrustModel = TrustModel.SPLIT
    seconds: float = DEFAULT_SECONDS

    def __post_init__(self) -> None:
        if self.trust not in (TrustModel.SPLIT, TrustModel.SHARED_KEY):
            raise PlanRefused(f"bare CKKS does not keep to the trust model {self.trust.value!r}", where="ckks")
        if self.clients < 1 or self.dimension < 1 or not 0 < self.largest * self.clients <= CKKS_4096.max_sum:
            most = CKKS_4096.max_sum
            raise PlanRefused(f"sums of {self.clients} values up to {self.largest} exceed {most:.0f}", where="ckks")

    @property
    def statement(self) -> str:
        """Who could read what, for reports."""
        return f"{self.trust.who_could_read} {APPROXIMATE}"

    @property
    def coefficients(self) -> int:
        """Coefficients of a ciphertext."""
        return -(-2 * self.dimension // _N) * 2 * _N

    @property
    def ciphertext_bytes(self) -> int:
        """Bytes of a ciphertext."""
        return packed_bytes(self.coefficients)

    def read(self, data: bytes | memoryview, *, sender: int) -> Words:
        """The checked coefficients of a ciphertext.  Raises: Truncated, Oversized, BadMessage."""
        return checked(data, count=self.coefficients, modulus=CKKS_4096.data_prime, sender=sender, where="ciphertext")

    def encrypt(self, values: Reals, public_key: bytes) -> bytes:
        """Encrypt d values under a public key.

        Raises:     OutOfRing: another shape, a value that is no finite number, or one beyond `largest`.  WrongKey,
                    NativeRefusal.
        """
        if values.shape != (self.dimension,) or not np.isfinite(values).all():
            raise OutOfRing(f"not {self.dimension} finite values (NaN or infinity, or another shape)", where="encrypt")
        if float(np.abs(values).max()) > self.largest:
            raise OutOfRing(f"a value is beyond {self.largest}: clip first", where="encrypt")
        try:
            most = max(CKKS_4096.data_prime, CKKS_4096.special_prime)
            key = checked(public_key, count=4 * _N, modulus=most, sender=DECRYPTOR, where="public key")
        except PeerProtocolError as error:
            raise WrongKey(error.what, sender=DECRYPTOR, where="public key") from None
        rows = key.reshape(2, 2, _N)
        if int(rows[:, 0].max()) >= CKKS_4096.data_prime or int(rows[:, 1].max()) >= CKKS_4096.special_prime:
            raise WrongKey("a coefficient is not below its prime", sender=DECRYPTOR, where="public key")
        from fedmeta_crypto.homomorphic.seal import native, native_ckks

        try:  # in this process: what is encrypted is its own, and the key's coefficients were checked one by one
            context = native.public_context(native_ckks.keyless_context(CKKS_4096), key, CKKS_4096)
            return pack(native_ckks.encrypt(context, values.astype(np.float64), CKKS_4096))
        except (ValueError, RuntimeError, TypeError) as error:
            raise NativeRefusal(meaning(f"{type(error).__name__}: {error}"), where="encrypt") from None


class CkksSecret:
    """One secret key, which never leaves its child process, and the running sum of ciphertexts under it."""

    def __init__(self, sums: RealSums) -> None:
        self._sums, self._added = sums, 0
        self._total = np.zeros(sums.coefficients, np.uint64)
        self._native: NativeProcess | None = NativeProcess(scheme="ckks", seconds=sums.seconds)
        self.public_key = pack(np.frombuffer(self._native.ask(b"K", answer=32 * _N), np.uint64))

    def __repr__(self) -> str:
        return f"CkksSecret(added={self._added}, open={self._native is not None})"

    def __reduce__(self) -> tuple[object, ...]:
        raise TypeError("a secret cannot be copied or pickled")

    def add(self, ciphertext: bytes | memoryview, *, sender: int) -> None:
        """Add one client's ciphertext.  Raises: KeySpent; PlanRefused: more than `clients`; as `RealSums.read`."""
        if self._native is None:
            raise KeySpent("the sum is closed", where="add")
        values = self._sums.read(ciphertext, sender=sender)
        if self._added == self._sums.clients:
            raise PlanRefused("more ciphertexts than clients", where="add")
        self._total += values
        self._total -= (self._total >= np.uint64(CKKS_4096.data_prime)) * np.uint64(CKKS_4096.data_prime)
        self._added += 1

    def open_sum(self, total: Words, *, clients: int) -> OpenedReals:
        """Decrypt a sum that another party added, once: a decryptor that trusts its aggregator.

        Raises:     KeySpent; PlanRefused: ciphertexts were added here too; OutOfRing: not coefficients of a sum.
        """
        if self._added:
            raise PlanRefused("this secret has a sum of its own", where="open")
        if total.shape != self._total.shape or int(total.max()) >= CKKS_4096.data_prime:
            raise OutOfRing("not the coefficients of a sum", where="open")
        self._total, self._added = total.astype(np.uint64), clients
        return self.open()

    def open(self) -> OpenedReals:
        """Decrypt the sum, once, with its error; show it to nobody else.  Raises: KeySpent, NativeProcessDied, ..."""
        if self._native is None:
            raise KeySpent("the sum is closed", where="open")
        d = self._sums.dimension
        try:
            answer = self._native.ask(b"D", struct.pack("<Q", d), self._total.tobytes(), answer=8 * d)
        finally:
            self.wipe()
        error = CKKS_4096.error_bound(max(1, self._added), self._sums.largest)
        return OpenedReals(np.frombuffer(answer, np.float64).copy(), error)

    def wipe(self) -> None:
        """End the process that holds the key."""
        if self._native is not None:
            self._native.end()
            self._native = None
