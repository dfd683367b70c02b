"""The same run with every site opened anew for each message: the same bytes, ledger and model as in one process."""

import pytest
from small_runs import DIMENSION, small_plan, tasks_for
from visited import visited

from fedmeta_crypto import SERVER
from secure_fedmeta.federation.identities import credentials_in_memory
from secure_fedmeta.federation.simulation import LocalSite, Simulation
from secure_fedmeta.schedule import make_schedule

N = 5


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"strength": "semi-honest"},
        {"aggregation": "rlwe32"},
        {"dropout_noise": "surplus"},
        {"aggregation": "none"},
    ],
    ids=str,
)
def test_the_same_bytes_as_in_one_process(tmp_path, changes):
    plan = small_plan(**{"rounds": 3, "insecure_reproducible": True, "epsilon": 8.0} | changes)
    schedule = make_schedule(plan, clients=N, dimension=DIMENSION)
    tasks = tasks_for(range(1, N + 1), seed=4)
    mine = credentials_in_memory(schedule, tasks) if schedule.hiding.signed else {}
    sites = {site: LocalSite(site, task, schedule, credentials=mine.get(site)) for site, task in tasks.items()}
    here = Simulation(schedule, sites, credentials=mine.get(SERVER))
    there, _ = visited(tmp_path, schedule, tasks)
    for _ in range(3):
        near, far = here.run_round(), there.run_round()
        assert far.rejected == () and near.closed == far.closed and near.bytes_sent == far.bytes_sent
    assert here.server.ledger_lines() == there.server.ledger_lines()
    assert here.server.outer.theta.tobytes() == there.server.outer.theta.tobytes()
