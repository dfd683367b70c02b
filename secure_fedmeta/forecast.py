# SPDX-License-Identifier: Apache-2.0
"""What a run will cost, before any record is read: epsilon exactly, bytes and seconds from a rehearsal.

The rehearsal runs the plan's own protocol, clipping, noise and files with rows in the middle of their public ranges, so
it needs no data and tells nothing of them. What is sent does not depend on records at all; what is computed depends on
how many a site holds, of which only the slots are public: time is stated for full slots, and is an upper estimate.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np

from .datasets.codebook import Codebook
from .datasets.records import SiteRecords
from .federation.statements import RECENT_HEADS
from .plan import Plan
from .schedule import Schedule
from .tasks import MIN_RECORDS

if TYPE_CHECKING:
    from torch.nn import Module

REHEARSED = 4  # rounds
FEW_ROWS = 8
ROWS_OF_A_PERSON = 16


@dataclass(frozen=True, slots=True)
class Forecast:
    """What a run of all planned rounds costs.

    Attributes:
        epsilon: per view if the planned survivors answer in every round; None without a guarantee.
        at_worst: of the server's view with the fewest survivors in every round; sites end a run before their budget.
        noise: scale of a site's discrete Gaussian, in steps; None without noise.
        bytes_sent: by all parties in all rounds, without dropouts.
        seconds: of all rounds on this machine, all parties in one process, every slot filled.
        rehearsal: seconds that finding this out took.
    """

    epsilon: dict[str, float] | None
    at_worst: float | None
    noise: float | None
    bytes_sent: int
    seconds: float
    rehearsal: float

    def as_json(self) -> dict[str, Any]:
        """All fields, for the machine-readable output."""
        return {
            "epsilon": self.epsilon,
            "epsilon_at_worst": self.at_worst,
            "noise_steps": self.noise,
            "bytes": self.bytes_sent,
            "seconds": round(self.seconds, 3),
            "rehearsal_seconds": round(self.rehearsal, 3),
        }


def forecast(
    plan: Plan, schedule: Schedule, codebook: Codebook, network: Callable[[], Module] | None = None
) -> Forecast:
    """Rehearse and add up.

    Raises:
        as `federate`, for plans that cannot run.

    Example:
        >>> from .schedule import make_schedule
        >>> plan, book = Plan(clients=3, rounds=12, support_slots=8, query_slots=8), Codebook.from_ranges([(0, 1)])
        >>> schedule = make_schedule(plan, clients=3, dimension=2, codebook_hash=book.digest())
        >>> said = forecast(plan, schedule, book)
        >>> said.bytes_sent > 0 < said.seconds, round(said.epsilon["server"], 2) <= 3.0
        (True, True)
    """
    start = time.perf_counter()
    sent, brief = _rehearse(plan, codebook, network, rounds=min(plan.rounds, REHEARSED), filled=False)
    _, full = _rehearse(plan, codebook, network, rounds=min(plan.rounds, 2), filled=True)
    bytes_sent = round(sum(_bytes_of_round(number, sent) for number in range(1, plan.rounds + 1)))
    # The first round loads what later ones find loaded.
    each = median(full[1:] or full)
    seconds = max(full[0], brief[0]) + (plan.rounds - 1) * each
    return Forecast(
        planned_epsilon(plan, schedule),
        schedule.epsilon(plan.rounds * schedule.floor_shift) if schedule.private else None,
        schedule.scale,
        bytes_sent,
        seconds,
        time.perf_counter() - start,
    )


def _bytes_of_round(number: int, sent: Sequence[int]) -> float:
    """What a round sends: a line of the ledger names one earlier head more each round, up to `RECENT_HEADS`."""
    if number <= len(sent):
        return sent[number - 1]
    growth = (sent[-1] - sent[0]) / (len(sent) - 1)
    return sent[-1] + growth * (min(number, RECENT_HEADS) - len(sent))


def planned_epsilon(plan: Plan, schedule: Schedule) -> dict[str, float] | None:
    """Epsilon per view after all rounds with the planned survivors: the books of such a run."""
    if not schedule.private:
        return None
    from .federation.accounts import Accounts

    cohort = tuple(range(1, schedule.clients + 1))
    answering = frozenset(cohort[: schedule.planned_survivors])
    books = Accounts(schedule, cohort)
    for _ in range(plan.rounds):
        votes = len(answering) if schedule.hiding.signed else None
        books.record(uploaded=answering, survivors=answering, lowered=answering, votes=votes)
    return books.spent().as_views()


def _rehearse(
    plan: Plan, codebook: Codebook, network: Callable[[], Module] | None, *, rounds: int, filled: bool
) -> tuple[list[int], list[float]]:
    """Bytes and seconds of some rounds with made-up rows, files and all."""
    from .run import federate

    sites = [_made_up(plan, codebook, f"site-{number:04d}", filled=filled) for number in range(plan.clients)]
    short = plan.changed(rounds=rounds, dropout=0.0, outside="clip")
    with tempfile.TemporaryDirectory() as place:
        run = federate(short, sites, codebook, model=network, out=Path(place) / "run")
    return [report.bytes_sent for report in run.rounds], [report.seconds for report in run.rounds]


def _made_up(plan: Plan, codebook: Codebook, name: str, *, filled: bool) -> SiteRecords:
    """A site of rows in the middle of their ranges; as many as roles have slots for, or a few."""
    persons = max(MIN_RECORDS, plan.task_slots if filled else FEW_ROWS)
    if plan.unit == "record":
        # A role is a hash's: fewer than all slots, so that chance does not overfill the smaller role.
        room = plan.query_slots if not plan.one_role else plan.support_slots
        persons = max(MIN_RECORDS, int(0.9 * room) if filled else FEW_ROWS)
    rows = ROWS_OF_A_PERSON if plan.unit == "task" and filled else 1 if plan.unit == "record" else 2
    if plan.unit == "client":
        persons, rows = max(FEW_ROWS, min(plan.query_slots, 64) if filled else FEW_ROWS), 1
    ids = tuple(f"{name}-{person:05d}" for person in range(persons) for _ in range(rows))
    middle = np.array([(feature.low + feature.high) / 2 for feature in codebook.features])
    count = len(ids)
    labels = np.zeros(count) if plan.loss == "squared" else (np.arange(count) % 2).astype(float)
    classes = 0 if plan.loss == "squared" else plan.classes
    return SiteRecords(name, np.tile(middle, (count, 1)), labels, ids, classes, rows_repeat=rows > 1)
