"""A server on Flower that ends at any write goes on where its disk stopped; its sites say what it must not forget."""

import numpy as np
import pytest
from flower_grid import Grid
from flwr.app import Message
from flwr.supercore.task_identity import TaskIdentity
from killed_runs import cut_off

from secure_fedmeta.audit import Verdict, audit_run
from secure_fedmeta.cli import main
from secure_fedmeta.errors import LedgerBehind, ResumeRefused, SitesMissing
from secure_fedmeta.federation.exchange import Exchange
from secure_fedmeta.flower import past
from secure_fedmeta.flower.letters import answered, packed
from secure_fedmeta.flower.places import read_server
from secure_fedmeta.flower.server import GridPost, asking, find_sites
from secure_fedmeta.flower.serving import serve
from secure_fedmeta.report.facts import Facts


@pytest.fixture(autouse=True)
def identity(monkeypatch):
    """As Flower's launcher sets it for the process of an app."""
    for name in ("_run_id", "_node_id", "_task_id"):
        monkeypatch.setattr(TaskIdentity, name, 1)


@pytest.fixture
def there(tmp_path):
    folder = tmp_path / "f"
    assert main(["new", str(folder), "--flower", "--clients", "4", "--rounds", "3"]) == 0
    homes = sorted((folder / "sites").iterdir())
    return Grid({100 + i: home for i, home in enumerate(homes)}), folder


def played(grid, folder, *, resume=False):
    parts = read_server(folder / "server")
    nodes = find_sites(grid, parts, deadline=0.5, patience=0.0, resume=resume)
    post = GridPost(grid, nodes, deadline=0.5)
    exchange = Exchange(parts.schedule, (1, 2, 3, 4), post, credentials=parts.credentials)
    return serve(parts, exchange, folder / "run", goes_on=asking(post, parts) if resume else None)


def charges(folder):
    return [(home / "budget.jsonl").read_bytes() for home in sorted((folder / "sites").iterdir())]


@pytest.mark.parametrize("calls", [3, 26, 47, 60, 75, 90, 104, 118])
@pytest.mark.parametrize("torn", [False, pytest.param(True, marks=pytest.mark.long)])
def test_it_goes_on(there, monkeypatch, calls, torn):
    """The sites are cut off with it wherever their own writes come first: theirs are files of the same process here."""
    grid, folder = there
    if not cut_off(monkeypatch, calls, lambda: played(grid, folder), torn=torn):
        pytest.fail("the run came to its end before")
    before = charges(folder)
    grid.app = Grid({}).app
    try:
        played(grid, folder, resume=True)
    except ResumeRefused:
        assert not any(before)
        return
    assert all(new.startswith(old[: old.rfind(b"\n") + 1]) for old, new in zip(before, charges(folder), strict=True))
    facts = Facts.of(folder / "run")
    stated = [each.epsilon["server"] for each in facts.record.rounds]
    assert stated == sorted(stated) and facts.contradictions == []
    audit = audit_run(folder / "run", roster=folder / "allow-list.toml", heads=folder / "sites")
    found = audit.findings
    assert found.verdict in (Verdict.OK, Verdict.INCOMPLETE), found.found
    assert all("countersigned it" in one.what or "kept no head" in one.what for one in found.found), found.found


def cut(monkeypatch, there):
    grid, folder = there
    assert cut_off(monkeypatch, 110, lambda: played(grid, folder))
    return grid, folder


def test_a_ledger_put_back_is_told_by_any_site(there, monkeypatch):
    grid, folder = cut(monkeypatch, there)
    ledger = folder / "run" / "ledger.jsonl"
    lines = ledger.read_bytes().splitlines(keepends=True)
    assert len(lines) > 1
    ledger.write_bytes(b"".join(lines[:1]))
    for state in (folder / "run-server").glob("state-*"):
        state.unlink()
    with pytest.raises(LedgerBehind, match="countersigned line"):
        played(grid, folder, resume=True)


def test_all_sites_must_say_what_they_hold(there, monkeypatch):
    grid, folder = cut(monkeypatch, there)
    parts = read_server(folder / "server")
    nodes = find_sites(grid, parts, deadline=0.5, patience=0.0, resume=True)
    grid.down = {102}
    with pytest.raises(SitesMissing, match="hospital-03 does not say what it holds"):
        asking(GridPost(grid, nodes, deadline=0.5), parts)(None)


def test_answers_that_are_bent(there, monkeypatch):
    grid, folder = cut(monkeypatch, there)
    parts = read_server(folder / "server")
    asked = past.question(bytes(32), None)
    message = Message(packed([asked]), 100, "query.secure_fedmeta")
    reply = grid.ask(message)
    (told,) = answered(reply)
    people = parts.credentials.people
    read = past.read_answer(asked, told, 1, parts.schedule, people)
    assert read.charged and read.spent > 0
    rng = np.random.default_rng(0)
    for at in rng.integers(0, len(told), 60):
        bent = bytearray(told)
        bent[at] ^= 1 << int(rng.integers(8))
        with pytest.raises(LedgerBehind):
            past.read_answer(asked, bytes(bent), 1, parts.schedule, people)
    for short in (0, 10, 100, len(told) - 1):
        with pytest.raises(LedgerBehind):
            past.read_answer(asked, told[:short], 1, parts.schedule, people)
    with pytest.raises(LedgerBehind):  # another question's, and another site's
        past.read_answer(past.question(b"x" * 32, None), told, 1, parts.schedule, people)
    with pytest.raises(LedgerBehind):
        past.read_answer(asked, told, 2, parts.schedule, people)


def test_an_ended_run_and_a_reproducible_one_do_not_go_on(there, tmp_path):
    grid, folder = there
    played(grid, folder)
    with pytest.raises(ResumeRefused, match="has ended"):
        played(grid, folder, resume=True)
