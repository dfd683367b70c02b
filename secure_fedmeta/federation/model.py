# SPDX-License-Identifier: Apache-2.0
"""The model on the wire: a flat float64 vector, little-endian; with adaptive clipping the public norm C_t after it."""

from __future__ import annotations

import hashlib
import struct

import numpy as np
from numpy.typing import NDArray

from fedmeta_privacy.errors import UnsafeModel
from fedmeta_privacy.sensitivity import check_model


def model_to_bytes(theta: NDArray[np.float64]) -> bytes:
    """Shape (d,) to 8 d bytes.

    Example:
        >>> model_from_bytes(model_to_bytes(np.array([1.5, -2.0])), 2)
        array([ 1.5, -2. ])
    """
    return theta.astype("<f8").tobytes()


def model_from_bytes(body: bytes, dimension: int) -> NDArray[np.float64]:
    """Inverse of `model_to_bytes`; refuses a wrong length or an unsafe model.

    Raises:
        UnsafeModel: wrong length, non-finite or huge entries.
    """
    if len(body) != 8 * dimension:
        raise UnsafeModel(f"the model has {len(body)} bytes, not {8 * dimension}", "run the same plan on all parties")
    theta = np.frombuffer(body, dtype="<f8").astype(np.float64)
    check_model(theta)
    return theta


def announced_to_bytes(theta: NDArray[np.float64], clip_norm: float | None) -> bytes:
    """The body of an announcement: the model, and C_t if clipping is adaptive. It is bound into the masks.

    Example:
        >>> announced_from_bytes(announced_to_bytes(np.array([1.5]), 0.25), 1, adaptive=True)
        (array([1.5]), 0.25)
    """
    return model_to_bytes(theta) + (b"" if clip_norm is None else struct.pack("<d", clip_norm))


def announced_from_bytes(body: bytes, dimension: int, *, adaptive: bool) -> tuple[NDArray[np.float64], float | None]:
    """Inverse of `announced_to_bytes`. What C_t may be is for the caller to check.

    Raises:
        UnsafeModel: wrong length, non-finite or huge entries of the model.
    """
    if not adaptive:
        return model_from_bytes(body, dimension), None
    if len(body) != 8 * (dimension + 1):
        raise UnsafeModel(
            f"model and norm have {len(body)} bytes, not {8 * (dimension + 1)}", "run the same plan on all parties"
        )
    (clip_norm,) = struct.unpack("<d", body[-8:])
    return model_from_bytes(body[:-8], dimension), float(clip_norm)


def model_digest(theta: NDArray[np.float64]) -> str:
    """SHA-256 of the model on the wire, in hex."""
    return hashlib.sha256(model_to_bytes(theta)).hexdigest()
