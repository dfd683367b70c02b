# SPDX-License-Identifier: Apache-2.0
"""Models: each one in the run's folder must be named in the chain, and the released one by the end line."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from fedmeta_privacy.ledger import Json, Line

from ..federation.model import model_digest
from ..files import FILES
from .signatures import body_of
from .verdict import Findings, Verdict

MAX_MODEL_BYTES = 2**30
VERIFICATION = "verification.json"
RELEASED = "model.safetensors"
_CHECK = "models"


def check_models(folder: Path, lines: list[Line], found: Findings) -> None:
    """A model that no line names is a release that nobody accounted for."""
    named = [body_of(line).get(name) for line in lines for name in ("model", "model_before")]
    known = {digest for digest in named if isinstance(digest, str)}
    ends = [body_of(line).get("model") for line in lines if line.entry["type"] == "end"]
    files, others = _listed(folder, found)
    for file in files:
        name = str(file.relative_to(folder))
        digest = _digest(file)
        if digest is None:
            found.add(Verdict.INCOMPLETE, _CHECK, 0, f"{name} cannot be read as one flat model")
        elif digest not in known:
            found.add(Verdict.TAMPERED, _CHECK, 0, f"{name} is no model of this ledger: unlogged, or swapped")
        elif name == RELEASED and ends and digest != ends[-1]:
            found.add(Verdict.TAMPERED, _CHECK, 0, f"{name} is not the model that the end line names")
    if not (folder / RELEASED).is_file():
        found.add(Verdict.INCOMPLETE, _CHECK, 0, f"{RELEASED} is not there to be compared")
    if others:
        found.add(Verdict.INCOMPLETE, _CHECK, 0, f"files that may hold models: {', '.join(sorted(others)[:5])}")
    found.looked(_CHECK, f"{len(files)} model files, {len(known)} models in the chain")


def _listed(folder: Path, found: Findings) -> tuple[list[Path], list[str]]:
    """Models, and whatever else lies there that no run writes; links are not followed, they count as such files."""
    models, others = [], []
    known = {folder / name for name in (*FILES, "roster.json", VERIFICATION)}

    def unreadable(error: OSError) -> None:
        found.add(Verdict.INCOMPLETE, _CHECK, 0, f"a folder cannot be read: {Path(str(error.filename)).name}")

    for where, folders, names in os.walk(folder, onerror=unreadable):
        links = [name for name in folders if (Path(where) / name).is_symlink()]
        for path in (Path(where) / name for name in (*names, *links)):
            if path.suffix.lower() == ".safetensors":
                models.append(path)
            elif path not in known or path.is_symlink():
                others.append(path.name)
    return sorted(models), others


def _digest(file: Path) -> Json:
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        if file.is_symlink() or file.stat().st_size > MAX_MODEL_BYTES:
            return None
        tensors = load_file(file)
    except (OSError, SafetensorError, ValueError, KeyError):
        return None
    if set(tensors) != {"theta"} or tensors["theta"].dtype != np.float64 or tensors["theta"].ndim != 1:
        return None
    return model_digest(tensors["theta"])
