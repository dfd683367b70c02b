# SPDX-License-Identifier: Apache-2.0
"""What the server keeps on its own disk, so that a run that was killed can go on: the state after each round's line.

One safetensors file a line, put in place by a rename *before* the line is shown to anybody who might countersign it:
whatever line survives, its state is there. It holds the model, the outer optimiser, the clip norm and the statement.
Nothing in it is executed when it is read. What was *spent* is not in it: that is worked out from the ledger.

The server signs the file where it has a key; without one (strength semi-honest), a digest finds damage and careless
edits, and the model's digest in the ledger binds the model, but not the optimiser's averages.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedmeta_crypto import SERVER
from fedmeta_privacy.errors import PrivacyError
from fedmeta_privacy.ledger import Statement, canonical, read_statement

from ..errors import StateDamaged
from .identities import Credentials
from .storage import replace_durably

LABEL = b"sfm-server-state/1"
LARGEST = 2**34
_ARRAYS = ("first", "second", "tail", "theta")
_REMEDY = "restore the server's folder from a copy, or start afresh in another folder"


@dataclass(frozen=True, slots=True, eq=False)
class ServerState:
    """The server after a round's line, before the next announcement.

    Attributes:
        statement: the round's line before signatures; its head names this state.
        run: head of the run's first line.
        arrays: theta, first, second, tail, each (d,) float64: the optimiser's.
        counts: steps taken, and iterates in the tail.
        clip_norm: C_t of the next round; None unless clipping is adaptive.
    """

    statement: Statement
    run: str
    arrays: Mapping[str, NDArray[np.float64]] = field(repr=False)
    counts: tuple[int, int]
    clip_norm: float | None

    @property
    def seq(self) -> int:
        """Place of its line in the ledger, from 0."""
        return int(str(self.statement.entry["seq"]))

    def _body(self) -> dict[str, str]:
        return {
            "statement": self.statement.content.decode(),
            "run": self.run,
            "counts": json.dumps(list(self.counts)),
            "clip_norm": "none" if self.clip_norm is None else float(self.clip_norm).hex(),
            "arrays": hashlib.sha256(b"".join(_bytes(self.arrays[name]) for name in _ARRAYS)).hexdigest(),
        }

    def sealed_bytes(self) -> bytes:
        """What is signed: a digest under a label of its own."""
        return hashlib.sha256(LABEL + canonical(dict(self._body()))).digest()


def _bytes(array: NDArray[np.float64]) -> bytes:
    return len(array).to_bytes(8, "big") + array.astype("<f8").tobytes()


def save_state(folder: Path, state: ServerState, credentials: Credentials | None, *, keep: int | None) -> None:
    """Write a state durably; remove all others but the one after line `keep`, which the ledger is known to hold."""
    from safetensors.numpy import save

    digest = state.sealed_bytes()
    seal = digest if credentials is None else credentials.identity.sign(digest)
    content = save(
        {name: np.ascontiguousarray(state.arrays[name]) for name in _ARRAYS}, state._body() | {"seal": seal.hex()}
    )
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    replace_durably(_path(folder, state.seq), content)
    for seq in held_states(folder):
        if seq not in (state.seq, keep):
            _path(folder, seq).unlink(missing_ok=True)


def held_states(folder: Path) -> list[int]:
    """The lines, from 0, after which a state is held."""
    names = (path.name[len("state-") : -len(".safetensors")] for path in folder.glob("state-*.safetensors"))
    return sorted(int(name) for name in names if name.isascii() and name.isdigit())


def load_state(folder: Path, seq: int, *, run: str, dimension: int, credentials: Credentials | None) -> ServerState:
    """Read the state after line `seq` of the run whose first line has the head `run`.

    Raises:
        StateDamaged: unreadable, edited, or of another run, line or model.
    """
    path = _path(folder, seq)
    meta, arrays = _read(path)
    if set(meta) != {"statement", "run", "counts", "clip_norm", "arrays", "seal"}:
        raise StateDamaged("its fields are not a state's", str(path), _REMEDY)
    try:
        counts = json.loads(meta["counts"])
        norm = None if meta["clip_norm"] == "none" else float.fromhex(meta["clip_norm"])
        statement = read_statement(meta["statement"].encode())
        state = ServerState(statement, meta["run"], arrays, (int(counts[0]), int(counts[1])), norm)
        seal = bytes.fromhex(meta["seal"])
    except (PrivacyError, ValueError, TypeError, IndexError, RecursionError):
        raise StateDamaged("a field is of the wrong kind", str(path), _REMEDY) from None
    fits = all(arrays[name].shape == (dimension,) and arrays[name].dtype == np.float64 for name in _ARRAYS)
    if not fits or not all(np.isfinite(arrays[name]).all() for name in _ARRAYS):
        raise StateDamaged("its arrays are not those of this run", str(path), _REMEDY)
    if state.run != run or state.seq != seq:
        raise StateDamaged("it belongs to another run, or to another line", str(path), _REMEDY)
    digest = state.sealed_bytes()
    good = seal == digest if credentials is None else credentials.people.verify(SERVER, digest, seal)
    if state._body()["arrays"] != meta["arrays"] or not good:
        raise StateDamaged("its seal does not match: it was edited or damaged", str(path), _REMEDY)
    return state


def _path(folder: Path, seq: int) -> Path:
    return folder / f"state-{seq}.safetensors"


def _read(path: Path) -> tuple[dict[str, str], dict[str, NDArray[Any]]]:
    from safetensors import SafetensorError, safe_open

    try:
        if path.stat().st_size > LARGEST:
            raise StateDamaged(f"it is larger than {LARGEST} bytes", str(path), _REMEDY)
        with safe_open(path, framework="numpy") as file:
            if sorted(file.keys()) != list(_ARRAYS):
                raise StateDamaged("its arrays are not a state's", str(path), _REMEDY)
            return dict(file.metadata() or {}), {name: file.get_tensor(name) for name in _ARRAYS}
    except OSError as error:
        raise StateDamaged(f"it cannot be read: {error.strerror or error}", str(path), _REMEDY) from None
    except (SafetensorError, ValueError, KeyError, TypeError):
        raise StateDamaged("it is no safetensors file", str(path), _REMEDY) from None
