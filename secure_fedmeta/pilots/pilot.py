# SPDX-License-Identifier: Apache-2.0
"""What a pilot is: data and words around a plan. Nothing here loads torch or reads a record."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ..errors import SettingError
from ..plan import Plan
from ..schedule import Schedule, make_schedule

if TYPE_CHECKING:
    from torch.nn import Module

    from fedmeta_privacy.statements import Statements

    from ..datasets.codebook import Codebook
    from ..datasets.federation import Federation
    from ..datasets.records import SiteRecords
    from ..run import Run

Row = dict[str, float | str | None]
OnRound = Callable[[Any, dict[str, float]], None]


@dataclass(frozen=True, slots=True)
class Column:
    """A figure of the tables: its key in a row, its title, and whether small values are good."""

    key: str
    title: str
    low_is_good: bool = False


@dataclass(slots=True)
class Outcome:
    """What a pilot leaves beside the run itself. All scores are simulation only, not covered by epsilon."""

    pilot: Pilot
    run: Run
    table: list[Row] = field(default_factory=list)


class Study(Protocol):
    """Data and evaluation of one plan. Loads torch and scikit-learn; made after the plan has been shown."""

    def execute(
        self,
        *,
        out: Path | None,
        on_round: OnRound | None = None,
        statements: Statements | None = None,
        resume: bool = False,
    ) -> Outcome:
        """Run all rounds, or with `resume` those that a killed run in `out` has left; `on_round` sees each report."""

    def compare(self, theta: NDArray[np.float64], name: str) -> list[Row]:
        """The model beside honest baselines, none of which is private."""


@dataclass(frozen=True, slots=True)
class Pilot:
    """A named federation: whose records, in which words, by which plan unless told otherwise.

    Attributes:
        name: on the command line.
        title: of the report.
        site, person: what a site and a person are called, one of each; plurals add "s" unless given.
        generated: no record is of a real person; said wherever the data are named.
        source: where the records come from.
        later: sites that join after training.
        least, most: member sites.
        defaults: settings of the plan.
        statements: what the pilot itself can say for the documents; an operator's file goes over it.
        columns: of the tables; `live` is the one shown per round.
        shots: records (or rows) that a new site (or person) adapts on.
        codebook: public ranges.
        load: the records of a plan.
        slots: settings that follow from the number of sites.
        study: what runs and judges it.
        network: what is learned, if it is not the closed form.
        data: the description of somebody's own table, for config.toml.
    """

    name: str
    title: str
    site: str
    person: str
    generated: bool
    source: str
    later: int
    least: int
    most: int
    defaults: Mapping[str, Any]
    statements: Mapping[str, Any]
    columns: tuple[Column, ...]
    live: Column
    shots: tuple[int, ...]
    codebook: Callable[[], Codebook]
    load: Callable[[Plan], Federation]
    slots: Callable[[Plan], dict[str, Any]]
    study: Callable[[Pilot, Plan], Study]
    network: Callable[[], Module] | None = None
    plurals: tuple[str, str] = ("", "")
    data: Mapping[str, Any] = field(default_factory=dict)

    @property
    def sites(self) -> str:
        """More than one site."""
        return self.plurals[0] or f"{self.site}s"

    @property
    def persons(self) -> str:
        """More than one person."""
        return self.plurals[1] or f"{self.person}s"

    def unit(self, plan: Plan) -> str:
        """The unit of privacy in words."""
        return {
            "record": f"one {self.person} in a registered slot",
            "task": f"one {self.person} with all rows",
            "client": f"one whole {self.site}",
        }[plan.unit]

    def plan_with(self, settings: Mapping[str, Any], *, where: str = "settings") -> Plan:
        """The pilot's defaults with these settings on top; slots follow the number of sites.

        Raises:
            SettingError: unknown or unsound settings, or a number of sites that the data have no room for.
        """
        checked = Plan.make({**self.defaults, **settings}, where=where)
        if not self.least <= checked.clients <= self.most:
            raise SettingError(
                f"clients = {checked.clients} {self.sites} would have too few {self.persons}, or are too few",
                where,
                f"use {self.least} to {self.most}",
            )
        return Plan.make({**self.defaults, **self.slots(checked), **settings}, where=where)

    def derived(self, plan: Plan) -> list[str]:
        """Settings that follow from the others in this plan, and are left out of its file."""
        return [name for name, value in self.slots(plan).items() if getattr(plan, name) == value]

    def appendix(self, out: Path | None) -> list[str]:
        """The description of somebody's own table, as lines for the config.toml of a run in `out`."""
        if not self.data or out is None:
            return []
        from .own import data_lines

        return data_lines(self.data, out)

    def schedule_for(self, plan: Plan) -> Schedule:
        """Everything that can be said before any record is read. A network's shape is read, so torch is loaded."""
        book = self.codebook()
        architecture, dimension = None, book.width * plan.outputs
        if self.network is not None:
            from ..algorithms.planned import theta_lengths
            from ..parameters import bind

            architecture = bind(self.network())
            dimension = sum(theta_lengths(plan, architecture))
        return make_schedule(
            plan, clients=plan.clients, dimension=dimension, codebook_hash=book.digest(), architecture=architecture
        )

    def federated(
        self,
        plan: Plan,
        sites: Sequence[SiteRecords],
        codebook: Codebook,
        score: Callable[[NDArray[np.float64]], dict[str, float]],
        *,
        out: Path | None,
        on_round: OnRound | None,
        statements: Statements | None,
        resume: bool,
    ) -> Outcome:
        """Run these sites under the pilot's name; `score` judges the model after every round (simulation only).

        Raises:
            SettingError: the plan is for another number of sites, so that what was said of it beforehand is not true.
        """
        from fedmeta_privacy.statements import Statements

        from ..run import federate

        if len(sites) != plan.clients:
            raise SettingError(
                f"clients = {plan.clients}, and the records are of {len(sites)} member {self.sites}",
                f"pilot {self.name}",
                f"set clients = {len(sites)}: later {self.sites} do not count",
            )

        def watch(report: Any, theta: NDArray[np.float64]) -> dict[str, float]:
            metrics = score(theta)
            if on_round is not None:
                on_round(report, metrics)
            return metrics

        run = federate(
            plan,
            sites,
            codebook,
            model=self.network,
            out=out,
            watch=watch,
            pilot=self.name,
            derived=self.derived(plan),
            appendix=self.appendix(out),
            statements=statements or Statements.from_table(self.statements),
            resume=resume,
        )
        return Outcome(self, run)

    def study_of(self, plan: Plan) -> Study:
        """Load the records."""
        return self.study(self, plan)
