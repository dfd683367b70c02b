# SPDX-License-Identifier: Apache-2.0
"""A site in a process of its own, spoken to over its standard input and output.

The parent sends frames: a kind byte, a length (u32, little-endian), a body. `M` carries a protocol message, `A` asks
whether the filter affords a shift (8 bytes), `X` aborts the round; the end of input ends the site. The site answers
each with one frame: `S` the messages it sends (each with its length), `B` one byte, `E` the text of a numbered error.
No pickle crosses the pipe. The site reads its own records from its own file, so they never leave its process.
"""

from __future__ import annotations

import json
import struct
import subprocess
import sys
from pathlib import Path
from typing import IO

import numpy as np

from fedmeta_crypto import SERVER, Outgoing, ProtocolError, Step
from fedmeta_privacy.errors import PrivacyError

from ..errors import FileError, RemoteRefusal
from ..plan import Plan
from ..schedule import Schedule, make_schedule
from ..tasks import Task
from .simulation import LocalSite

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


def write_site(folder: Path, client_id: int, task: Task, schedule: Schedule) -> None:
    """Write what a site's process reads: its own records, and the plan that it makes its own schedule from."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    arrays = {name: getattr(task, name) for name in Task.__slots__}
    np.savez(folder / "records.npz", allow_pickle=False, **arrays)
    settings = {
        "client_id": client_id,
        "clients": schedule.clients,
        "dimension": schedule.dimension,
        "codebook_hash": schedule.codebook_hash.hex(),
        "plan": schedule.plan.model_dump(),
    }
    (folder / "site.json").write_text(json.dumps(settings), encoding="utf-8")


def open_site(folder: Path) -> LocalSite:
    """Make the site from its folder.

    Raises:
        FileError: the folder does not hold a site.
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
        return LocalSite(settings["client_id"], task, schedule, folder)
    except (OSError, KeyError, TypeError, json.JSONDecodeError) as error:
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
        _, body = self._ask(b"M", message)
        send, at = [], 0
        while at < len(body):
            (length,) = _LENGTH.unpack_from(body, at)
            send.append(Outgoing(SERVER, body[at + 4 : at + 4 + length]))
            at += 4 + length
        return Step(send=tuple(send))

    def settle(self) -> None:
        """Nothing to wait for: the process answers only when its charge is on its disk."""

    def affords(self, shift: float) -> bool:
        """Ask the site's own filter."""
        return self._ask(b"A", _SHIFT.pack(shift))[1] == b"\x01"

    def abort(self) -> None:
        """Make the site leave the round."""
        self._ask(b"X", b"")

    def close(self) -> None:
        """End the process and wait for it."""
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                stream.close()
        self._process.wait(timeout=30)


def serve(folder: Path, source: IO[bytes], sink: IO[bytes]) -> None:
    """Run one site until its input ends."""
    site = open_site(folder)
    while (frame := _receive(source)) is not None:
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
        except (ProtocolError, PrivacyError) as error:
            _send(sink, b"E", str(error).encode())
    site.close()


if __name__ == "__main__":
    serve(Path(sys.argv[1]), sys.stdin.buffer, sys.stdout.buffer)
