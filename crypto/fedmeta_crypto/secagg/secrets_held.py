# SPDX-License-Identifier: Apache-2.0
"""The secrets one client holds during a round, each dropped as soon as the round allows.

Guarantee:  buffers that this class owns are overwritten when dropped. Copies that the interpreter or
            a library made on the way (bytes passed to HKDF or AES) are released, not overwritten.
"""

from fedmeta_crypto.keys import (
    KeyPair,
    commitment,
    fresh_secret,
    pair_mask_key,
    self_mask_key,
    surplus_commitment,
)
from fedmeta_crypto.messages import KeyAdvertisement
from fedmeta_crypto.prg import Entropy


class HeldSecrets:
    """Everything a client must never show, in one place that can be wiped."""

    __slots__ = (
        "cipher_pair",
        "mask_keys_minus",
        "mask_keys_plus",
        "mask_pair",
        "mask_secret",
        "opening_keys",
        "seed",
        "shares",
        "surplus",
    )

    def __init__(self, entropy: Entropy, surplus: int = 0) -> None:
        cipher_secret = fresh_secret(entropy)
        self.cipher_pair: KeyPair | None = KeyPair(cipher_secret)
        zero(cipher_secret)
        self.mask_secret = fresh_secret(entropy)
        self.mask_pair: KeyPair | None = KeyPair(self.mask_secret)
        self.seed = fresh_secret(entropy)
        self.surplus = [fresh_secret(entropy) for _ in range(surplus)]
        self.opening_keys: dict[int, bytearray] = {}
        self.mask_keys_plus: list[bytearray] = []
        self.mask_keys_minus: list[bytearray] = []
        self.shares: dict[int, tuple[bytes, ...]] = {}

    def __repr__(self) -> str:
        return "HeldSecrets(...)"

    def advertisement(self, session: bytes) -> KeyAdvertisement:
        """The public half; only before anything was dropped."""
        if self.cipher_pair is None or self.mask_pair is None:
            raise RuntimeError("keys were dropped already")
        return KeyAdvertisement(self.cipher_pair.public, self.mask_pair.public, commitment(self.seed, session=session))

    def surplus_commitments(self, session: bytes) -> tuple[bytes, ...]:
        """To each surplus secret, in order."""
        return tuple(surplus_commitment(i, secret, session=session) for i, secret in enumerate(self.surplus, start=1))

    def derive_mask_keys(self, me: int, peers: dict[int, bytes], *, session: bytes, behaviour_hash: bytes) -> None:
        """Agree one mask key per peer, and my own; the smaller id of a pair adds, the larger subtracts."""
        pair = self.mask_pair
        if pair is None:
            raise RuntimeError("keys were dropped already")
        plus = [bytearray(self_mask_key(self.seed, session=session))]
        minus: list[bytearray] = []
        for peer, public in peers.items():
            key = pair_mask_key(
                pair.agree(public, peer=peer),
                session=session,
                behaviour_hash=behaviour_hash,
                publics=(pair.public, public),
            )
            (plus if me < peer else minus).append(bytearray(key))
        self.mask_keys_plus, self.mask_keys_minus = plus, minus

    def drop_after_sharing(self) -> None:
        """The cipher key has agreed its envelopes; the mask secret is dealt."""
        self.cipher_pair = None
        zero(self.mask_secret)

    def drop_after_agreeing(self) -> None:
        """Mask keys are agreed, boxes opened, and the application has its surplus secrets."""
        self.mask_pair = None
        zero(self.seed, *self.opening_keys.values(), *self.surplus)
        self.opening_keys, self.surplus = {}, []

    def drop_after_masking(self) -> None:
        """The vector is masked."""
        zero(*self.mask_keys_plus, *self.mask_keys_minus)
        self.mask_keys_plus, self.mask_keys_minus = [], []

    def wipe(self) -> None:
        """Drop everything, in any state."""
        self.drop_after_sharing()
        self.drop_after_agreeing()
        self.drop_after_masking()
        self.shares = {}


def zero(*buffers: bytearray) -> None:
    """Overwrite buffers in place."""
    for buffer in buffers:
        buffer[:] = bytes(len(buffer))
