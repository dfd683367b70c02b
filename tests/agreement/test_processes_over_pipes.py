"""The same run with every site in a process of its own: the same ledger, byte for byte."""

from unittest import mock

import numpy as np
import pytest
from mode_runs import mode_data, mode_schedule
from small_runs import DIMENSION, small_plan, tasks_for

from fedmeta_crypto import SERVER
from fedmeta_privacy.ledger import verify
from secure_fedmeta.errors import ModelRefused
from secure_fedmeta.federation.identities import (
    Credentials,
    credentials_in_memory,
    entropy_of,
    own_identity,
    read_allow_list,
    write_allow_list,
)
from secure_fedmeta.federation.pipes import PipedSite, enrol, write_site
from secure_fedmeta.federation.simulation import LocalSite, Simulation
from secure_fedmeta.schedule import make_schedule

N = 5
# Fixed, so that each phase is hit once and every round still opens.
PATTERNS = [{}, {2: "advertise"}, {3: "mask"}, {1: "unmask"}]


def ledger_of(run, rounds=4):
    reports = []
    for pattern in PATTERNS[:rounds]:
        with mock.patch("secure_fedmeta.federation.simulation.dropout_pattern", return_value=pattern):
            reports.append(run.run_round())
    return run.server.ledger_lines(), reports


@pytest.fixture(scope="module", params=["over-provision", pytest.param("surplus", marks=pytest.mark.long)])
def both(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("sites")
    plan = small_plan(rounds=8, insecure_reproducible=True, epsilon=8.0, dropout_noise=request.param)
    schedule = make_schedule(plan, clients=N, dimension=DIMENSION)
    tasks = tasks_for(range(1, N + 1), seed=4)
    # The same seed gives the parties here the keys that the processes make for themselves.
    mine = credentials_in_memory(schedule, tasks)
    sites = {site: LocalSite(site, task, schedule, credentials=mine[site]) for site, task in tasks.items()}
    here = Simulation(schedule, sites, credentials=mine[SERVER])
    listed = folder / "allow-list.toml"
    publics = {site: (f"clinic-{site}", enrol(folder / f"{site}", site, schedule)) for site in tasks}
    server = own_identity(folder / "server", entropy_of(schedule, SERVER))
    write_allow_list(listed, server.public, publics)
    for site, task in tasks.items():
        write_site(folder / f"{site}", site, task, schedule, allow_list=listed)
    parties = {site: PipedSite(folder / f"{site}") for site in range(1, N + 1)}
    theirs = Credentials(server, read_allow_list(listed, tasks))
    there = Simulation(here.schedule, parties, credentials=theirs)
    try:
        yield here, there, parties, folder
    finally:
        there.close()


@pytest.fixture(scope="module")
def ledgers(both):
    here, there, _, _ = both
    return ledger_of(here), ledger_of(there)


def test_the_ledgers_and_models_are_the_same_bytes(both, ledgers):
    here, there, _, _ = both
    (mine, reports), (theirs, remote) = ledgers
    assert mine == theirs and len(verify(mine)) == 4
    assert [r.closed for r in reports] == [r.closed for r in remote]
    assert [len(r.closed.survivors) for r in remote] == [
        5,
        4,
        4,
        5,
    ]  # whoever falls silent after its upload is in the sum
    assert here.server.outer.theta.tobytes() == there.server.outer.theta.tobytes()
    assert here.server.outer.theta.any()


def test_the_sites_keep_the_same_filters(both, ledgers):
    here, _, parties, _ = both
    assert ledgers
    for site, party in parties.items():
        left = here.schedule.limit - here._parties[site].client.budget.spent
        assert party.affords(left * (1 - 1e-9)) and not party.affords(left * (1 + 1e-9))


def test_no_record_crosses_the_pipe(both, ledgers):
    """What a site says is what its local twin says; it answers nothing else."""
    _, _, parties, folder = both
    assert ledgers
    from secure_fedmeta.errors import RemoteRefusal

    with pytest.raises(RemoteRefusal, match="SFM-111: unknown frame"):
        parties[1]._ask(b"R", b"")
    with np.load(folder / "1" / "records.npz", allow_pickle=False) as arrays:
        assert set(arrays) == {"support_rows", "support_labels", "query_rows", "query_labels"}


def test_a_killed_site_is_survived_by_the_others(both, ledgers):
    _, there, parties, folder = both
    assert ledgers
    journal = (folder / "4" / "budget.jsonl").read_bytes()
    parties[4]._process.kill()
    parties[4]._process.wait(timeout=30)
    report = there.run_round()
    assert report.closed.survivors == (1, 2, 3, 5) and report.closed.aborted is None
    assert any("SFM-111" in text for text in report.rejected)
    assert there.run_round().closed.survivors == (1, 2, 3, 5)
    assert (folder / "4" / "budget.jsonl").read_bytes() == journal


def test_a_network_is_refused_before_anything_is_written(tmp_path):
    schedule = mode_schedule("site")
    with pytest.raises(ModelRefused, match=r"SFM-114: .* closed forms only"):
        write_site(tmp_path, 1, mode_data(schedule, np.random.default_rng(0)), schedule)
    assert list(tmp_path.iterdir()) == []
