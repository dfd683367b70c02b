# SPDX-License-Identifier: Apache-2.0
"""What the run has cost so far, seen from three places: the server's books, kept per site.

A run's epsilon is the largest of its sites'. A site that was asked for an upload is charged: with the realised
survivors if it is among them, with the floor if it is not (its upload may have been opened by others). This is an
odometer; each site's own filter decides.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from fedmeta_privacy.claims import View
from fedmeta_privacy.events import Event, NonPrivate

from ..noise_plan import Counted
from ..schedule import Schedule
from .statements import units


@dataclass(frozen=True, slots=True)
class Spent:
    """Epsilon so far per view, at the plan's delta, rounded up; infinite without a guarantee.

    `member` is the server's view with one curious site less noise: what any one site learns from the models it is sent.
    """

    server: float
    release: float
    local: float
    budget_left: float
    member: float = 0.0

    def as_views(self) -> dict[str, float]:
        """By name, the member sites' view among them."""
        return {view.value: getattr(self, view.value) for view in View} | {"member": self.member}


class Accounts:
    """Counts, per site, of rounds by the honest noise in the opened sum."""

    def __init__(self, schedule: Schedule, cohort: tuple[int, ...]) -> None:
        self._schedule = schedule
        # Honest noise -> rounds; a counter keeps the books small and equal events together.
        self._server: dict[int, Counter[Counted]] = {site: Counter() for site in cohort}
        self._release: dict[int, Counter[Counted]] = {site: Counter() for site in cohort}
        self._local: dict[int, Counter[Counted]] = {site: Counter() for site in cohort}

    def record(
        self,
        *,
        uploaded: frozenset[int],
        survivors: frozenset[int],
        lowered: frozenset[int] | None = None,
        votes: int | None = None,
    ) -> None:
        """Book one executed round. `uploaded` are all sites that were asked for an upload, `lowered` those who know it.

        `votes` counts the sites that signed the survivors.

        A site that lies may leave its noise out, which harms outsiders as much as the server's knowledge of it would:
        under signatures the published sum counts as many noises as the server's.
        """
        schedule = self._schedule
        floor, realised = schedule.floor, schedule.counted(len(survivors), votes)
        published = realised if schedule.hiding.signed else realised._replace(honest=len(survivors))
        # Whoever saw an upload by itself has the seeds of its removed parts too; of all, if the round tells nothing.
        alone = Counted(1, realised.dropped if survivors else 0)
        known = survivors if lowered is None else survivors & lowered
        for site in uploaded:
            self._server[site][realised if site in known else floor] += 1
            self._local[site][alone if site in survivors else Counted(1)] += 1
            if site in survivors:
                self._release[site][published] += 1

    def affords_round(self) -> bool:
        """Whether, by these books, every site's filter has room for one more floor."""
        schedule = self._schedule
        if schedule.scale is None:
            return True
        worst = max(self._shift(book) for book in self._server.values())
        return worst * (1 + 2.0**-49) + schedule.floor_shift <= schedule.limit

    def spent(self) -> Spent:
        """Epsilon of the worst site in each view."""
        schedule = self._schedule
        server, release, local = (
            max(self._shift(book) for book in books.values()) for books in (self._server, self._release, self._local)
        )
        left = max(0.0, 1 - server / schedule.limit) if schedule.scale is not None else 0.0
        # Under signatures a curious member is one of the A, unless there are none.
        curious = max(1, schedule.colluders) if schedule.hiding.signed else 1
        member = schedule.epsilon(self.server_shift(curious)) if schedule.masked else schedule.epsilon(local)
        return Spent(schedule.epsilon(server), schedule.epsilon(release), schedule.epsilon(local), left, member)

    def server_shift(self, colluders: int) -> float:
        """Squared shift of the executed rounds for the worst site, had this many sites colluded with the server."""
        schedule = self._schedule
        move = schedule.colluders - colluders
        if schedule.hiding.signed and schedule.hiding.random:
            move = min(move, 0)  # a part of the sum: fewer colluders do not make it larger
        return max(
            sum(rounds * schedule.shift(honest + move, dropped) for (honest, dropped), rounds in book.items())
            for book in self._server.values()
        )

    def books(self) -> list[int]:
        """Each site's rounds, as the server's view counts them, in whole units of the budget; in the cohort's order."""
        limit = self._schedule.limit
        return [
            sum(rounds * units(self._shift({honest: 1}), limit) for honest, rounds in book.items())
            for book in self._server.values()
        ]

    def events(self) -> list[Event]:
        """The worst site's releases to the server, those of a round's costlier role: what a second accountant reads."""
        schedule = self._schedule
        if schedule.scale is None:
            return [NonPrivate()]
        worst = max(self._server.values(), key=self._shift)
        return [event for counted, rounds in sorted(worst.items()) for event in schedule.events(*counted) * rounds]

    def _shift(self, book: Mapping[Counted, int]) -> float:
        return sum(rounds * self._schedule.shift(*counted) for counted, rounds in book.items())
