# SPDX-License-Identifier: Apache-2.0
"""Secure federated meta-learning: sites adapt, clip, add noise and mask; the server learns only the sum.

Names are loaded on first use, so that `secure-fedmeta --help` does not import torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from ._version import __version__

if TYPE_CHECKING:
    from .datasets.codebook import Codebook
    from .datasets.records import SiteRecords
    from .performance import Performance
    from .plan import Plan
    from .run import Run, federate
    from .schedule import Schedule, make_schedule

_WHERE = {
    "Codebook": ".datasets.codebook",
    "Performance": ".performance",
    "Plan": ".plan",
    "Run": ".run",
    "Schedule": ".schedule",
    "SiteRecords": ".datasets.records",
    "federate": ".run",
    "make_schedule": ".schedule",
}

__all__ = [
    "Codebook",
    "Performance",
    "Plan",
    "Run",
    "Schedule",
    "SiteRecords",
    "__version__",
    "federate",
    "make_schedule",
]


def __getattr__(name: str) -> object:
    if name in _WHERE:
        return getattr(importlib.import_module(_WHERE[name], __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
