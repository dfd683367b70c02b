# SPDX-License-Identifier: Apache-2.0
"""Where randomness comes from. Keys, masks and noise use the operating system; `--seed` never reaches them."""

from __future__ import annotations

import hashlib
import os

from fedmeta_crypto import Entropy, Keystream


def site_entropy(label: str, *, seed: int, insecure_reproducible: bool) -> Entropy:
    """Entropy of one party: the operating system's, or a labelled stream from the seed for tests and classrooms.

    A run with the second kind has no guarantee: whoever knows the seed knows every mask and all noise.

    Example:
        >>> a = site_entropy("server", seed=1, insecure_reproducible=True)
        >>> b = site_entropy("server", seed=1, insecure_reproducible=True)
        >>> a(4) == b(4) and a(4) == b(4)
        True
    """
    if not insecure_reproducible:
        return os.urandom
    key = hashlib.sha256(b"sfm-insecure-entropy/1" + seed.to_bytes(8, "little") + label.encode()).digest()
    return Keystream(key[:16]).bytes


def role_key(site: str, seed: int) -> bytes:
    """Key of the hash that splits a simulated site's records into roles; a real site draws its own once."""
    return hashlib.sha256(b"sfm-role-key/1" + seed.to_bytes(8, "little") + site.encode()).digest()


def noise_key(entropy: Entropy) -> tuple[bytes, bytes]:
    """A fresh key (16 bytes) for one round's noise, and a commitment (32 bytes) to what it was made of.

    Equal commitments in a ledger show that noise was drawn twice from one seed: a machine that was rolled back or
    cloned, or a seeded generator. The commitment needs no salt, which would hide just that: it is a digest of 32
    uniformly random bytes, so that finding them takes 2^256 guesses, and the key is another digest of them. It binds
    honest sites' accidents only; a site that lies may commit to anything.

    Example:
        >>> key, commitment = noise_key(lambda n: bytes(n))
        >>> len(key), len(commitment), noise_key(lambda n: bytes(n)) == (key, commitment)
        (16, 32, True)
    """
    seed = entropy(32)
    key = hashlib.sha256(b"sfm-noise-key/1" + seed).digest()[:16]
    return key, hashlib.sha256(b"sfm-noise-commitment/1" + seed).digest()
