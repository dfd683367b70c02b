# SPDX-License-Identifier: Apache-2.0
"""Which files `check` reads: bounded in number and size, never imported, never run."""

from __future__ import annotations

import ast
import json
import os
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

from ..errors import UserError

MOST_BYTES = 1 << 20
MOST_FILES = 5000
_SKIPPED = {"__pycache__", "node_modules", "site-packages", "build", "dist"}
_ENDINGS = {".py", ".ipynb", ".toml"}


class UnreadableSource(UserError):
    """A file or folder that cannot be read, or is of a kind that `check` does not know.

    Cause: A wrong path, missing rights, or a file that is neither Python, notebook nor TOML.
    Remedy: Give .py, .ipynb or .toml files, or a folder of them.
    """

    code = "SFM-125"


class OversizedSource(UserError):
    """More bytes, files or nesting than `check` reads.

    Cause: A file above 1 MiB, more than 5000 files, or an expression nested beyond what Python reads.
    Remedy: Give the project's own files and not its data or environments.
    """

    code = "SFM-126"


class BrokenSource(UserError):
    """A file that is not Python, a notebook or TOML.

    Cause: A syntax error, another Python than this one reads, a damaged notebook, or TOML with a mistake.
    Remedy: Correct the file at the place named; Python itself must be able to read it.
    """

    code = "SFM-127"


def find_sources(paths: Sequence[Path], problems: list[UserError]) -> Iterator[Path]:
    """Files to read, each once; what cannot be searched goes into `problems`. Links are not followed into folders."""
    seen: set[Path] = set()
    for path in paths:
        if path.is_dir():
            found: Iterator[Path] = _walk(path, problems)
        elif path.suffix in _ENDINGS or not path.exists():
            found = iter([path])
        else:
            problems.append(UnreadableSource("not a .py, .ipynb or .toml file", str(path), "give one, or a folder"))
            continue
        for file in found:
            if file.absolute() in seen:
                continue
            if len(seen) == MOST_FILES:
                problems.append(OversizedSource(f"more than {MOST_FILES} files", str(path), "give a smaller folder"))
                return
            seen.add(file.absolute())
            yield file


def _walk(folder: Path, problems: list[UserError]) -> Iterator[Path]:
    def refused(error: OSError) -> None:
        problems.append(
            UnreadableSource(f"cannot list the folder: {error.strerror}", str(error.filename), "check its permissions")
        )

    for where, folders, files in os.walk(folder, onerror=refused):
        folders[:] = sorted(name for name in folders if name not in _SKIPPED and not name.startswith("."))
        folders[:] = [name for name in folders if not (Path(where) / name / "pyvenv.cfg").exists()]
        yield from (Path(where) / name for name in sorted(files) if Path(name).suffix in _ENDINGS)


def read_text(path: Path) -> str:
    """At most `MOST_BYTES` of UTF-8.

    Raises:
        UnreadableSource, OversizedSource, BrokenSource: with the path.
    """
    try:
        if not path.is_file():
            raise UnreadableSource("no such file, or not a regular one", str(path), "check the path")
        with path.open("rb") as file:
            data = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise UnreadableSource(f"cannot read the file: {error.strerror}", str(path), "check the path") from None
    if len(data) > MOST_BYTES:
        raise OversizedSource(f"more than {MOST_BYTES} bytes", str(path), "check its parts by themselves")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise BrokenSource("not UTF-8 text", str(path), "save it as UTF-8") from None


def parse_python(path: Path) -> ast.Module:
    """The syntax tree of a script, or of a notebook's code cells one after the other.

    Raises:
        UserError: as `read_text`, and BrokenSource with the line where the syntax ends.
    """
    text = read_text(path)
    if path.suffix == ".ipynb":
        text = _cells(text, path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a checked file's own doubtful escapes are not our user's concern
            return ast.parse(text)
    except SyntaxError as error:
        raise BrokenSource(f"not Python: {error.msg}", f"{path}:{error.lineno}", "correct the file") from None
    except ValueError as error:  # null bytes
        raise BrokenSource(f"not Python: {error}", str(path), "correct the file") from None
    except (RecursionError, MemoryError):
        raise OversizedSource("nested too deeply", str(path), "simplify the expression") from None


def _cells(text: str, path: Path) -> str:
    try:
        content = json.loads(text)
        cells = [cell["source"] for cell in content["cells"] if cell["cell_type"] == "code"]
        sources = ["".join(source) for source in cells]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise BrokenSource("not a notebook", str(path), "save it again as .ipynb") from None
    lines = [line for source in sources for line in (*source.splitlines(), "")]
    # Magics and shell lines are no Python; a pass keeps the block that they may be alone in.
    return "\n".join(_plain(line) for line in lines)


def _plain(line: str) -> str:
    bare = line.lstrip()
    return line[: len(line) - len(bare)] + "pass" if bare[:1] in {"%", "!", "?"} else line
