# SPDX-License-Identifier: Apache-2.0
"""The recommender pilot: one user with all ratings is one task and one unit of privacy; a network adapts to each."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..plan import Plan
from .columns import RATINGS, RMSE, shot_columns
from .pilot import Pilot, Study

if TYPE_CHECKING:
    from torch.nn import Module

    from ..datasets.codebook import Codebook
    from ..datasets.federation import Federation

LATER = 2
SHOTS = (1, 5, 10)
_USERS = 80  # of every service, a public number of the generator
_REGISTERED = 0.6
_STARS = 2.0  # a step of 1 in a label

# Chosen on seeds that the reported tables do not use; see docs/pilots.md.
DEFAULTS: dict[str, Any] = {
    "rounds": 16,
    "epsilon": 3.0,
    "delta": 1e-4,
    "clients": 12,
    "unit": "task",
    "mode": "task-is-person",
    "algorithm": "fomaml",
    "loss": "squared",
    "label_bound": 1.0,
    "support_fraction": 0.5,
    "clip_norm": 0.3,
    "inner_lr": 0.3,
    "inner_steps": 2,
    "outer": "sgd",
    "outer_lr": 6.0,
    "tail_average": 0.5,
}
STATEMENTS: dict[str, Any] = {
    "title": "Recommender pilot, simulated",
    "intended_use": "demonstration and teaching",
    "sector": "Technology",
    "person": "user",
    "data_domain": "registered slots of simulated regional services; generated ratings of films by genres and year in "
    "MovieLens' layout; no user exists",
    "preprocessing": "ratings centred at 3 and halved, years and genres by public ranges; nothing is fitted",
    "tuning": "settings were chosen on other seeds of the same generator (docs/pilots.md); no person is concerned",
    "records_per_person": "20 to 40 ratings, one unit together",
}


def slots_for(plan: Plan) -> dict[str, Any]:
    """Room for the users of every service.

    >>> slots_for(Plan())
    {'task_slots': 48}
    """
    del plan
    return {"task_slots": math.ceil(_REGISTERED * _USERS)}


def network() -> Module:
    """Nineteen public features of a film, eight hidden units, one rating; the start is public and always the same."""
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(7)
        return torch.nn.Sequential(torch.nn.Linear(19, 8), torch.nn.Tanh(), torch.nn.Linear(8, 1))


def _book() -> Codebook:
    from ..datasets.generated.recommender import codebook

    return codebook()


def _load(plan: Plan) -> Federation:
    from ..datasets.generated.recommender import load_ratings

    return load_ratings(seed=plan.seed, members=plan.clients, later=LATER)


def _study(pilot: Pilot, plan: Plan) -> Study:
    from ..algorithms.inner import GradientSteps
    from .persons import Baselines, PersonStudy

    baselines = Baselines(60, 5, 0.2, GradientSteps(0.3, 2))
    return PersonStudy(pilot, plan, baselines=baselines, unit_of_label=_STARS)


PILOT = Pilot(
    name="recommender",
    title="Recommender pilot",
    site="service",
    person="user",
    generated=True,
    source="generated ratings in MovieLens' layout: no user exists (docs/pilots.md)",
    later=LATER,
    least=3,
    most=60,
    defaults=DEFAULTS,
    statements=STATEMENTS,
    columns=(*RATINGS, *shot_columns(SHOTS)),
    live=RMSE,
    shots=SHOTS,
    codebook=_book,
    load=_load,
    slots=slots_for,
    study=_study,
    network=network,
)


def reading(path: Path) -> Pilot:
    """The same pilot on a folder of MovieLens: real ratings, users dealt to services at random."""
    from dataclasses import replace

    from ..datasets.generated.recommender import read_movielens

    def load(plan: Plan) -> Federation:
        return read_movielens(path, seed=plan.seed, members=plan.clients, later=LATER)

    return replace(
        PILOT,
        title="Recommender pilot, MovieLens",
        generated=False,
        source="MovieLens (Harper and Konstan 2015): real ratings, users dealt to services at random",
        statements={
            **STATEMENTS,
            "data_domain": "registered slots of simulated services; MovieLens' public ratings, users dealt to services "
            "at random",
            "records_per_person": "all ratings of a user, one unit together",
            "tuning": "none on these files: the settings are those of the generated pilot",
        },
        load=load,
        slots=lambda plan: {"task_slots": math.ceil(1000 * _REGISTERED / (plan.clients + LATER)) + 1},
        data={"file": str(path.resolve())},
    )
