"""Printed epsilons may lie as they like: rounds start and stop by the filters alone."""

import math

import pytest
from small_runs import arrays_plan, small_book, small_records

from fedmeta_privacy import accountant
from secure_fedmeta.federation.accounts import Accounts, Spent
from secure_fedmeta.run import federate
from secure_fedmeta.schedule import Schedule


def rounds_of(**changes):
    plan = arrays_plan(rounds=6, dropout=0.1, planned_survivors=8, **changes)
    return federate(plan, small_records(8), small_book())


@pytest.mark.parametrize("lie", [0.0, 1e9, math.inf])
@pytest.mark.parametrize("aggregation", ["mask", "none"])
def test_no_number_that_is_printed_moves_a_round(monkeypatch, lie, aggregation):
    honest = rounds_of(aggregation=aggregation)
    monkeypatch.setattr(accountant, "loss_distribution_epsilon", lambda *_, **__: lie)
    monkeypatch.setattr(accountant, "epsilon", lambda *_, **__: lie)
    monkeypatch.setattr(Schedule, "epsilon", lambda *_: lie)
    monkeypatch.setattr(Accounts, "spent", lambda _: Spent(lie, lie, lie, 0.0))
    told = rounds_of(aggregation=aggregation)
    assert [r.closed.survivors for r in told.rounds] == [r.closed.survivors for r in honest.rounds]
    assert told.stopped == honest.stopped and len(told.rounds) >= 2


def test_a_lying_book_of_the_server_does_not_let_a_site_overspend(monkeypatch):
    monkeypatch.setattr(Accounts, "affords_round", lambda _: True)
    run = rounds_of(colluders=2)
    plan = run.schedule
    for party in run_parties(run, monkeypatch):
        assert party.client.budget.spent <= plan.limit


def run_parties(run, monkeypatch):
    """The sites of another run of the same plan, pushed on until all refuse."""
    from small_runs import local_site, simulation_of, tasks_for

    sites = {
        i: local_site(i, task, run.schedule, range(1, 9)) for i, task in tasks_for(range(1, 9), dimension=4).items()
    }
    simulation = simulation_of(run.schedule, sites)
    reports = [simulation.run_round() for _ in range(20)]
    assert not reports[-1].closed.survivors and reports[0].closed.survivors
    return list(sites.values())
