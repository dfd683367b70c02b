# SPDX-License-Identifier: Apache-2.0
"""The parent's side of the child process: whatever the native library does, this process lives and names an error."""

import contextlib
import os
import subprocess
import sys
import threading

from fedmeta_crypto.homomorphic.errors import NativeProcessDied, NativeRefusal
from fedmeta_crypto.homomorphic.seal.frames import read_frame, write_frame

DEFAULT_MEMORY = 2 << 30
DEFAULT_SECONDS = 120.0
_MODULE = "fedmeta_crypto.homomorphic.seal.child"

# What the library says, and what it means; its own words follow in brackets.
_MEANINGS = (
    ("encryption parameters are not set correctly", "the parameters are below 128 bits, or of another SEAL"),
    ("keyswitching is not supported", "the parameters lack a special prime: give at least two primes"),
    ("scale out of bounds", "the scale does not fit the primes: use a smaller scale or more bits"),
    ("not valid for encryption parameters", "the coefficients are not of these parameters"),
    ("transparent", "the sum does not depend on the key: some upload was crafted"),
    ("bad_alloc", "memory ran out: raise the process' limit"),
    ("MemoryError", "memory ran out: raise the process' limit"),
)


def meaning(text: str) -> str:
    """What the library's message says that the user must change.

    Example:
        >>> meaning("ValueError: scale out of bounds")
        'the scale does not fit the primes: use a smaller scale or more bits [ValueError: scale out of bounds]'
    """
    for part, told in _MEANINGS:
        if part in text:
            return f"{told} [{text}]"
    return f"the library refused [{text}]"


class NativeProcess:
    """One child, for one owner.  It holds what keys it makes; no method gives one out.

    Args:       scheme: "bfv" or "ckks".  memory: bytes of address space.
                seconds: of processor time, and of each answer's wait.
    """

    def __init__(self, *, scheme: str = "bfv", memory: int = DEFAULT_MEMORY, seconds: float = DEFAULT_SECONDS) -> None:
        self._seconds = seconds
        paths = os.pathsep.join(path for path in sys.path if path)
        self._child = subprocess.Popen(  # noqa: S603 - this interpreter, this package's own module
            [sys.executable, "-P", "-m", _MODULE, str(memory), str(max(1, int(seconds))), scheme],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=os.environ | {"PYTHONPATH": paths, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
        )

    def __repr__(self) -> str:
        return f"NativeProcess(alive={self._child.poll() is None})"

    def __reduce__(self) -> tuple[object, ...]:
        raise TypeError("a process with a key cannot be copied or pickled")

    def ask(self, kind: bytes, *parts: bytes, answer: int) -> bytes:
        """Send one request and return its answer of exactly `answer` bytes.

        Raises:     NativeProcessDied: the child crashed, met a limit, was too slow, or answered out of form.
                    NativeRefusal: the library raised.
        """
        if self._child.stdin is None or self._child.stdout is None:
            raise NativeProcessDied("its pipes are gone", where="native process")
        timer = threading.Timer(self._seconds, self._child.kill)
        timer.daemon = True
        timer.start()
        try:
            write_frame(self._child.stdin, kind, *parts)
            status, data = read_frame(self._child.stdout, limit=max(answer, 512))
        except (EOFError, OSError, ValueError):
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._child.wait(1)
            self.end()
            raise NativeProcessDied(f"it ended with status {self._child.returncode}", where="native process") from None
        finally:
            timer.cancel()
        if status == b"!":
            raise NativeRefusal(meaning(data.decode(errors="replace")), where="native process")
        if status != b"." or len(data) != answer:
            self.end()
            raise NativeProcessDied("it answered out of form", where="native process")
        return data

    def end(self) -> None:
        """Kill the child, and with it all keys it holds."""
        self._child.kill()
        self._child.wait()
        for pipe in (self._child.stdin, self._child.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()

    def __del__(self) -> None:
        if hasattr(self, "_child") and self._child.poll() is None:
            self.end()
