"""Ctrl-C at any moment of a run leaves a ledger that verifies, whole journals, and charges that cover the uploads."""

import os
import signal

import pytest
from small_runs import arrays_plan, small_book, small_records

from fedmeta_privacy.budget import GdpFilter
from fedmeta_privacy.ledger import verify
from secure_fedmeta.files import RunFolder
from secure_fedmeta.run import federate
from secure_fedmeta.schedule import make_schedule


def interrupted_run(out, **changes):
    return federate(arrays_plan(rounds=300, epsilon=50.0, **changes), small_records(4), small_book(), out=out)


def books_are_whole(out):
    if not (out / "ledger.jsonl").exists():
        return []
    entries = verify((out / "ledger.jsonl").read_bytes())
    limit = make_schedule(arrays_plan(rounds=300, epsilon=50.0, clients=4), clients=4, dimension=4).limit
    rounds = [e["body"] for e in entries if e["type"] == "round"]
    for site in sorted((out.parent / f"{out.name}-sites").glob("*/")):
        if not (site / "budget.jsonl").exists():
            assert entries == []
            continue
        journal = (site / "budget.jsonl").read_bytes()
        charged = GdpFilter.replay(limit, journal)._charges
        number = int(site.name.rsplit("-", 1)[1])
        for at, body in enumerate(rounds, start=1):
            assert number not in body["survivors"] or at in charged
    return entries


@pytest.fixture(autouse=True)
def ctrl_c_is_heard():
    """A process started in the background may have inherited "ignore"."""
    held = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, held)


@pytest.fixture
def alarm():
    """Press Ctrl-C after that many seconds, wherever the program is."""
    held = signal.signal(signal.SIGALRM, lambda *_: os.kill(os.getpid(), signal.SIGINT))
    try:
        yield lambda seconds: signal.setitimer(signal.ITIMER_REAL, seconds)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, held)


def test_at_many_moments(tmp_path, alarm):
    ends = attempt = 0
    while attempt < 25 or ends <= 5:  # on a slow machine the rounds begin later: wait longer and longer
        out = tmp_path / f"run{attempt}"
        with pytest.raises(KeyboardInterrupt):
            alarm(min(0.02 * 1.09**attempt, 1.0))
            interrupted_run(out)
        entries = books_are_whole(out)
        assert not entries or entries[0]["type"] == "run"
        if len(entries) > 2:
            assert entries[-1]["type"] == "end" and entries[-1]["body"]["stopped"] == "interrupted"
            ends += 1
        attempt += 1
        assert attempt < 80


def test_while_the_ledger_is_being_written(tmp_path, monkeypatch):
    write, calls = RunFolder.ledger, iter(range(10**6))

    def interrupted(self, lines):
        if next(calls) == 3:
            os.kill(os.getpid(), signal.SIGINT)
        write(self, lines)

    monkeypatch.setattr(RunFolder, "ledger", interrupted)
    with pytest.raises(KeyboardInterrupt):
        interrupted_run(tmp_path / "run")
    books_are_whole(tmp_path / "run")


def test_in_the_middle_of_a_round_the_open_round_is_recorded(tmp_path, monkeypatch):
    from secure_fedmeta.federation.contribution import ClosedForm

    real, calls = ClosedForm.units, iter(range(10**6))

    def interrupted(*arguments):
        if next(calls) == 6:
            raise KeyboardInterrupt
        return real(*arguments)

    monkeypatch.setattr(ClosedForm, "units", interrupted)
    with pytest.raises(KeyboardInterrupt):
        interrupted_run(tmp_path / "run")
    entries = books_are_whole(tmp_path / "run")
    assert [e["type"] for e in entries] == ["run", "round", "round", "end"]
    lost = entries[2]["body"]
    assert lost["aborted"] == "interrupted" and lost["survivors"] == [] and lost["asked"] == [1, 2, 3, 4]
    assert entries[3]["body"]["stopped"] == "interrupted"
    assert float(lost["epsilon"]["server"]) > float(entries[1]["body"]["epsilon"]["server"])
