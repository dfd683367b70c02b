# SPDX-License-Identifier: Apache-2.0
"""A site in a process of its own, spoken to over its standard input and output.

The parent sends frames: a kind byte, a length (u32, little-endian), a body. `M` carries a protocol message, `A` asks
whether the filter affords a shift (8 bytes), `X` aborts the round; the end of input ends the site. The site answers
each with one frame: `S` the messages it sends (each with its length), `B` one byte, `E` the text of a numbered error.
No pickle crosses the pipe. The site reads its own records and its own signing key from its own folder, so they never
leave its process, and the allow-list from the run's folder.
"""

from __future__ import annotations

import io
import json
import os
import struct
import subprocess
import sys
import zipfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np

from fedmeta_crypto import SERVER, Outgoing, ProtocolError, Step
from fedmeta_privacy.errors import PrivacyError

from ..errors import FileError, ModelRefused, RemoteRefusal, StatementRefused, UserError
from ..plan import Plan
from ..schedule import Schedule, make_schedule
from ..tasks import Task
from .contribution import Data
from .identities import Credentials, entropy_of, own_identity, read_allow_list
from .simulation import LocalSite
from .storage import write_private

_HEAD = struct.Struct("<cI")
_LENGTH = struct.Struct("<I")
_SHIFT = struct.Struct("<d")
MAX_FRAME = 1 << 28


def _send(stream: IO[bytes], kind: bytes, body: bytes) -> None:
    stream.write(_HEAD.pack(kind, len(body)) + body)
    stream.flush()


def _receive(stream: IO[bytes]) -> tuple[bytes, bytes] | None:
    head = stream.read(_HEAD.size)
    if len(head) < _HEAD.size:
        return None
    kind, length = _HEAD.unpack(head)
    if length > MAX_FRAME:
        raise RemoteRefusal(f"a frame of {length} bytes was announced", "pipe", "restart the run")
    body = stream.read(length)
    return (kind, body) if len(body) == length else None


def enrol(folder: Path, client_id: int, schedule: Schedule) -> bytes:
    """Make the site's key in its own folder, if there is none, and return the public half for the allow-list."""
    return own_identity(folder, entropy_of(schedule, client_id)).public


def write_site(folder: Path, client_id: int, task: Task, schedule: Schedule, *, allow_list: Path | None = None) -> None:
    """Write what a site's process reads: its own records, and the plan that it makes its own schedule from.

    `allow_list` is where the process finds the public keys of all parties; signed rounds need it. How the site computes
    (`Performance`) is not written: closed forms, which is all that it takes, need no engine.

    Raises:
        ModelRefused: the schedule is a network's.
    """
    if schedule.architecture is not None:
        raise ModelRefused(
            "a site's process takes closed forms only: a network is code, and no code is written for it",
            "site",
            "give this site to `LocalSite`, or use mode bounded-glm without a model",
        )
    arrays = {name: getattr(task, name) for name in Task.__slots__}
    records = io.BytesIO()
    np.savez(records, allow_pickle=False, **arrays)
    write_private(folder / "records.npz", records.getvalue())
    settings = {
        "client_id": client_id,
        "clients": schedule.clients,
        "dimension": schedule.dimension,
        "codebook_hash": schedule.codebook_hash.hex(),
        "plan": schedule.plan.model_dump(),
        "allow_list": None if allow_list is None else str(allow_list.resolve()),
    }
    write_private(folder / "site.json", json.dumps(settings).encode())


@dataclass(frozen=True, slots=True)
class SiteParts:
    """What a site is made of: its client id, what reads its records, schedule and credentials."""

    number: int
    records: Callable[[], Data]
    schedule: Schedule
    credentials: Credentials | None


def open_site(folder: Path) -> LocalSite:
    """Make the site from its folder; raises as `read_site`, and `FileError` if another process holds it."""
    parts = read_site(folder)
    return LocalSite(parts.number, parts.records(), parts.schedule, folder, credentials=parts.credentials)


