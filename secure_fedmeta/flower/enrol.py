# SPDX-License-Identifier: Apache-2.0
"""A party on a machine of its own makes its key and its folder, and shows what belongs on the allow-list.

    python -m secure_fedmeta.flower.enrol FOLDER --name north --plan pilot.toml --allow-list allow-list.toml
    python -m secure_fedmeta.flower.enrol FOLDER --server --plan pilot.toml --allow-list allow-list.toml

Run it where the party lives. The lines that it prints hold a public key; whoever keeps the list collects them by a way
that the server cannot bend (by telephone, say: compare a few letters), numbers the sites, and gives the list to all.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from ..errors import FileError, UserError
from ..federation.identities import own_identity
from ..files import toml_value
from .places import SERVER_FILE, SITE
from .policy import FILE as POLICY

_POLICY = """\
# What this site's administrator allows, whatever the server announces. What is left out limits nothing.
# least_sites = 8
# most_epsilon = 3.0
# strengths = ["malicious"]
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m secure_fedmeta.flower.enrol", description=__doc__)
    parser.add_argument("folder", type=Path, help="the party's own")
    parser.add_argument("--name", help="of the site")
    parser.add_argument("--server", action="store_true", help="this is the server")
    parser.add_argument("--plan", type=Path, required=True)
    parser.add_argument("--allow-list", type=Path, required=True, help="where it will lie")
    parser.add_argument("--data", type=Path, help='this site\'s rows alone, with pilot = "table"')
    options = parser.parse_args(arguments)
    if options.server == bool(options.name):
        parser.error("give --name for a site, or --server")
    try:
        sys.stdout.write(enrol(options.folder, options.name, options.plan, options.allow_list, data=options.data))
    except UserError as error:
        parser.exit(1, f"{error}\n")
    return 0


def enrol(folder: Path, name: str | None, plan: Path, allow_list: Path, *, data: Path | None = None) -> str:
    """Make the folder and the key; what was there stays. Returns the party's lines for the allow-list.

    Args:
        folder: the party's own.
        name: of the site; None for the server.
        plan: the common TOML file; written relative to the folder, as the next two.
        allow_list: where the list will lie.
        data: this site's rows alone, with `pilot = "table"`.
    Raises:
        FileError: the system refuses.  IdentityRefused: the key that is there cannot be used.
    """
    try:
        key = own_identity(folder).public.hex()
        stated = {"name": name} if name is not None else {}
        stated |= {"plan": _seen(plan, folder), "allow_list": _seen(allow_list, folder)}
        if data is not None:
            stated["data"] = _seen(data, folder)
        lines = "".join(f"{each} = {toml_value(value)}\n" for each, value in stated.items())
        _keep(folder / (SERVER_FILE if name is None else SITE), lines)
        if name is not None:
            _keep(folder / POLICY, _POLICY)
    except OSError as error:
        raise FileError(f"the system refused: {error.strerror}", str(folder), "choose another place") from None
    if name is None:
        return f'server = "{key}"\n'
    return f'[[site]]\nid = 0  # a number from 1, once each\nname = {toml_value(name)}\nkey = "{key}"\n'


def _seen(path: Path, folder: Path) -> str:
    return os.path.relpath(path.resolve(), folder.resolve())


def _keep(path: Path, text: str) -> None:
    if not path.exists():
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    raise SystemExit(main())
