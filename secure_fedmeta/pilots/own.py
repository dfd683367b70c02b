# SPDX-License-Identifier: Apache-2.0
"""Somebody's own table as a pilot: `pilot = "table"` and a `[data]` table in a TOML file, as `new` writes it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..datasets.described import Description
from ..datasets.own import federation_of
from ..datasets.table import Table
from ..entropy import role_key
from ..errors import SettingError
from ..plan import Plan
from .columns import AUROC, RECORDS, shot_columns
from .pilot import Pilot, Study

if TYPE_CHECKING:
    from torch.nn import Module

    from ..datasets.federation import Federation

NAME = "table"
SHOTS = (1, 5, 10)
DEFAULTS: Mapping[str, Any] = {
    "rounds": 60,
    "clip_norm": 0.3,
    "support_fraction": 0.2,
    "outer": "sgd",
    "outer_lr": 25.0,
    "tail_average": 0.5,
}
PERSONS: Mapping[str, Any] = {
    "rounds": 60,
    "unit": "task",
    "mode": "task-is-person",
    "algorithm": "fomaml",
    "clip_norm": 0.3,
    "inner_lr": 0.3,
    "inner_steps": 2,
    "outer": "sgd",
    "outer_lr": 3.0,
    "tail_average": 0.5,
}


def own_pilot(data: object, settings: Mapping[str, Any], path: Path, *, confirmed: bool = False) -> Pilot:
    """The pilot of a TOML file.

    Args:
        data: its `[data]` table: `file` (relative to the TOML file), `confirmed`, `hidden` (units of one hidden layer,
            unit task; 0 for a linear model), and what `Description` has.
        settings: of the plan; only `unit` is read here.
        path: of the TOML file, for messages and to find `file`.
        confirmed: a person has said on the command line that the ranges are public.

    Raises:
        SettingError, TableError: `[data]` is missing or unsound.
    """
    where = f"{path}, [data]"
    if not isinstance(data, Mapping) or not isinstance(data.get("file"), str):
        raise SettingError("no table is named", where, 'give [data] with file = "..."; `secure-fedmeta new` writes it')
    stated = dict(data)
    file = path.parent / stated.pop("file")
    agreed = stated.pop("confirmed", False) is True or confirmed
    hidden = stated.pop("hidden", 0)
    if type(hidden) is not int or not 0 <= hidden <= 512:
        raise SettingError(f"hidden = {hidden!r}", where, "give a whole number from 0 to 512")
    described = Description.from_table(stated, where)
    book = described.codebook()
    whole = settings.get("unit") == "task"

    def load(plan: Plan) -> Federation:
        if not agreed:
            raise SettingError(
                "nobody has confirmed that the ranges of [[data.feature]] are public",
                str(path),
                "read them, correct what was taken from the data, then set confirmed = true (or --confirm-ranges)",
            )
        key = role_key("own-table", plan.seed)
        return federation_of(Table.of(file), described, outside=plan.outside, key=key, repeat=whole)

    def network() -> Module:
        import torch

        torch.manual_seed(0)  # the start is public
        inputs = len(book.features)
        if not hidden:
            return torch.nn.Linear(inputs, 1)
        return torch.nn.Sequential(torch.nn.Linear(inputs, hidden), torch.nn.Tanh(), torch.nn.Linear(hidden, 1))

    def study(pilot: Pilot, plan: Plan) -> Study:
        from .records import RecordStudy

        if not whole:
            return RecordStudy(pilot, plan)
        from ..algorithms.inner import GradientSteps
        from .persons import Baselines, PersonStudy

        return PersonStudy(pilot, plan, baselines=Baselines(60, 5, 0.5, GradientSteps(0.3, 2)))

    shots = SHOTS if described.later else ()
    return Pilot(
        name=NAME,
        title=f"Pilot {path.parent.resolve().name}",
        site="site",
        person="person",
        generated=False,
        source=f"the table {file.name}",
        later=len(described.later),
        least=2,
        most=2000,
        defaults=PERSONS if whole else DEFAULTS,
        statements={"title": f"Pilot {path.parent.resolve().name}"},
        columns=(*RECORDS, *shot_columns(shots)),
        live=AUROC,
        shots=shots,
        codebook=lambda: book,
        load=load,
        slots=lambda _: {},
        study=study,
        network=network if whole else None,
        data={**stated, "file": str(file.resolve()), "confirmed": True, "hidden": hidden},
    )


def data_lines(data: Mapping[str, Any], folder: Path) -> list[str]:
    """The `[data]` table as TOML, the file's place relative to `folder`: so that a run's config.toml runs again."""
    from ..files import toml_value

    lines = ["", "[data]"]
    entries = data.get("feature", [])
    for name, value in data.items():
        if name == "feature":
            continue
        stated = os.path.relpath(value, folder.resolve()) if name == "file" else value
        lines.append(f"{name} = {toml_value(stated)}")
    for entry in entries:
        lines += ["", "[[data.feature]]", *(f"{name} = {toml_value(value)}" for name, value in entry.items())]
    return lines
