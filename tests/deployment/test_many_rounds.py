"""Two hundred rounds, three of ten sites lost in each: what a site and Flower keep does not grow with the rounds."""

import gc
import resource
from pathlib import Path

import numpy as np
import pytest
from deployed import federation
from flower_grid import Grid
from flwr.supercore.task_identity import TaskIdentity

from secure_fedmeta.audit import Verdict, audit_run
from secure_fedmeta.federation.exchange import Exchange
from secure_fedmeta.flower.letters import NOTE
from secure_fedmeta.flower.places import read_server
from secure_fedmeta.flower.server import GridPost, find_sites
from secure_fedmeta.flower.serving import serve

pytestmark = [pytest.mark.long, pytest.mark.deployment]
ROUNDS = 200


def test_nothing_grows(tmp_path, monkeypatch):
    """Flower's own objects in one process, so that two hundred rounds take minutes and not hours."""
    for name in ("_run_id", "_node_id", "_task_id"):
        monkeypatch.setattr(TaskIdentity, name, 1)
    folder = federation(tmp_path / "f", clients=10, rounds=ROUNDS, dropout_fraction=0.3, planned_survivors=7)
    homes = sorted((folder / "sites").iterdir())
    grid = Grid({100 + i: home for i, home in enumerate(homes)})
    parts = read_server(folder / "server")
    nodes = find_sites(grid, parts, deadline=5.0, patience=0.0)
    post = GridPost(grid, nodes, deadline=0.01)
    exchange = Exchange(parts.schedule, tuple(nodes), post, credentials=parts.credentials)
    rng = np.random.default_rng(0)
    sizes, memory, survivors = [], [], []

    def look(exchange, _):
        grid.seen.clear()
        grid.replies.clear()
        grid.down = {100 + int(i) for i in rng.choice(10, 3, replace=False)}
        survivors.append(len(exchange.server.closed.survivors))
        if len(survivors) % 50 == 0:
            gc.collect()
            memory.append(int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize())
            notes = [len(state[NOTE]["note"]) for state in grid.states.values() if NOTE in state]
            parts_kept = [len(list((home / "round").glob("*"))) for home in homes]
            files = [sum(p.stat().st_size for p in home.rglob("*") if p.is_file()) for home in homes]
            sizes.append((max(notes), max(parts_kept), max(files)))

    serve(parts, exchange, folder / "run", on_round=look)
    assert len(survivors) == ROUNDS
    assert all(count in (0, 7, 8, 9, 10) for count in survivors) and np.mean(np.array(survivors) > 0) > 0.9
    notes, kept, files = zip(*sizes, strict=True)
    assert max(notes) < 600 and max(kept) < 12
    # Journals and heads are evidence and get a line a round; nothing else stays.
    assert (files[-1] - files[0]) / (50 * (len(sizes) - 1)) < 1000
    assert memory[-1] - memory[0] < 150 * 60_000, "the server's copies of the ledger's lines, and nothing else"
    audit = audit_run(folder / "run", roster=folder / "allow-list.toml", heads=folder / "sites")
    assert audit.findings.verdict is Verdict.OK, audit.findings.found
