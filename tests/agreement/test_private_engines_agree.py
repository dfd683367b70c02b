"""A private site's own engine, on its padded slots, gives the loop's rows: every algorithm that a plan can name."""

from typing import get_args

import numpy as np
import pytest
from algorithm_cases import NAMES, algorithms_of, small_net
from mode_runs import MODES, mode_data, mode_schedule
from small_runs import random_task

from secure_fedmeta.engines.loop import LoopEngine
from secure_fedmeta.engines.slots import SlottedEngine
from secure_fedmeta.engines.stacked import StackedEngine
from secure_fedmeta.federation.contribution import contribution_of
from secure_fedmeta.performance import Performance
from secure_fedmeta.plan import Plan

PLANNED = get_args(Plan.model_fields["algorithm"].annotation)
NET = small_net()
# The third has more rows than a slot and is computed alone; the fifth is an empty slot.
TASKS = [random_task(np.random.default_rng(n), 3, *size) for n, size in enumerate([(4, 5), (0, 5), (9, 2), (3, 0)])]
TASKS.append(random_task(np.random.default_rng(9), 3, 0, 0))


def planned(algorithm, unit):
    """A schedule with the algorithm, a model away from its start, and registered records of unequal size."""
    mode = MODES["person" if unit == "task" else "site"]
    steps = 1 if algorithm == "per-fedavg" else 2
    schedule = mode_schedule("person", **mode | {"algorithm": algorithm, "inner_lr": 0.3, "inner_steps": steps})
    rng = np.random.default_rng(3)
    data = mode_data(schedule, rng)
    if unit == "task":
        data = (random_task(rng, 3, 5, 1), *data[1:], random_task(rng, 3, 9, 9))
    return schedule, schedule.start + 0.1 * rng.normal(size=schedule.dimension), data


@pytest.mark.parametrize("algorithm", PLANNED)
@pytest.mark.parametrize(
    ("unit", "flag"),
    [
        ("task", Performance("stacked")),
        ("task", Performance("stacked", chunk=4, rows=(4, 4))),
        ("client", Performance("stacked")),
        ("client", Performance("vmap")),
    ],
    ids=lambda one: one if isinstance(one, str) else f"{one.engine}-{one.chunk}",
)
def test_rows_of_a_private_run(algorithm, unit, flag):
    schedule, theta, data = planned(algorithm, unit)
    slow = contribution_of(schedule, data).units(theta, None)
    contribution = contribution_of(schedule, data, flag)
    assert isinstance(contribution._engine, SlottedEngine)
    np.testing.assert_allclose(contribution.units(theta, None), slow, rtol=0, atol=1e-9)
    assert slow.shape == (7 if unit == "task" else 1, schedule.dimension) and (np.abs(slow).max(1) > 1e-3).all()


@pytest.mark.parametrize("name", NAMES)
def test_every_form_of_every_algorithm_in_slots(name):
    algorithm = algorithms_of(NET)[name]
    start = algorithm.start(NET).numpy()
    theta = start + 0.1 * np.random.default_rng(1).normal(size=len(start))
    slow = LoopEngine(NET, algorithm, loss="logistic")
    fast = StackedEngine(NET, algorithm, loss="logistic", chunk=4)
    slotted = SlottedEngine(fast, slow, units=6, rows=(6, 6), shape=(3,))
    for what in ("contributions", "adapted"):
        expected = getattr(slow, what)(theta, TASKS)
        np.testing.assert_allclose(getattr(slotted, what)(theta, TASKS), expected, rtol=0, atol=1e-9, err_msg=what)


@pytest.mark.parametrize("engine", ["loop", "stacked", "auto"])
@pytest.mark.parametrize("algorithm", ["maml", "meta-sgd"])
def test_a_site_that_holds_nobody_contributes_no_row(engine, algorithm):
    schedule, theta, _ = planned(algorithm, "task")
    for data in ((), (TASKS[4],)):
        rows = contribution_of(schedule, data, Performance(engine)).units(theta, None)
        assert rows.shape == (0, schedule.dimension)


def test_whether_an_engine_is_refused_does_not_tell_whether_anybody_is_held():
    from secure_fedmeta.errors import EngineUnsafe

    schedule, _, data = planned("maml", "task")
    for held in (data, ()):
        with pytest.raises(EngineUnsafe, match="SFM-119"):
            contribution_of(schedule, held, Performance("vmap"))