def read_site(folder: Path) -> SiteParts:
    """Read what `write_site` wrote.

    Raises:
        FileError: the folder does not hold a site.
        IdentityRefused: its key or the allow-list cannot be used.
    """
    try:
        settings = json.loads((folder / "site.json").read_text(encoding="utf-8"))
        with np.load(folder / "records.npz", allow_pickle=False) as arrays:
            task = Task(**{name: arrays[name].astype(np.float64) for name in Task.__slots__})
        schedule = make_schedule(
            Plan.make(settings["plan"]),
            clients=settings["clients"],
            dimension=settings["dimension"],
            codebook_hash=bytes.fromhex(settings["codebook_hash"]),
        )
        me, listed = settings["client_id"], settings["allow_list"]
        credentials = None
        if listed is not None:
            people = read_allow_list(Path(listed), range(1, schedule.clients + 1))
            credentials = Credentials(own_identity(folder, entropy_of(schedule, me)), people)
        return SiteParts(me, lambda: task, schedule, credentials)
    except PrivacyError:  # a ValueError too, and numbered already: an older journal was put back, or it is damaged
        raise
    except (OSError, EOFError, KeyError, TypeError, ValueError, zipfile.BadZipFile) as error:
        raise FileError(
            f"no site can be made of this folder ({type(error).__name__})", str(folder), "write it again"
        ) from None


class PipedSite:
    """The parent's end of a site process."""

    def __init__(self, folder: Path) -> None:
        """Start the process; it reads `folder` and keeps its budget there."""
        self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and module, no shell
            [sys.executable, "-m", "secure_fedmeta.federation.pipes", str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,  # Ctrl-C at the terminal is the parent's to handle
        )

    def _ask(self, kind: bytes, body: bytes) -> tuple[bytes, bytes]:
        if self._process.stdin is None or self._process.stdout is None:
            raise RemoteRefusal("the site's process has no pipe", "pipe", "restart the run")
        try:
            _send(self._process.stdin, kind, body)
            answer = _receive(self._process.stdout)
        except OSError:
            answer = None
        if answer is None:
            raise RemoteRefusal("the site's process is gone", "pipe", "restart the site; its charges are on its disk")
        if answer[0] == b"E":
            raise RemoteRefusal(answer[1].decode(errors="replace"), "at the site", "see the error's own remedy")
        return answer

    def receive(self, message: bytes) -> Step:
        """Carry one message there and the answers back."""
        kind, body = self._ask(b"M", message)
        if kind != b"S":
            raise RemoteRefusal("the site answered with something else", "pipe", "restart the site")
        send, at = [], 0
        while at < len(body):
            length = _LENGTH.unpack_from(body, at)[0] if at + _LENGTH.size <= len(body) else len(body)
            if at + _LENGTH.size + length > len(body):
                raise RemoteRefusal("the site's answer does not add up", "pipe", "restart the site")
            at += _LENGTH.size
            send.append(Outgoing(SERVER, body[at : at + length]))
            at += length
        return Step(send=tuple(send))

    def settle(self) -> None:
        """Nothing to wait for: the process answers only when its charge is on its disk."""

    def affords(self, shift: float) -> bool:
        """Ask the site's own filter; a site that is gone releases nothing and does not stop the others."""
        try:
            return self._ask(b"A", _SHIFT.pack(shift))[1] == b"\x01"
        except RemoteRefusal:
            return True

    def abort(self) -> None:
        """Make the site leave the round; one that is gone holds no secrets any more."""
        with suppress(RemoteRefusal):
            self._ask(b"X", b"")

    def close(self) -> None:
        """End the process and wait for it."""
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                with suppress(BrokenPipeError):  # what could not be sent to a dead process
                    stream.close()
        try:
            self._process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def serve(folder: Path, source: IO[bytes], sink: IO[bytes]) -> None:
    """Run one site until its input ends."""
    try:
        site = open_site(folder)
    except (PrivacyError, UserError) as error:  # whoever asks is told why there is no site
        while _receive(source) is not None:
            _send(sink, b"E", str(error).encode())
        return
    while True:
        try:
            frame = _receive(source)
        except RemoteRefusal as error:  # the parent lost count: there is no way to find the next frame
            _send(sink, b"E", str(error).encode())
            break
        if frame is None:
            break
        kind, body = frame
        try:
            if kind == b"M":
                messages = [out.message for out in site.receive(body).send]
                site.settle()
                _send(sink, b"S", b"".join(_LENGTH.pack(len(message)) + message for message in messages))
            elif kind == b"A" and len(body) == _SHIFT.size:
                _send(sink, b"B", bytes([site.affords(_SHIFT.unpack(body)[0])]))
            elif kind == b"X":
                site.abort()
                _send(sink, b"B", b"\x01")
            else:
                _send(sink, b"E", b"unknown frame")
        except (ProtocolError, PrivacyError, StatementRefused) as error:
            _send(sink, b"E", str(error).encode())
    site.close()


if __name__ == "__main__":
    # The pipe is a copy of standard output; what any library prints goes to standard error instead.
    sink = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    serve(Path(sys.argv[1]), sys.stdin.buffer, sink)
