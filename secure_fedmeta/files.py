# SPDX-License-Identifier: Apache-2.0
"""The files a run leaves in its folder."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from .federation.storage import Appender, replace_durably
from .plan import Plan

FILES = {
    "config.toml": "the settings; `secure-fedmeta run config.toml` runs them again",
    "roster.json": "who took part, under which id",
    "allow-list.toml": "whose signatures count: public keys of the server, of each site and of a decryptor",
    "ledger.jsonl": "what was executed, one signed line per round; `secure-fedmeta audit` checks it",
    "metrics.jsonl": "loss, score, bytes and time per round (simulation only, not covered by epsilon)",
    "model.safetensors": "the released model",
    "disclosure.json": "the privacy of this run in twelve groups of fields, gaps by name",
    "registry.yaml": "the same as a draft entry for the Differential Privacy Deployments Registry",
    "MODEL_CARD.md": "what the model is for, and a label in plain words",
    "scores.json": "the model beside baselines (simulation only, not covered by epsilon)",
    "verification.json": "the result of the last audit",
    "report.html": "all of it for reading",
}


def toml_value(value: object) -> str:
    """Strings, numbers, booleans and lists of them: JSON's spelling is TOML's too, but for two things.

    TOML wants U+007F escaped, and has no pairs of surrogates: what is not ASCII stands as it is.

    Example:
        >>> toml_value("a"), toml_value(True), toml_value((1.5, 2))
        ('"a"', 'true', '[1.5, 2]')
    """
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def write_config(
    path: Path, pilot: str, plan: Plan, *, derived: Collection[str] = (), appendix: Sequence[str] = ()
) -> None:
    """Settings as TOML, and `appendix`, lines of tables that the pilot reads.

    `derived` settings follow from the others; they are left out, so that the file may be run with others changed.
    """
    lines = [f"pilot = {json.dumps(pilot)}"]
    for name, value in plan.model_dump().items():
        stated = "none" if value is None and name == "epsilon" else value
        if stated is not None and name not in derived:
            lines.append(f"{name} = {toml_value(stated)}")
    lines += appendix
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def write_model(path: Path, theta: NDArray[np.float64], features: tuple[str, ...]) -> None:
    """The model as safetensors: one weight per feature, the last one for the constant feature."""
    from safetensors.numpy import save

    replace_durably(path, save({"theta": theta}, {"features": json.dumps(features)}))
    path.chmod(0o644)  # what the run releases


def sites_beside(out: Path) -> Path:
    """Where simulated sites keep their own files: beside the shared folder, not in it."""
    return out.with_name(out.name + "-sites")


def server_beside(out: Path) -> Path:
    """Where the server keeps its own key: beside the shared folder, not in it."""
    return out.with_name(out.name + "-server")


def decryptor_beside(out: Path) -> Path:
    """Where the decryptor of a run that has one keeps its key and its count of rounds: beside the others' folders."""
    return out.with_name(out.name + "-decryptor")


class RunFolder:
    """Open files of a run: whole lines only, so that an interrupt leaves them readable."""

    def __init__(self, out: Path) -> None:
        self.out = out
        self._ledger = Appender(out / "ledger.jsonl")
        self._metrics = Appender(out / "metrics.jsonl")

    @property
    def sites(self) -> Path:
        """The sites' own folders."""
        return sites_beside(self.out)

    @property
    def server(self) -> Path:
        """The server's own folder."""
        return server_beside(self.out)

    @property
    def decryptor(self) -> Path:
        """The decryptor's own folder, if the run has one."""
        return decryptor_beside(self.out)

    @property
    def allow_list(self) -> Path:
        """The public keys of all parties."""
        return self.out / "allow-list.toml"

    def ledger(self, lines: bytes) -> None:
        """Append ledger lines durably."""
        if lines:
            self._ledger.write(lines)
            self._ledger.sync()

    def metrics(self, row: Mapping[str, object]) -> None:
        """Append one row."""
        self._metrics.write(json.dumps(row, sort_keys=True).encode() + b"\n")

    def close(self) -> None:
        """Close both files."""
        self._ledger.close()
        self._metrics.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
