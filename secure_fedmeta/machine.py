# SPDX-License-Identifier: Apache-2.0
"""The doctor's checks of memory, cores and the folder that runs are written to; and all checks in order."""

from __future__ import annotations

import os
import shutil
import stat
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from . import doctor
from .doctor import Check, State

_GIB = 1 << 30
LEAST_MEMORY, ENOUGH_MEMORY = _GIB // 2, 3 * _GIB  # the pilot takes half of one; the child of TenSEAL may take two
LEAST_SPACE, ENOUGH_SPACE = 50 << 20, _GIB
_CGROUP = Path("/sys/fs/cgroup")


def cores(count: int | None = None) -> Check:
    """Processors that this process may use."""
    if count is None:
        count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if count < 2:
        return Check("cores", State.NOTE, f"{count}", "expect slow rounds: sites take turns")
    return Check("cores", State.OK, f"{count}")


def available_memory(meminfo: Path = Path("/proc/meminfo"), group: Path = _CGROUP) -> int | None:
    """Bytes that can be had, within the limit of this process's group; None where the system does not say."""
    found = None
    try:
        lines = dict(line.split(":", 1) for line in meminfo.read_text().splitlines() if ":" in line)
        found = int(lines["MemAvailable"].split()[0]) * 1024
        limit, used = ((group / name).read_text().strip() for name in ("memory.max", "memory.current"))
        return found if limit == "max" else min(found, max(0, int(limit) - int(used)))
    except (OSError, KeyError, ValueError, IndexError):
        return found


def memory(free: int | None) -> Check:
    """Memory that a run can get."""
    if free is None:
        return Check("memory", State.NOTE, "the system does not say how much", "see that 3 GiB are free")
    shown = f"{free / _GIB:.1f} GiB can be had"
    if free < LEAST_MEMORY:
        return Check("memory", State.FAULT, shown, "free memory: a run takes half a GiB, TenSEAL up to two more")
    if free < ENOUGH_MEMORY:
        return Check("memory", State.NOTE, shown, "enough for masks; aggregation bfv may need 3 GiB")
    return Check("memory", State.OK, shown)


def folder(path: Path, *, space: Callable[[Path], int] | None = None) -> Check:
    """Whether files can be written there, durably, with mode 0600 (keys need it), and how much room there is.

    A folder that is not there yet stands for the nearest one above it that is. Nothing is left behind.
    """
    name, place = "folder", path.absolute()
    while not place.exists() and place != place.parent:
        place = place.parent
    try:
        with tempfile.NamedTemporaryFile(dir=place, prefix=".secure-fedmeta-") as file:
            file.write(b"probe")
            file.flush()
            os.fsync(file.fileno())
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
    except OSError as error:
        return Check(name, State.FAULT, f"{place}: cannot write: {error.strerror}", "choose another folder with --out")
    if mode & 0o077:
        return Check(name, State.FAULT, f"{place}: others may read new files", "keys need a file system with modes")
    free = space(place) if space is not None else shutil.disk_usage(place).free
    shown = f"{place}: writable, {free / _GIB:.1f} GiB free"
    if free < LEAST_SPACE:
        return Check(name, State.FAULT, shown, "make room: a journal that cannot be written stops the run")
    if free < ENOUGH_SPACE:
        return Check(name, State.NOTE, shown, "make room for longer runs")
    return Check(name, State.OK, shown)


def examine(out: Path) -> Iterator[Check]:
    """All checks of this machine, in order; quick ones first."""
    yield doctor.python()
    for name in doctor.TESTED:
        yield doctor.dependency(name)
    yield cores()
    yield memory(available_memory())
    yield folder(out)
    yield doctor.clock()
    yield doctor.texts()
    yield doctor.terminal(shutil.get_terminal_size().columns, is_one=sys.stdout.isatty())
    yield doctor.entropy()
    yield doctor.keystream()
    yield doctor.torch_build()
    yield doctor.tenseal()
