# SPDX-License-Identifier: Apache-2.0
"""Block YAML of plain documents: mappings, lists, text, numbers, booleans. Writes the few forms that nobody misreads.

No library for it: the one that is common is no dependency of this project, and a writer of six forms is smaller than
its checks would be. Every text is double-quoted with JSON's escapes, which YAML 1.1 and 1.2 read alike (so `no`, `1e5`,
dates and `: ` stay text); every float has a point (YAML 1.1 reads `1e-05` as text).
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping

from .errors import DisclosureRefused

_KEY = re.compile(r"[a-z][a-z0-9_]*")


def to_yaml(document: Mapping[str, object]) -> str:
    """The document as block YAML, keys in the order given, one newline at the end.

    Raises:
        DisclosureRefused: a key that is no plain word, or a value of another kind (null and non-finite numbers too).

    Example:
        >>> print(to_yaml({"a": {"delta": 1e-5, "on": True}, "authors": ["no", "x: y"], "n": 3}), end="")
        a:
          delta: 1.0e-05
          on: true
        authors:
          - "no"
          - "x: y"
        n: 3
    """
    return "".join(f"{line}\n" for line in _mapping(document, ""))


def _mapping(values: Mapping[str, object], indent: str) -> list[str]:
    lines: list[str] = []
    for key, value in values.items():
        if not isinstance(key, str) or not _KEY.fullmatch(key):
            raise DisclosureRefused(f"{key!r} cannot be a key", "use lower-case words")
        lines += _entry(f"{indent}{key}:", value, indent)
    return lines


def _entry(head: str, value: object, indent: str) -> list[str]:
    if isinstance(value, Mapping) and value:
        return [head, *_mapping(value, indent + "  ")]
    if isinstance(value, list | tuple) and value:
        return [head, *(f"{indent}  - {_scalar(item)}" for item in value)]
    return [f"{head} {_scalar(value)}"]


def _scalar(value: object) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
        case float() if math.isfinite(value):
            shown = repr(value)
            mantissa, e, exponent = shown.partition("e")
            return shown if not e or "." in mantissa else f"{mantissa}.0e{exponent}"
        case str():
            return json.dumps(value)
        case _:
            raise DisclosureRefused(f"a {type(value).__name__} cannot stand in the entry", "use text or a number")
