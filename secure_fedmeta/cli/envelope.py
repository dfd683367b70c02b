# SPDX-License-Identifier: Apache-2.0
"""The machine-readable output of every verb: one line of JSON whose `format` says what it is.

`envelopes.schema.json` describes all of them. Within a version of a format fields are added and never changed or taken
away; a reader ignores what it does not know.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib import resources
from typing import Any

VERSION = 1


def line(verb: str, body: Mapping[str, Any]) -> str:
    """One line for standard output. NaN and infinity are not JSON: they must have become null before.

    Example:
        >>> line("epsilon", {"cases": []})
        '{"format": "secure-fedmeta/epsilon/1", "cases": []}'
    """
    return json.dumps({"format": f"secure-fedmeta/{verb}/{VERSION}", **body}, allow_nan=False)


def schema() -> dict[str, Any]:
    """The JSON Schema of all formats.

    Example:
        >>> sorted(schema()["$defs"])[:3]
        ['attack', 'audit', 'check']
    """
    text = resources.files("secure_fedmeta.cli").joinpath("envelopes.schema.json").read_text(encoding="utf-8")
    found: dict[str, Any] = json.loads(text)
    return found
