# SPDX-License-Identifier: Apache-2.0
"""Where values stand in a JSON file, found in one pass with a buffer of fixed size.

The scanner follows strings and brackets only, in compiled patterns, and hands out byte ranges; what lies inside a range
is parsed, and so validated, by the standard library when that range is read. Memory is a chunk and the longest string.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, BinaryIO

from secure_fedmeta.datasets.records import DataError

CHUNK = 1 << 20
LONGEST_STRING = 1 << 24
LARGEST_VALUE = 1 << 28
"""No value of more bytes than this is read at once: one user is at most 256 MiB of text."""

_STRING = re.compile(rb'"(?:[^"\\]++|\\.)*+"', re.DOTALL)
_SPACE = re.compile(rb"[ \t\r\n]*+")
_SCALAR = re.compile(rb'[^ \t\r\n,:"\[\]{}]*+')
# All that changes no depth: plain bytes, whole strings, and whole flat arrays (an image, a list of tokens).
_PLAIN = rb'[^"\[\]{}]++|"(?:[^"\\]++|\\.)*+"'
_RUN = re.compile(rb"(?:" + _PLAIN + rb"|\[(?:" + _PLAIN + rb")*+\])*+", re.DOTALL)

_OPEN, _CLOSE, _QUOTE = b"[{", b"]}", 0x22


class LeafError(DataError):
    """A file that is not in LEAF's layout, or cannot be read as the set it should hold (SFM-139): names file and user.

    Example:
        >>> str(leaf_error("no samples", Path("a.json"), "leave this user out", user="f_1"))
        "SFM-139: no samples (a.json, user 'f_1'). Remedy: leave this user out."
    """


def place(file: Path, user: str | None = None) -> str:
    """File and user as an error names them; the user's name in quotes, with escapes where it does not print."""
    return f"{file}" if user is None else f"{file}, user {user!r}"


def leaf_error(what: str, file: Path, remedy: str, *, user: str | None = None) -> LeafError:
    """SFM-139 with its place."""
    return LeafError("SFM-139", what, place(file, user), remedy)


def parse(data: bytes, file: Path, user: str | None = None) -> Any:
    """One JSON value, UTF-8, without NaN and Infinity (which are no JSON, though Python writes them).

    Raises:
        LeafError: not UTF-8, not JSON, or nested too deeply.
    """
    remedy = "make the file again"
    try:
        return json.loads(data.decode("utf-8"), parse_constant=_refuse_constant)
    except UnicodeDecodeError as error:
        raise leaf_error("not UTF-8", file, "convert the file to UTF-8", user=user) from error
    except (ValueError, RecursionError) as error:
        what = str(error) if isinstance(error, _Constant) else "not JSON, or cut off"
        raise leaf_error(what, file, remedy, user=user) from None  # the parser's own text may quote a record


class _Constant(ValueError):
    pass


def _refuse_constant(name: str) -> float:
    raise _Constant(f"{name} is not a number in JSON")


class Scanner:
    """Walks through one open file; `user` is named in errors while its value is scanned.

    Example:
        >>> import io
        >>> scanner = Scanner(io.BytesIO(b'{"a": [1, [2]], "b": 3}'), Path("a.json"), chunk=4)
        >>> [(key, scanner.skip()) for key in scanner.members()]
        [('a', (6, 8)), ('b', (21, 1))]
    """

    def __init__(self, file: BinaryIO, path: Path, *, chunk: int = CHUNK) -> None:
        self._file = file
        self._path = path
        self._chunk = chunk
        self._buffer = b""
        self._at = 0
        self._base = 0
        self.user: str | None = None

    @property
    def offset(self) -> int:
        """Bytes walked past so far."""
        return self._base + self._at

    def error(self, what: str, remedy: str = "make the file again") -> LeafError:
        """SFM-139 at this file and user."""
        return leaf_error(what, self._path, remedy, user=self.user)

    def peek(self) -> int:
        """The next byte that is not white space, not walked past."""
        while True:
            self._at = self._end(_SPACE)
            if self._at < len(self._buffer):
                return self._buffer[self._at]
            if not self._more():
                raise self.error("the file is cut off")

    def expect(self, byte: bytes) -> None:
        """Walk past one given byte."""
        if self.peek() != byte[0]:
            raise self.error(f"no {byte.decode()!r} at byte {self.offset}: not JSON, or not in LEAF's layout")
        self._at += 1

    def members(self) -> Any:
        """The keys of an object, one after the other; the caller walks past each value before it asks for the next."""
        self.expect(b"{")
        if self.peek() == _CLOSE[1]:
            self._at += 1
            return
        while True:
            start, length = self._string()
            key = parse(self._buffer[start - self._base : start - self._base + length], self._path, self.user)
            self.expect(b":")
            yield key
            if self.peek() == _CLOSE[1]:
                self._at += 1
                return
            self.expect(b",")

    def skip(self) -> tuple[int, int]:
        """Walk past one value: where it starts in the file and how many bytes it has."""
        first = self.peek()
        start = self.offset
        if first == _QUOTE:
            return self._string()
        if first in _OPEN:
            self._skip_nested()
        else:
            self._skip_scalar()
        return start, self.offset - start

    def end(self) -> None:
        """Nothing but white space follows."""
        while True:
            self._at = self._end(_SPACE)
            if self._at < len(self._buffer):
                raise self.error(f"more than one value: text follows at byte {self.offset}")
            if not self._more():
                return

    def _skip_nested(self) -> None:
        depth = 0
        while True:
            self._at = self._end(_RUN) if depth else self._at
            if self._at == len(self._buffer):
                self._need()
                continue
            byte = self._buffer[self._at]
            if byte == _QUOTE:  # the pattern takes whole strings, so this one goes on behind the buffer
                self._string()
                continue
            self._at += 1
            depth += 1 if byte in _OPEN else -1
            if depth == 0:
                return

    def _skip_scalar(self) -> None:
        start = self.offset
        while True:
            self._at = self._end(_SCALAR)
            if self._at < len(self._buffer):
                break
            self._need()
        if self.offset == start:
            raise self.error(f"no value at byte {start}")

    def _string(self) -> tuple[int, int]:
        """Walk past a string, which is then whole in the buffer."""
        if self.peek() != _QUOTE:
            raise self.error(f"no string at byte {self.offset}")
        while True:
            found = _STRING.match(self._buffer, self._at)
            if found:
                start, self._at = self._base + found.start(), found.end()
                return start, found.end() - found.start()
            if len(self._buffer) - self._at > LONGEST_STRING:
                raise self.error(f"a string of more than {LONGEST_STRING} bytes")
            self._need()

    def _need(self) -> None:
        if not self._more():
            raise self.error("the file is cut off")

    def _more(self) -> bool:
        """Forget what is walked past and read on. A string that goes on doubles the step, so copying stays linear."""
        kept = self._buffer[self._at :]
        read = self._file.read(max(self._chunk, len(kept)))
        self._base += self._at
        self._at = 0
        self._buffer = kept + read
        return bool(read)

    def _end(self, pattern: re.Pattern[bytes]) -> int:
        found = pattern.match(self._buffer, self._at)
        return self._at if found is None else found.end()
