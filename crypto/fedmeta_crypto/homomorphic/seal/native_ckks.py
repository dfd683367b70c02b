# SPDX-License-Identifier: Apache-2.0
"""TenSEAL's CKKS; stored forms, and who meets it where, as in `native`."""

import struct
from functools import cache
from typing import Any

import numpy as np
import tenseal as ts
from numpy.typing import NDArray

from fedmeta_crypto.homomorphic.seal import native
from fedmeta_crypto.homomorphic.seal.presets import CkksPreset
from fedmeta_crypto.modular import Words


def new_context(preset: CkksPreset) -> Any:
    """A context with a fresh key pair; its primes are the preset's."""
    bits = [preset.data_prime.bit_length(), preset.special_prime.bit_length()]
    context = ts.context(ts.SCHEME_TYPE.CKKS, preset.degree, coeff_mod_bit_sizes=bits)
    context.global_scale = 2.0**preset.scale_bits
    native.check_primes(context, preset)
    return context


@cache
def keyless_context(preset: CkksPreset) -> Any:
    """Parameters alone, made once, as `native.keyless_context`."""
    context = ts.context_from(new_context(preset).serialize(**native.SAVE_PARAMETERS))
    context.global_scale = 2.0**preset.scale_bits
    if context.has_secret_key() or context.has_public_key():
        raise RuntimeError("this TenSEAL keeps keys that were not to be saved")
    return context


def encrypt(context: Any, values: NDArray[np.float64], preset: CkksPreset) -> Words:
    """Fresh ciphertexts of finite values.  Shapes: (m,) to (chunks * 2 N,); the last chunk is filled up with zeros."""
    n, slots = preset.degree, preset.degree // 2
    padded = np.zeros(-(-values.size // slots) * slots)
    padded[: values.size] = values
    rows = [ts.ckks_vector(context, chunk.tolist()).ciphertext()[0] for chunk in padded.reshape(-1, slots)]
    return np.array([row[i] for row in rows for i in range(2 * n)], np.uint64)


def decrypt(context: Any, values: Words, count: int, preset: CkksPreset) -> NDArray[np.float64]:
    """The values, with CKKS' own error.  Shapes: (chunks * 2 N,) to (count,)."""
    n, scale = preset.degree, 2.0**preset.scale_bits
    parms_id, opened = list(context.seal_context().data.first_parms_id()), []
    for chunk in values.reshape(-1, 2 * n):
        data = native.stored(chunk, parms_id=parms_id, degree=n, primes=1, ntt=True, scale=scale)
        size = native.field(1, native.varint(n // 2))
        vector = ts.ckks_vector_from(context, size + native.field(2, data) + b"\x19" + struct.pack("<d", scale))
        opened.append(vector.decrypt())
    return np.concatenate(opened)[:count]
