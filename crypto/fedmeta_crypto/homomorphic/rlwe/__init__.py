# SPDX-License-Identifier: Apache-2.0
"""Threshold mode: one lattice ciphertext a client, and a key that only ever exists as the sum of all clients' keys.

    upload_i = a s_i + e_i + Delta m_i  mod 2^k        sum = a S + E + Delta M,   S = sum of s_i by masking

Research grade: own code, not audited by others. `presets` (parameters, who fits), `gaussian` (secrets and errors),
`product` (a s exactly, by FFT), `scheme` (encrypt and open), `client` and `server` (the round).
"""

from fedmeta_crypto.homomorphic.rlwe.client import EncryptingClient
from fedmeta_crypto.homomorphic.rlwe.presets import PRESETS, RlwePreset, RlweScheme, scheme_for
from fedmeta_crypto.homomorphic.rlwe.server import AddingServer

__all__ = ["PRESETS", "AddingServer", "EncryptingClient", "RlwePreset", "RlweScheme", "scheme_for"]
