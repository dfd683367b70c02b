"""What is forecast is what a run then costs: epsilon to the last digit, bytes within one per cent."""

import numpy as np
import pytest

from secure_fedmeta import Codebook, Plan, SiteRecords, federate
from secure_fedmeta.forecast import forecast
from secure_fedmeta.schedule import make_schedule

BOOK = Codebook.from_ranges([(0, 1)] * 4)


def sites(n, rows):
    rng = np.random.default_rng(0)
    return [
        SiteRecords(
            f"real-{k}", rng.uniform(0, 1, (rows, 4)), rng.integers(0, 2, rows).astype(float),
            tuple(f"{k}-{i}" for i in range(rows)),
        )
        for k in range(n)
    ]  # fmt: skip


def plan_of(**changes):
    return Plan.make({"rounds": 14, "support_slots": 30, "query_slots": 30, "clients": 5, "delta": 1e-3} | changes)


@pytest.mark.parametrize("changes", [{}, {"strength": "semi-honest"}, {"aggregation": "rlwe32"}, {"clients": 8}])
def test_bytes_and_epsilon_are_those_of_the_run(changes):
    plan = plan_of(**changes)
    schedule = make_schedule(plan, clients=plan.clients, dimension=5, codebook_hash=BOOK.digest())
    said = forecast(plan, schedule, BOOK)
    run = federate(plan, sites(plan.clients, 25), BOOK)
    sent = sum(report.bytes_sent for report in run.rounds)
    assert len(run.rounds) == plan.rounds and abs(said.bytes_sent / sent - 1) < 0.01
    assert said.epsilon == run.spent.as_views()


def test_other_units_and_networks_are_rehearsed_too():
    import torch

    plan = plan_of(unit="task", mode="task-is-person", task_slots=10, algorithm="fomaml", rounds=3)
    made = lambda: torch.nn.Linear(4, 1)
    from secure_fedmeta.parameters import bind

    net = bind(made())
    schedule = make_schedule(plan, clients=5, dimension=net.dimension, codebook_hash=BOOK.digest(), architecture=net)
    said = forecast(plan, schedule, BOOK, made)
    assert said.bytes_sent > 0 and said.epsilon["server"] <= 3.0


def test_without_noise_no_epsilon_is_forecast():
    plan = plan_of(epsilon=None, rounds=2)
    schedule = make_schedule(plan, clients=5, dimension=5, codebook_hash=BOOK.digest())
    said = forecast(plan, schedule, BOOK)
    assert said.epsilon is None and said.at_worst is None and said.noise is None and said.seconds > 0


def test_rows_that_are_made_up_stay_in_their_ranges():
    book = Codebook.from_ranges([(5, 9), (-3, -2)])
    plan = plan_of(rounds=1)
    schedule = make_schedule(plan, clients=5, dimension=3, codebook_hash=book.digest())
    assert forecast(plan, schedule, book).bytes_sent > 0
