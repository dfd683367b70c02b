# SPDX-License-Identifier: Apache-2.0
"""The model on the wire: a flat float64 vector, little-endian, nothing else."""

from __future__ import annotations

import hashlib

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


def model_digest(theta: NDArray[np.float64]) -> str:
    """SHA-256 of the model on the wire, in hex."""
    return hashlib.sha256(model_to_bytes(theta)).hexdigest()
