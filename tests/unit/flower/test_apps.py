"""The apps with Flower's own objects, in one process: letters are carried as they are, and errors tell no data."""

import json
import logging

import numpy as np
import pytest
from flower_grid import Grid
from flwr.app import ConfigRecord, Context, Message, RecordDict
from flwr.supercore.task_identity import TaskIdentity

from secure_fedmeta.audit import Verdict, audit_run
from secure_fedmeta.cli import main
from secure_fedmeta.errors import SitesMissing, UserError
from secure_fedmeta.federation.exchange import Exchange, Refused
from secure_fedmeta.flower import letters, server_app
from secure_fedmeta.flower.places import read_server
from secure_fedmeta.flower.server import GridPost, find_sites
from secure_fedmeta.flower.serving import serve


@pytest.fixture(autouse=True)
def identity(monkeypatch):
    """As Flower's launcher sets it for the process of an app."""
    for name in ("_run_id", "_node_id", "_task_id"):
        monkeypatch.setattr(TaskIdentity, name, 1)


@pytest.fixture
def grid(tmp_path):
    assert main(["new", str(tmp_path / "f"), "--flower", "--clients", "4", "--rounds", "2"]) == 0
    homes = sorted((tmp_path / "f" / "sites").iterdir())
    return Grid({100 + i: home for i, home in enumerate(homes)}), tmp_path / "f"


def found(grid, folder, **settings):
    parts = read_server(folder / "server")
    return parts, find_sites(grid, parts, **{"deadline": 0.5, "patience": 0.0} | settings)


def test_a_run_leaves_what_a_run_leaves(grid, caplog):
    grid, folder = grid
    context = Context(1, 1, {}, RecordDict(), {"federation": str(folder), "out": "runs/1", "patience": 0.0})
    with caplog.at_level(logging.INFO, logger="flwr"):
        server_app()(grid, context)
    out = folder / "runs" / "1"
    heads = {path.name: path for path in (folder / "sites").iterdir()}
    audit = audit_run(out, roster=folder / "allow-list.toml", heads=folder / "sites")
    assert audit.findings.verdict is Verdict.OK and len(heads) == 4, audit.findings.found
    assert main(["report", str(out)]) == 0
    told = [json.loads(r.message) for r in caplog.records if r.message.startswith("{")]
    assert [line["round"] for line in told if "round" in line] == [1, 2]
    assert all(line["exchange"]["late"] == [] for line in told if "exchange" in line)
    # Neither logs nor what Flower keeps hold a key or a record.
    written = "\n".join(r.message for r in caplog.records).encode()
    for home in heads.values():
        assert (home / "identity.key").read_bytes() not in written
    kept = [state[letters.NOTE]["note"] for state in grid.states.values()]
    assert all(isinstance(note, bytes) and len(note) > 100 for note in kept)


def test_nodes_that_are_down_or_broken_are_missing(grid):
    grid, folder = grid
    parts, nodes = found(grid, folder)
    assert nodes == {1: 100, 2: 101, 3: 102, 4: 103}
    post = GridPost(grid, nodes, deadline=0.5)
    exchange = Exchange(parts.schedule, (1, 2, 3, 4), post, credentials=parts.credentials)
    grid.down = {103}
    report = exchange.run_round()
    assert parts.schedule.hiding.min_survivors == 4 and report.closed.survivors == () and report.closed.aborted
    assert exchange.phases[0].late == (4,)
    grid.down, grid.broken = set(), {102}
    report = exchange.run_round()
    assert any("Flower could not deliver" in text for text in report.rejected) and "boom" not in str(report.rejected)


def test_a_superlink_that_is_away_for_a_while_ends_nothing(grid):
    grid, folder = grid
    parts, nodes = found(grid, folder)
    post = GridPost(grid, nodes, deadline=5.0)
    exchange = Exchange(parts.schedule, (1, 2, 3, 4), post, credentials=parts.credentials)
    grid.away = 3
    report = exchange.run_round()
    assert report.closed.survivors == (1, 2, 3, 4) and grid.away == 0
    grid.away = 10**6
    late = exchange.post = GridPost(grid, nodes, deadline=0.2)
    report = exchange.run_round()
    assert report.closed.aborted and late is exchange.post


def test_sites_that_are_missing_twice_or_spent(grid):
    grid, folder = grid
    grid.down = {100, 101}
    with pytest.raises(SitesMissing, match=r"SFM-151: 2 sites did not come: hospital-01, hospital-02"):
        found(grid, folder)
    grid.down = set()
    grid.homes[104], grid.states[104] = grid.homes[103], RecordDict()
    with pytest.raises(SitesMissing, match="two nodes are site hospital-04"):
        found(grid, folder)
    del grid.homes[104]
    parts, nodes = found(grid, folder)
    serve(
        parts,
        Exchange(parts.schedule, (1, 2, 3, 4), GridPost(grid, nodes, deadline=0.5), parts.credentials),
        folder / "a",
    )
    with pytest.raises(SitesMissing, match="was used by an earlier run"):
        found(grid, folder)
    with pytest.raises(UserError, match="SFM-103"):
        serve(
            parts,
            Exchange(parts.schedule, (1, 2, 3, 4), GridPost(grid, nodes, deadline=0.5), parts.credentials),
            folder / "a",
        )


def test_a_site_says_why_and_nothing_else(grid, monkeypatch):
    grid, folder = grid
    secret = "patient 4711 has 3.14"

    def broken(*_):
        raise RuntimeError(secret)

    monkeypatch.setattr("secure_fedmeta.flower.site.read_place", broken)
    parts = read_server(folder / "server")
    with pytest.raises(SitesMissing, match="the site failed: RuntimeError") as raised:
        find_sites(grid, parts, deadline=0.5, patience=0.0)
    assert "4711" not in str(raised.value)


@pytest.mark.parametrize(
    "content",
    [
        {},
        {"secure-fedmeta": ConfigRecord({})},
        {"secure-fedmeta": ConfigRecord({"letters": [1, 2]})},
        {"secure-fedmeta": ConfigRecord({"letters": "text"})},
        {"secure-fedmeta": ConfigRecord({"letters": []})},
        {"secure-fedmeta": ConfigRecord({"letters": [b"nonsense"]})},
        {"secure-fedmeta": ConfigRecord({"letters": [bytes(300)]})},
    ],
)
def test_whatever_comes_is_answered_with_a_numbered_error(grid, content):
    grid, _ = grid
    reply = grid.ask(Message(RecordDict(content), dst_node_id=100, message_type="query.secure_fedmeta"))
    answer = letters.answered(reply)
    assert isinstance(answer, Refused) and answer.text.startswith("SFM-")


def test_letters_are_carried_as_they_are():
    rng = np.random.default_rng(0)
    sent = [b"", rng.bytes(1), rng.bytes(100_000)]
    message = Message(letters.packed(sent), dst_node_id=1, message_type="query.secure_fedmeta")
    assert letters.unpacked(message) == tuple(sent)
