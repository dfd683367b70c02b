# SPDX-License-Identifier: Apache-2.0
"""The same client and server on Flower: its messages carry ours as opaque bytes, and add nothing to them.

Needs the extra `flower`. `letters`, `site` and `server` are the only files of the project that import `flwr`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .server import server_app
    from .site import site_app

__all__ = ["server_app", "site_app"]
_MODULES = {"server_app": "server", "site_app": "site"}


def __getattr__(name: str) -> Any:
    """Load an app when it is asked for; Flower is loaded with it."""
    if name not in _MODULES:
        raise AttributeError(name)
    from importlib import import_module

    try:
        return getattr(import_module(f".{_MODULES[name]}", __name__), name)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] != "flwr":
            raise
        from ..errors import UsageError

        remedy = 'pip install "secure-fedmeta[flower]"'
        raise UsageError("Flower is not installed", "secure_fedmeta.flower", remedy) from None
