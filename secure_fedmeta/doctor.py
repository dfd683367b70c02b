# SPDX-License-Identifier: Apache-2.0
"""Whether this machine can run what the plan promises: small checks, each with what it found and what to do.

A check gets what it looks at as arguments, with the machine's own as defaults. None opens a connection, and none leaves
a file behind. Heavy libraries are loaded in processes of their own, so that one that crashes is a line and no crash.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

# name: (least version, as in pyproject.toml; version with which this release was tested)
TESTED: dict[str, tuple[str, str]] = {
    "torch": ("2.4", "2.13.0"),
    "opacus": ("1.5.3", "1.6.0"),
    "tenseal": ("0.3.18", "0.3.18"),
    "cryptography": ("46", "50.0.2"),
    "numpy": ("1.26", "2.4.6"),
    "scipy": ("1.11", "1.17.1"),
    "dp-accounting": ("0.5", "0.6.0"),
    "scikit-learn": ("1.4", "1.9.1"),
    "typer": ("0.20", "0.29.2"),
    "rich": ("14", "15.0.0"),
    "pydantic": ("2.9", "2.14.4"),
    "jinja2": ("3.1", "3.1.6"),
    "matplotlib": ("3.9", "3.11.2"),
    "safetensors": ("0.5", "0.8.0"),
}
LEAST_PYTHON, TESTED_PYTHON = (3, 11), (3, 11)
_KNOWN_STREAM = "0388dace60b6a392f328c2b971b2fe78"  # AES-128 of block 2 under the zero key
_PROBE_BYTES = 1 << 23
_SLOW = 300e6  # bytes a second: software AES stays below, AES instructions reach thousands
_SECONDS = 120.0


class State(Enum):
    """How a check ended; a fault makes the exit status 1, a note does not."""

    OK = "ok"
    NOTE = "note"
    FAULT = "fault"


@dataclass(frozen=True, slots=True)
class Check:
    """One line: what was looked at, what was found, what to do about it (empty where nothing is to be done).

    Example:
        >>> python((3, 10, 2)).state.value, python((3, 11, 7)).state.value
        ('fault', 'ok')
    """

    name: str
    state: State
    what: str
    remedy: str = ""

    def as_json(self) -> dict[str, str]:
        """All of it, flat."""
        return {"check": self.name, "state": self.state.value, "what": self.what, "remedy": self.remedy}


def numbers(version: str) -> tuple[int, ...]:
    """The numbers at the start of a version.

    Example:
        >>> numbers("2.13.0+cpu"), numbers("1.10") > numbers("1.9.1")
        ((2, 13, 0), True)
    """
    found = re.match(r"\d+(?:\.\d+)*", version)
    return tuple(int(part) for part in found[0].split(".")) if found else ()


def python(version: tuple[int, ...] = tuple(sys.version_info[:3])) -> Check:
    """The interpreter against the least and the tested version."""
    shown = ".".join(str(part) for part in version)
    if version[:2] < LEAST_PYTHON:
        return Check("python", State.FAULT, shown, "use Python 3.11 or newer")
    if version[:2] > TESTED_PYTHON:
        return Check("python", State.NOTE, f"{shown}, newer than the tested 3.11", "run the tests once: make test")
    return Check("python", State.OK, shown)


def dependency(name: str, version: Callable[[str], str] = metadata.version) -> Check:
    """One library against the least and the tested version."""
    least, tested = TESTED[name]
    try:
        found = version(name)
    except metadata.PackageNotFoundError:
        return Check(name, State.FAULT, "not installed", f'pip install "{name}>={least}"')
    if numbers(found) < numbers(least):
        return Check(name, State.FAULT, f"{found}, older than {least}", f'pip install "{name}>={least}"')
    if numbers(found) > numbers(tested):
        return Check(name, State.NOTE, f"{found}, newer than the tested {tested}", "run the tests once: make test")
    return Check(name, State.OK, found)


def torch_build(
    root: Path | None = None, *, command: tuple[str, ...] = (sys.executable, "-c", "import torch")
) -> Check:
    """Whether torch loads, in a process of its own, and is a build for CPUs (its file `version.py` says so)."""
    name = "torch build"
    if root is None:
        spec = find_spec("torch")
        root = Path(spec.origin).parent if spec is not None and spec.origin else Path()
    try:
        said = (root / "version.py").read_text(encoding="utf-8")
    except OSError:
        return Check(name, State.FAULT, "torch is not installed", "pip install -c constraints.txt torch")
    problem = _ends_well(command)
    if problem:
        return Check(name, State.FAULT, f"import torch fails: {problem}", "install torch again: pip install -I torch")
    if re.search(r"^(?:cuda|hip)\b[^=\n]*=\s*['\"]", said, re.MULTILINE):
        return Check(name, State.NOTE, "a GPU build; runs use the CPU", "a CPU build is smaller: make TORCH_INDEX=...")
    return Check(name, State.OK, "a CPU build")


def _ends_well(command: tuple[str, ...]) -> str:
    """Why a process did not; empty if it did."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, check=False)  # noqa: S603 - own interpreter
    except (OSError, subprocess.TimeoutExpired) as error:
        return type(error).__name__
    last = done.stderr.strip().splitlines()[-1:] or [f"status {done.returncode}"]
    return last[0][:200] if done.returncode else ""


