# SPDX-License-Identifier: Apache-2.0
"""What `secure-fedmeta new NAME --flower` writes: an app for Flower, and beside it the folders of all parties.

The app holds code only; keys, budgets and records lie outside it, since Flower packs the app's folder and sends it to
every node.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING

from fedmeta_crypto import SERVER

from ..errors import FileError
from ..federation.identities import entropy_of, own_identity, write_allow_list
from ..files import toml_value, write_config
from .places import SERVER_FILE, SITE
from .policy import FILE as POLICY

if TYPE_CHECKING:
    from ..pilots.pilot import Pilot
    from ..plan import Plan

PACKAGE = "federation_app"


def scaffold(folder: Path, pilot: Pilot, plan: Plan) -> list[str]:
    """Write the app, the parties' folders with a key each, and the scripts; the names of the sites.

    Raises:
        FileError: something is there already, or the system refuses.
    """
    try:
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise FileError("something is there already", str(folder), "choose another name")
        folder.mkdir(parents=True, exist_ok=True)
        names = [member.name for member in pilot.load(plan).members]
        _write(folder, pilot, plan, names)
    except OSError as error:
        raise FileError(f"the system refused: {error.strerror}", str(folder), "choose a place to write to") from None
    return names


def _write(folder: Path, pilot: Pilot, plan: Plan, names: Sequence[str]) -> None:
    schedule = pilot.schedule_for(plan)
    write_config(folder / "pilot.toml", pilot.name, plan, derived=pilot.derived(plan), appendix=pilot.appendix(folder))
    keys = {}
    for number, name in enumerate(names, start=1):
        home = folder / "sites" / name
        keys[number] = (name, own_identity(home, entropy_of(schedule, number)).public)
        text = Template(_template("site.toml")).substitute(name=toml_value(name))
        (home / SITE).write_text(text, encoding="utf-8")
        limits = {
            "clients": schedule.clients,
            "epsilon": f"most_epsilon = {plan.epsilon:g}" if schedule.private else "# most_epsilon = 3.0",
            "rounds": plan.rounds,
            "algorithm": toml_value([plan.algorithm]),
            "strength": toml_value([plan.strength]),
            "dimension": schedule.dimension,
        }
        (home / POLICY).write_text(Template(_template("policy.toml")).substitute(limits), encoding="utf-8")
    server = own_identity(folder / "server", entropy_of(schedule, SERVER))
    (folder / "server" / SERVER_FILE).write_text(_template("server.toml"), encoding="utf-8")
    write_allow_list(folder / "allow-list.toml", server.public, keys)
    package = folder / "app" / PACKAGE
    package.mkdir(parents=True)
    (package / "__init__.py").write_text('"""A federation on Flower."""\n', encoding="utf-8")
    for part in ("client", "server"):
        (package / f"{part}.py").write_text(_template(f"{part}.py.txt"), encoding="utf-8")
    text = Template(_template("pyproject.toml.txt")).substitute(
        federation=toml_value(str(folder.resolve())), package=PACKAGE, sites=schedule.clients
    )
    (folder / "app" / "pyproject.toml").write_text(text, encoding="utf-8")
    for name in ("loopback.sh",):
        path = folder / name
        path.write_text(_template(name), encoding="utf-8")
        path.chmod(0o755)
    (folder / "README.md").write_text(
        Template(_template("README.md")).substitute(sites=schedule.clients, first=names[0]), encoding="utf-8"
    )


def _template(name: str) -> str:
    from importlib import resources

    return (resources.files(__package__) / "templates" / name).read_text(encoding="utf-8")
