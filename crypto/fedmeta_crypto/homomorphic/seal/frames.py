# SPDX-License-Identifier: Apache-2.0
"""How parent and child speak: one byte of kind, eight of length (little-endian), the contents."""

import struct
from typing import IO

HEAD = struct.Struct("<cQ")
MAX_FRAME = 1 << 33


def write_frame(stream: IO[bytes], kind: bytes, *parts: bytes) -> None:
    """One frame, flushed."""
    stream.write(HEAD.pack(kind, sum(map(len, parts))))
    for part in parts:
        stream.write(part)
    stream.flush()


def read_frame(stream: IO[bytes], *, limit: int = MAX_FRAME) -> tuple[bytes, bytes]:
    """One frame; raises `EOFError` at the end, or if one is cut short or longer than the limit."""
    head = stream.read(HEAD.size)
    if len(head) < HEAD.size:
        raise EOFError
    kind, size = HEAD.unpack(head)
    data = stream.read(size) if size <= limit else b""
    if len(data) < size:
        raise EOFError
    return kind, data
