# SPDX-License-Identifier: Apache-2.0
"""Checkpoints of a simulated run: one JSON file that names, and vouches for, one safetensors file.

`state-<step>.safetensors` is written and on the disk first; then `checkpoint.json` takes the place of the one before
in one rename, which is the commit: a crash at any point leaves the old checkpoint or the new one. Nothing in either is
executed when it is read; sizes are bounded before anything is allocated, and both are checked against SHA-256 digests.

The digests have no key: they find damage and careless edits, not a forger who recomputes them. What a run has *spent*
does not stand here but in its journal of charges, which is appended to before each release; the checkpoint names the
journal's newest line, so that a journal put back to an older state is refused. Both put back together look like an
earlier state of the run; against that, keep a copy of the journal's witness elsewhere (`fedmeta_privacy.journal`).
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

from fedmeta_privacy.journal import Witness
from fedmeta_privacy.ledger import Json, canonical

from ..errors import CheckpointDamaged
from ..federation.storage import replace_durably

NAME, FORMAT = "checkpoint.json", "secure-fedmeta-population/1"
_LARGEST_JSON, _LARGEST_TENSORS = 1 << 16, 1 << 34
_FIELDS = {"format", "step", "settings", "state", "state_sha256", "state_bytes", "witness", "lost", "releases"}
_WHOLE = ("step", "lost", "releases", "state_bytes")


@dataclass(frozen=True, slots=True, eq=False)
class Checkpoint:
    """A run between two rounds.

    Attributes:
        step: training rounds done.
        settings: SHA-256 of the run's settings; another run's checkpoint is refused.
        witness: the newest line of the journal of charges when this was written.
        lost: charged rounds that left no trace in `theta`.
        releases: sums opened so far.
        theta: the model.
        members, taken: clients that took part, and in how many rounds each.
    """

    step: int
    settings: bytes
    witness: Witness
    lost: int
    releases: int
    theta: NDArray[np.floating]
    members: NDArray[np.int64] = field(repr=False)
    taken: NDArray[np.int64] = field(repr=False)


def save(folder: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint durably, in place of the one before."""
    from safetensors.numpy import save as to_bytes

    state = f"state-{checkpoint.step}.safetensors"
    arrays = {"theta": checkpoint.theta, "members": checkpoint.members, "taken": checkpoint.taken}
    content = to_bytes({name: np.ascontiguousarray(array) for name, array in arrays.items()})
    body: dict[str, Json] = {
        "format": FORMAT,
        "step": checkpoint.step,
        "settings": checkpoint.settings.hex(),
        "state": state,
        "state_sha256": hashlib.sha256(content).hexdigest(),
        "state_bytes": len(content),
        "witness": checkpoint.witness.to_bytes().hex(),
        "lost": checkpoint.lost,
        "releases": checkpoint.releases,
    }
    sealed = dict(body) | {"sha256": hashlib.sha256(canonical(body)).hexdigest()}
    replace_durably(folder / state, content)
    replace_durably(folder / NAME, json.dumps(sealed, indent=1, sort_keys=True).encode() + b"\n")
    for old in folder.glob("state-*.safetensors"):
        if old.name != state:
            old.unlink(missing_ok=True)


def load(folder: Path, *, settings: bytes, dimension: int, most: int) -> Checkpoint:
    """Read a checkpoint of a run with these settings, `dimension` parameters and at most `most` rounds.

    Raises:
        CheckpointDamaged: unreadable, edited, too large, or of another run.
    """
    path = folder / NAME
    body = _body(path)
    if body["settings"] != settings.hex():
        raise CheckpointDamaged("it belongs to a run with other settings", str(path), "resume with the same settings")
    step = int(body["step"])
    if body["state"] != f"state-{step}.safetensors" or not 0 <= step <= most:
        raise _damaged(path, f"it claims {step} rounds of {most}")
    content = _read(folder / str(body["state"]), int(body["state_bytes"]), _LARGEST_TENSORS)
    if len(content) != body["state_bytes"] or hashlib.sha256(content).hexdigest() != body["state_sha256"]:
        raise _damaged(folder / str(body["state"]), "it is not the file that the checkpoint names")
    arrays = _arrays(content, folder / str(body["state"]))
    theta, members, taken = arrays["theta"], arrays["members"], arrays["taken"]
    fits = theta.shape == (dimension,) and theta.dtype in (np.float32, np.float64) and bool(np.isfinite(theta).all())
    books = members.dtype == taken.dtype == np.int64 and members.shape == taken.shape and members.ndim == 1
    if not fits or not books or (len(taken) and not 1 <= taken.min() <= taken.max() <= step):
        raise _damaged(path, "its arrays are not those of this run")
    witness = Witness.from_bytes(bytes.fromhex(str(body["witness"])))
    return Checkpoint(step, settings, witness, int(body["lost"]), int(body["releases"]), theta, members, taken)


def _body(path: Path) -> dict[str, int | str]:
    raw = _read(path, _LARGEST_JSON, _LARGEST_JSON)
    try:
        entry = json.loads(raw)
    except (ValueError, RecursionError):
        raise _damaged(path, "it is no JSON") from None
    if not isinstance(entry, dict) or set(entry) != _FIELDS | {"sha256"}:
        raise _damaged(path, "its fields are not a checkpoint's")
    stated = entry.pop("sha256")
    whole = all(isinstance(entry[name], int) and not isinstance(entry[name], bool) for name in _WHOLE)
    texts = all(isinstance(entry[name], str) for name in _FIELDS.difference(_WHOLE))
    if not whole or not texts or min(entry[name] for name in _WHOLE) < 0 or entry["format"] != FORMAT:
        raise _damaged(path, "a field is of the wrong kind")
    if hashlib.sha256(canonical(entry)).hexdigest() != stated:
        raise _damaged(path, "its digest does not match: it was edited or damaged")
    if len(entry["witness"]) != 80 or any(digit not in "0123456789abcdef" for digit in entry["witness"]):
        raise _damaged(path, "its witness is none")
    return entry


def _arrays(content: bytes, path: Path) -> Mapping[str, NDArray[Any]]:
    from safetensors import SafetensorError
    from safetensors.numpy import load as from_bytes

    try:
        arrays: Mapping[str, NDArray[Any]] = from_bytes(content)
    except (SafetensorError, ValueError, KeyError, TypeError):
        raise _damaged(path, "it is no safetensors file") from None
    if set(arrays) != {"theta", "members", "taken"}:
        raise _damaged(path, "its arrays are not a checkpoint's")
    return arrays


def _read(path: Path, size: int, limit: int) -> bytes:
    try:
        if path.stat().st_size > limit or size > limit:
            raise _damaged(path, f"it is larger than {limit} bytes")
        with path.open("rb") as file:
            return file.read(size + 1)
    except OSError as error:
        raise CheckpointDamaged(
            f"it cannot be read: {error.strerror}", str(path), "restore it, or start afresh in another folder"
        ) from None


def _damaged(path: Path, why: str) -> CheckpointDamaged:
    return CheckpointDamaged(why, str(path), "restore it from a copy; the journal says what was spent")