def _keystream(n: int) -> bytes:
    from fedmeta_crypto import Keystream

    return Keystream(bytes(16)).bytes(n)


def has_aes(processor: Path = Path("/proc/cpuinfo")) -> bool | None:
    """Whether the processor lists AES instructions; None where the system has no such list."""
    try:
        words = set(processor.read_text(encoding="utf-8", errors="replace").split())
    except OSError:
        return None
    return "aes" in words


def keystream(
    stream: Callable[[int], bytes] = _keystream,
    timer: Callable[[], float] = time.perf_counter,
    aes: Callable[[], bool | None] = has_aes,
) -> Check:
    """AES in counter mode, of which masks and noise are made: a known block, and the best speed of 3 x 8 MiB."""
    if stream(16).hex() != _KNOWN_STREAM:
        return Check("keystream", State.FAULT, "wrong bytes for a known key", "install cryptography again")
    taken = []
    for _ in range(3):
        begun = timer()
        stream(_PROBE_BYTES)
        taken.append(timer() - begun)
    speed = _PROBE_BYTES / max(min(taken), 1e-9)
    shown = f"{speed / 1e6:.0f} MB a second"
    if aes() is False:
        return Check(
            "keystream", State.NOTE, f"{shown}: no AES instructions", "expect slower rounds, or another machine"
        )
    if speed < _SLOW:
        return Check("keystream", State.NOTE, f"{shown}: the machine is busy or slow", "expect slower rounds")
    return Check("keystream", State.OK, shown)


def _kernel_bytes(n: int) -> bytes:
    """From the kernel, and only if its pool is seeded."""
    if hasattr(os, "getrandom"):
        return os.getrandom(n, os.GRND_NONBLOCK)
    return os.urandom(n)


def entropy(source: Callable[[int], bytes] = _kernel_bytes) -> Check:
    """Whether the system's generator is seeded and answers anew. What it is worth cannot be seen from outside."""
    remedy = "repair the system's random generator before any run: every guarantee rests on it"
    try:
        first, second = source(32), source(32)
    except (OSError, NotImplementedError) as error:  # a pool that is not seeded would block: an OSError too
        return Check("entropy", State.FAULT, f"the system gives no random bytes ({type(error).__name__})", remedy)
    if len(first) != 32 or first == second or len(set(first)) < 8:
        return Check("entropy", State.FAULT, "the system's random bytes repeat", remedy)
    return Check("entropy", State.OK, "the system's generator is seeded")


def _native_key() -> None:
    from fedmeta_crypto.homomorphic.seal.cipher import TensealBfv

    cipher = TensealBfv(seconds=_SECONDS)
    secret = cipher.new_key(1)
    try:
        cipher.check_public_key(secret.public_key)
    finally:
        secret.wipe()


def tenseal(make_key: Callable[[], None] = _native_key) -> Check:
    """Whether TenSEAL loads in its child process, within its limits, and makes a key of the right form there."""
    try:
        make_key()
    except Exception as error:  # noqa: BLE001 - whatever a native library does is a line here, and the next is looked at
        said = (str(error).splitlines() or [""])[0] or type(error).__name__  # a MemoryError has no words
        remedy = "aggregation mask, rlwe32 and rlwe64 work without it; else install tenseal again, or free memory"
        return Check("tenseal process", State.FAULT, said[:200], remedy)
    return Check("tenseal process", State.OK, "loads, and makes a key")


def clock(now: float | None = None, newest: float | None = None) -> Check:
    """Whether the clock is not before the package's own files: certificates and documents carry dates."""
    now = time.time() if now is None else now
    if newest is None:
        newest = Path(__file__).stat().st_mtime
    if now < newest - 86400:
        return Check("clock", State.NOTE, "behind the date of this package's own files", "set the clock")
    if now > newest + 20 * 365 * 86400:
        return Check("clock", State.NOTE, "twenty years after this package's own files", "set the clock")
    return Check("clock", State.OK, time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(now)))


def texts(encoding: str | None = None, files: str | None = None) -> Check:
    """Whether output and file names are UTF-8: names of sites may hold any letter."""
    encoding = encoding or getattr(sys.stdout, "encoding", None) or "unknown"
    files = files or sys.getfilesystemencoding()
    if any(one.lower().replace("-", "") != "utf8" for one in (encoding, files)):
        return Check(
            "text", State.NOTE, f"output {encoding}, file names {files}", "set PYTHONUTF8=1, or a UTF-8 locale"
        )
    return Check("text", State.OK, "UTF-8")


def terminal(width: int, *, is_one: bool, environment: Mapping[str, str] = os.environ) -> Check:
    """Whether the table of rounds, 100 columns, fits."""
    if not is_one:
        return Check("terminal", State.OK, "none; lines are printed as they come")
    if environment.get("TERM") == "dumb":
        return Check("terminal", State.NOTE, "TERM is dumb: no live table", "set TERM, or use --format json")
    if width < 100:
        return Check("terminal", State.NOTE, f"{width} columns", "widen it to 100, so that no line of the table wraps")
    return Check("terminal", State.OK, f"{width} columns")
