"""Trackers are told what a run shows, round by round, and no more; without their library they say how to get it."""

import sys
import types

import pytest

from secure_fedmeta import Codebook, Plan, federate
from secure_fedmeta.errors import UsageError
from secure_fedmeta.tracking import mlflow, tensorboard, tracked
from tests.disclosure.conftest import site

PLAN = {"rounds": 3, "epsilon": 4.0, "delta": 1e-4, "support_slots": 80, "query_slots": 80}


def run(watch, **changes):
    sites = [site(f"clinic-{k}", n) for k, n in enumerate((53, 59, 61))]
    return federate(Plan.make(PLAN | changes), sites, Codebook.from_ranges([(0, 1), (0, 1)]), watch=watch)


def test_every_round_is_told_once_with_its_epsilons():
    seen = []
    done = run(tracked(lambda *given: seen.append(given), lambda report, theta: {"score": 0.5}))
    assert [row["score"] for row in done.metrics] == [0.5] * 3
    names = {"epsilon_server", "epsilon_release", "epsilon_local", "epsilon_member", "survivors", "score"}
    assert {name for name, _, _ in seen} == names and len(seen) == 3 * len(names)
    assert max(value for name, value, _ in seen if name == "epsilon_server") == done.spent.server


def test_without_a_guarantee_no_epsilon_is_told():
    seen = []
    run(tracked(lambda *given: seen.append(given[0])), epsilon=None)
    assert set(seen) == {"survivors"}


@pytest.mark.parametrize(("make", "name"), [(lambda: tensorboard("x"), "tensorboard"), (mlflow, "mlflow")])
def test_a_library_that_is_not_there_is_named(monkeypatch, make, name):
    monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setitem(sys.modules, "tensorboard.summary", None)
    with pytest.raises(UsageError, match=f"{name} is not installed"):
        make()


def test_the_calls_are_those_of_the_libraries(monkeypatch, tmp_path):
    calls = []

    class Writer:  # the signature of tensorboard.summary.Writer, 2.21
        def __init__(self, output):
            calls.append(output)

        def add_scalar(self, tag, data, step, *, wall_time=None, description=None):
            calls.append((tag, data, step))

        def flush(self):
            pass

    monkeypatch.setitem(sys.modules, "tensorboard", types.ModuleType("tensorboard"))
    summary = types.ModuleType("tensorboard.summary")
    summary.Writer = Writer
    monkeypatch.setitem(sys.modules, "tensorboard.summary", summary)
    run(tensorboard(tmp_path), rounds=1)
    assert calls[0] == str(tmp_path) and ("survivors", 3.0, 1) in calls
    flow = types.ModuleType("mlflow")
    logged = []
    flow.log_params = logged.append
    flow.log_metric = lambda key, value, step=None: logged.append((key, value, step))
    monkeypatch.setitem(sys.modules, "mlflow", flow)
    run(mlflow(rounds=1), rounds=1)
    assert logged[0] == {"rounds": 1} and ("survivors", 3.0, 1) in logged
