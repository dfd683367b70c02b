"""A thousand runs against an adversary who plans the schedule: no budget is ever overspent by another accountant.

The server chooses every next round from all that happened before, lies about earlier rounds (settles too low a charge
for survivors that were not there cannot be told apart here, so settling stays with the client's own proof), repeats
round numbers, restarts the client at any byte of its journal, and puts back old journals, which the witness refuses.
"""

import numpy as np
import pytest

from fedmeta_privacy import accountant, gdp
from fedmeta_privacy.budget import GdpFilter
from fedmeta_privacy.errors import BudgetExceeded, JournalRolledBack, NotDominated, PlanError
from fedmeta_privacy.events import ClientThenRecord, Gaussian, PoissonGaussian, Repeated
from fedmeta_privacy.filters import DominatingEventFilter, RdpFilter
from fedmeta_privacy.rdp import rdp_epsilon

DELTA = 1e-5
RUNS = {"gdp": 700, "rdp": 200, "dominating": 100}
DECLARED = PoissonGaussian(1.0, 0.05)


class World:
    """One client: its filter, the disk, the second place, and what really left it."""

    def __init__(self, kind, rng):
        self.kind, self.rng = kind, rng
        self.filter = self.fresh()
        self.disk, self.witness, self.left, self.number = b"", None, [], 0

    def fresh(self):
        match self.kind:
            case "gdp":
                return GdpFilter(0.6)
            case "rdp":
                return RdpFilter.for_target(2.0, DELTA, order=12)
        return DominatingEventFilter(DECLARED, 8)

    def replay(self, journal, witness):
        match self.kind:
            case "gdp":
                return GdpFilter.replay(0.6, journal, witness=witness)
            case "rdp":
                return RdpFilter.replay(self.filter.budgets, journal, witness=witness)
        return DominatingEventFilter.replay(DECLARED, 8, journal, witness=witness)

    def round(self, event, number):
        """Charge, make durable, note in the second place, send; a crash may come after any of these."""
        line = (
            self.filter.charge(round=number, shift=event.mu_squared)
            if self.kind == "gdp"
            else self.filter.charge(round=number, event=event)
        )
        moment = self.rng.integers(8)
        self.disk += line[: self.rng.integers(len(line))] if moment == 0 else line
        if moment > 1:
            self.witness = self.filter.witness
        if moment > 2:
            self.left.append(event)
        if moment < 3:
            self.restart()

    def restart(self):
        self.disk = self.disk[: self.disk.rfind(b"\n") + 1]
        self.filter = self.replay(self.disk, self.witness)

    def roll_back(self):
        """Put an old journal back; returns whether the client started with it."""
        lines = self.disk.splitlines(keepends=True)
        old = b"".join(lines[: self.rng.integers(len(lines) + 1)])
        try:
            self.filter = self.replay(old, self.witness)
        except JournalRolledBack:
            return False
        self.disk = old
        return True


def next_event(world):
    """The adversary's choice, from everything seen so far: now and then the costliest that may still fit."""
    rng = world.rng
    noise = float(np.exp(rng.uniform(-0.7, 2.0))) * (0.7 if len(world.left) % 3 == 2 else 1.0)
    if world.kind == "gdp":
        return Gaussian(noise)
    if rng.random() < 0.3:
        return ClientThenRecord(noise, float(rng.uniform(0.1, 1)), float(rng.uniform(0.01, 0.06)))
    return PoissonGaussian(noise, float(rng.uniform(0.01, 0.06)))


@pytest.mark.parametrize("kind", RUNS)
def test_no_schedule_overspends(kind):
    spent, refused, rollbacks = [], 0, 0
    for seed in range(RUNS[kind]):
        world = World(kind, np.random.default_rng([seed, len(kind)]))
        for _ in range(14):
            world.number += 1
            asked = world.number if world.rng.random() < 0.9 else int(world.rng.integers(1, world.number + 1))
            try:
                world.round(next_event(world), asked)
            except (BudgetExceeded, NotDominated):
                refused += 1
            except PlanError:
                pass  # a number used before
            if world.rng.random() < 0.1:
                rollbacks += not world.roll_back()
        spent.append(world)
    # Every sent line was witnessed first, so what is on the disk always covers what left.
    assert refused > RUNS[kind] and rollbacks > RUNS[kind] / 20
    for world in spent:
        independent_check(world)
    assert max(len(world.left) for world in spent) >= 3


def independent_check(world):
    """The budget against what left, by an accountant that the filter does not use."""
    if world.kind == "gdp":
        exact = gdp.epsilon_bounds(sum(event.mu_squared for event in world.left) ** 0.5, DELTA)[0]
        assert exact <= gdp.epsilon_upper(0.6**0.5, DELTA)
    elif world.kind == "rdp":
        assert rdp_epsilon(world.left, DELTA, orders=[12]) <= 2.0 * (1 + 1e-9)
    else:
        assert len(world.left) <= 8
        assert all(event.noise_multiplier >= 1.0 for event in world.left)
        sampling = [
            getattr(event, "sampling_probability", getattr(event, "record_probability", 1)) for event in world.left
        ]
        assert all(q <= 0.05 for q in sampling)


def test_the_declared_guarantee_covers_the_worst_admitted_run_by_another_route():
    budget = DominatingEventFilter(DECLARED, 8)
    claimed = budget.guarantee(DELTA).upper
    admitted = [ClientThenRecord(1.0, 0.9, 0.05), PoissonGaussian(1.0, 0.05), PoissonGaussian(1.1, 0.04)]
    for number in range(8):
        budget.charge(round=number + 1, event=admitted[number % 3])
    composed = accountant.epsilon(
        [Repeated(event, 3) for event in admitted[:2]] + [Repeated(admitted[2], 2)], DELTA
    ).upper
    assert composed <= claimed * (1 + 2e-3)


def test_the_same_adversary_beats_a_client_without_a_witness():
    """The search is able to overspend: it is the witness that stops it."""
    beaten = 0
    for seed in range(60):
        world = World("gdp", np.random.default_rng(seed))
        for number in range(1, 30):
            world.witness = None
            try:
                world.round(next_event(world), number)
            except (BudgetExceeded, PlanError):
                world.roll_back()
        beaten += sum(event.mu_squared for event in world.left) > 0.6
    assert beaten > 30
