# SPDX-License-Identifier: Apache-2.0
"""The documents that a run leaves beside its ledger: disclosure, registry entry and model card.

They are made from `ledger.jsonl` on the disk, `config.toml` and the operator's statements alone, so that anybody with
these files can make them again: the same ledger, the same bytes.
"""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Mapping
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

from fedmeta_privacy import ledger
from fedmeta_privacy.disclosure import disclose, to_json
from fedmeta_privacy.errors import DisclosureRefused
from fedmeta_privacy.model_card import model_card
from fedmeta_privacy.registry import registry_entry
from fedmeta_privacy.run_record import RunRecord
from fedmeta_privacy.statements import Statements
from fedmeta_privacy.yaml_writer import to_yaml

from .errors import FileError
from .federation.storage import replace_durably

MOST_STATEMENTS = 1 << 16
_LIBRARIES = ("cryptography", "dp-accounting", "numpy", "opacus", "safetensors", "scipy", "torch")


def write_documents(out: Path, statements: Statements, *, utility: Mapping[str, float] | None = None) -> dict[str, Any]:
    """Write the three files into the run's folder; return the disclosure.

    Args:
        out: holds `ledger.jsonl`.
        statements: the operator's.
        utility: the last scores; simulation only.
    Raises:
        LedgerDamaged, DisclosureRefused: nothing was written.
    """
    data = (out / "ledger.jsonl").read_bytes()
    record = RunRecord.from_entries(ledger.verify(data))
    lines = data.splitlines()
    around: dict[str, Any] = {
        "run_id": hashlib.sha256(lines[0]).hexdigest(),
        "ledger_head": hashlib.sha256(lines[-1]).hexdigest(),
        "software": library_versions(),
        "utility": {name: value for name, value in (utility or {}).items() if name != "round"},
    }
    config = out / "config.toml"
    if config.is_file():
        around["config_sha256"] = hashlib.sha256(config.read_bytes()).hexdigest()
    document = disclose(record, statements, surroundings=around)
    entry = registry_entry(record, statements, run_id=around["run_id"])
    files = {
        "disclosure.json": to_json(document),
        "registry.yaml": to_yaml(entry).encode(),
        "MODEL_CARD.md": model_card(document).encode(),
    }
    for name, content in files.items():
        replace_durably(out / name, content, mode=0o666)
    return document


@cache
def library_versions() -> Mapping[str, Mapping[str, str]]:
    """Version, and SHA-256 of the installer's list of file hashes, of each library that the guarantee rests on."""
    found = {}
    for name in _LIBRARIES:
        try:
            distribution = metadata.distribution(name)
        except metadata.PackageNotFoundError:
            continue
        files = distribution.read_text("RECORD") or ""
        found[name] = {"version": distribution.version, "record_sha256": hashlib.sha256(files.encode()).hexdigest()}
    return found


def read_statements(path: Path | None, known: Mapping[str, Any] | None = None) -> Statements:
    """The operator's statements from a TOML file, over what a pilot knows by itself.

    Raises:
        FileError: the file is missing, too large or not TOML.
        DisclosureRefused: a statement is unknown or of the wrong kind.
    """
    table: dict[str, Any] = {}
    if path is not None:
        try:
            with path.open("rb") as file:
                data = file.read(MOST_STATEMENTS + 1)
            if len(data) > MOST_STATEMENTS:
                raise FileError(f"more than {MOST_STATEMENTS} bytes", str(path), "state less")
            table = tomllib.loads(data.decode())
        except OSError as error:
            raise FileError(f"cannot read the file: {error.strerror}", str(path), "check the path") from None
        except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
            raise FileError(f"not a TOML file: {error}", str(path), "correct the file") from None
    try:
        return Statements.from_table({**(known or {}), **table})
    except DisclosureRefused as error:
        raise DisclosureRefused(f"{path}: {error.what}" if path else error.what, error.remedy) from None
