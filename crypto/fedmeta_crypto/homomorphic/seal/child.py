# SPDX-License-Identifier: Apache-2.0
"""`python -m fedmeta_crypto.homomorphic.seal.child`: the process that native code and the secret key live in.

Requests on standard input, answers on standard output: one byte, eight bytes of length (little-endian), the contents.

    K  ->  fresh key pair, which stays here; its public half's coefficients, 4 N uint64
    P  <-  a public key's checked coefficients; -> nothing
    E  <-  words, uint64; -> coefficients of their ciphertexts, uint64
    D  <-  number of words (8 bytes), checked coefficients of a sum; -> budget (8 bytes), words. Then the process ends.

An answer begins with `.`, or with `!` and then a text without contents of any message.
"""

import os
import resource
import struct
import sys
from typing import Any

import numpy as np

from fedmeta_crypto.homomorphic.seal import native, native_ckks
from fedmeta_crypto.homomorphic.seal.frames import read_frame, write_frame
from fedmeta_crypto.homomorphic.seal.presets import BFV_4096, CKKS_4096


class Engine:
    """The state of one child: its own key pair, or a peer's public key."""

    def __init__(self) -> None:
        self._own: Any = native.new_context(BFV_4096)
        self._public: Any = None

    def answer(self, kind: bytes, data: bytes) -> tuple[bytes, ...]:
        """What one request is answered with."""
        if kind == b"K":
            return (native.key_coefficients(self._own, BFV_4096).tobytes(),)
        if kind == b"P":
            self._public = native.public_context(self._own, np.frombuffer(data, np.uint64), BFV_4096)
            return ()
        if kind == b"E":
            return (native.encrypt(self._public, np.frombuffer(data, np.uint64), BFV_4096).tobytes(),)
        (count,) = struct.unpack_from("<Q", data)
        budget, words = native.decrypt(self._own, np.frombuffer(data, np.uint64, offset=8), count, BFV_4096)
        return struct.pack("<Q", budget), words.tobytes()


class CkksEngine:
    """The same for CKKS: values are float64, and D is answered by values alone."""

    def __init__(self) -> None:
        self._own: Any = native_ckks.new_context(CKKS_4096)
        self._public: Any = None

    def answer(self, kind: bytes, data: bytes) -> tuple[bytes, ...]:
        """What one request is answered with."""
        if kind == b"K":
            return (native.key_coefficients(self._own, CKKS_4096).tobytes(),)
        if kind == b"P":
            self._public = native.public_context(self._own, np.frombuffer(data, np.uint64), CKKS_4096)
            return ()
        if kind == b"E":
            return (native_ckks.encrypt(self._public, np.frombuffer(data), CKKS_4096).tobytes(),)
        (count,) = struct.unpack_from("<Q", data)
        values = np.frombuffer(data, np.uint64, offset=8)
        return (native_ckks.decrypt(self._own, values, count, CKKS_4096).tobytes(),)


def main() -> None:
    """Serve until the input ends, within the limits given: bytes of memory, seconds of processor time."""
    memory, seconds = map(int, sys.argv[1:3])
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    # A dump of memory would hold the key.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # What native code prints must not get between the answers.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    engine = CkksEngine() if sys.argv[3] == "ckks" else Engine()
    while True:
        try:
            kind, data = read_frame(sys.stdin.buffer)
        except EOFError:
            return
        try:
            parts = engine.answer(kind, data)
        except (ValueError, RuntimeError, TypeError, MemoryError) as error:
            write_frame(answers, b"!", f"{type(error).__name__}: {error}".encode()[:500])
            continue
        write_frame(answers, b".", *parts)
        if kind == b"D":
            return


if __name__ == "__main__":
    main()
