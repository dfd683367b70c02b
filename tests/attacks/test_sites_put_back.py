"""Older copies of a site's files, one by one and as a whole: the site refuses, and an honest crash is no reason to."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from small_runs import Courier, kind_of, local_site, small_run

from fedmeta_crypto import SERVER
from fedmeta_crypto.errors import ProtocolError
from fedmeta_crypto.wire import MessageType
from fedmeta_privacy.errors import JournalRolledBack
from secure_fedmeta.federation import server as server_module
from secure_fedmeta.federation.simulation import LocalSite
from secure_fedmeta.federation.statements import round_body
from secure_fedmeta.federation.storage import STOPPED

FILES = ("budget.jsonl", "rounds", "heads", "witness")


def federation(folder, *, rounds=8, **changes):
    return small_run(5, folder=folder, rounds=rounds, epsilon=8.0, **changes)


def opened(run, sites, number, folder):
    """The site again, from its folder, as after a restart."""
    sites[number].close()
    again = local_site(number, sites[number].client._task, run.schedule, sites, folder / f"site-{number}")
    sites[number] = run._parties[number] = again
    return again


def copy(folder, number=2):
    kept = folder / "copy"
    shutil.rmtree(kept, ignore_errors=True)
    shutil.copytree(folder / f"site-{number}", kept)
    return kept


@pytest.mark.parametrize("strength", ["malicious", "semi-honest"])
@pytest.mark.parametrize("file", FILES)
def test_one_older_file(tmp_path, file, strength):
    run, sites = federation(tmp_path, strength=strength)
    run.run_round()
    older = copy(tmp_path)
    run.run_round()
    run.run_round()
    sites[2].close()
    if (older / file).read_bytes() == (tmp_path / "site-2" / file).read_bytes():
        assert (file, strength) == ("heads", "semi-honest")  # nobody countersigns there
        return
    shutil.copy(older / file, tmp_path / "site-2" / file)
    if file == "witness":  # a witness is only a witness: one that is behind is what a crash leaves
        opened(run, sites, 2, tmp_path)
        return
    with pytest.raises(JournalRolledBack, match="SFM-310"):
        opened(run, sites, 2, tmp_path)


@pytest.mark.parametrize("lost", [("budget.jsonl",), ("budget.jsonl", "witness"), ("heads",), ("rounds",)])
def test_missing_files_are_older_files(tmp_path, lost):
    run, sites = federation(tmp_path)
    run.run_round()
    sites[2].close()
    for name in lost:
        (tmp_path / "site-2" / name).unlink()
    with pytest.raises(JournalRolledBack, match="SFM-310"):
        opened(run, sites, 2, tmp_path)


def test_an_older_journal_of_a_round_that_was_only_uploaded(tmp_path):
    """Neither voted nor countersigned: the witness alone knows of the charge."""
    run, sites = federation(tmp_path)
    run.run_round()
    older = copy(tmp_path)
    courier = Courier(run.server, sites).announce()
    courier.run(until=lambda sender, to, m: to == SERVER and kind_of(m) is MessageType.CONSISTENCY)
    for site in sites.values():
        site.settle()
    shutil.copy(older / "budget.jsonl", tmp_path / "site-2" / "budget.jsonl")
    with pytest.raises(
        JournalRolledBack, match=r"SFM-310: the budget journal ends with line 2, but line 3 was written"
    ):
        opened(run, sites, 2, tmp_path)


def test_another_journal_with_the_same_rounds(tmp_path):
    """Rebuilt with lower charges, chained and whole: it is not the one that was witnessed."""
    from fedmeta_privacy.budget import GdpFilter

    run, sites = federation(tmp_path)
    run.run_round()
    run.run_round()
    sites[2].close()
    forged = GdpFilter(run.schedule.limit)
    lines = b"".join(forged.charge(round=number, shift=1e-9) for number in (1, 2, 3, 4))
    (tmp_path / "site-2" / "budget.jsonl").write_bytes(lines)
    with pytest.raises(JournalRolledBack, match="is not the one witnessed"):
        opened(run, sites, 2, tmp_path)


@pytest.mark.parametrize("missed", [1, 3])
def test_a_whole_folder_put_back_is_seen_by_the_shared_books(tmp_path, missed):
    """A restored snapshot is consistent in itself; the first line that the site is shown tells."""
    run, sites = federation(tmp_path)
    run.run_round()
    older = copy(tmp_path)
    for _ in range(missed):
        assert run.run_round().closed.countersigned == (1, 2, 3, 4, 5)
    sites[2].close()
    shutil.rmtree(tmp_path / "site-2")
    shutil.copytree(older, tmp_path / "site-2")
    site = opened(run, sites, 2, tmp_path)
    before = site.client.budget.spent
    report = run.run_round()
    assert report.closed.countersigned == (1, 3, 4, 5)
    assert [text for text in report.rejected if "SFM-310" in text and "site 2" in text] == list(report.rejected)
    assert repr(before)[:6] not in report.rejected[0]
    # No upload and no signature from here on: it does not even begin a round.
    rounds = (tmp_path / "site-2" / "rounds").read_bytes()
    report = run.run_round()
    assert 2 not in report.closed.survivors and (tmp_path / "site-2" / "rounds").read_bytes() == rounds
    # Nor after a restart, until a person has looked.
    note = json.loads((tmp_path / "site-2" / STOPPED).read_text())
    assert "do not know" in note["disputed"]
    with pytest.raises(JournalRolledBack, match="restore a copy"):
        opened(run, sites, 2, tmp_path)


def test_an_empty_folder_in_the_middle_of_a_run(tmp_path):
    """A site set up anew has released nothing, says its folder; the books say otherwise."""
    run, sites = federation(tmp_path)
    run.run_round()
    run.run_round()
    sites[2].close()
    shutil.rmtree(tmp_path / "site-2")
    opened(run, sites, 2, tmp_path)
    assert any("SFM-310" in text for text in run.run_round().rejected)


def test_a_server_that_lies_about_earlier_rounds(monkeypatch, tmp_path):
    """Inflated books of one site stop that site only; it keeps the note, and nobody's guarantee is touched."""
    run, _ = federation(tmp_path)
    run.run_round()

    def bent(schedule, facts, **others):
        body = round_body(schedule, facts, **others)
        body["books"][1] += body["books"][1]
        return body

    monkeypatch.setattr(server_module, "round_body", bent)
    report = run.run_round()
    assert 2 not in report.closed.countersigned and any("SFM-310" in text for text in report.rejected)
    assert (tmp_path / "site-2" / STOPPED).stat().st_mode & 0o777 == 0o600


def test_a_site_that_was_offline_is_not_suspected(tmp_path):
    from unittest import mock

    run, _ = federation(tmp_path)

    def play(pattern):
        with mock.patch("secure_fedmeta.federation.simulation.dropout_pattern", return_value=pattern):
            return run.run_round().closed.countersigned

    assert play({}) == (1, 2, 3, 4, 5)
    for phase in ("advertise", "share", "mask", "vote", "unmask"):
        assert play({2: phase}) == (1, 3, 4, 5)
    assert play({}) == (1, 2, 3, 4, 5)


MOMENTS = ["ADVERTISEMENT", "SHARES", "MASKED_INPUT", "CONSISTENCY", "UNMASKING", "COUNTERSIGNATURE"]


@pytest.mark.parametrize("when", ["before it leaves", "after it left"])
@pytest.mark.parametrize("moment", MOMENTS)
def test_a_crash_around_every_message_is_no_rollback(tmp_path, moment, when):
    """The site dies around one message: its folder opens again, and it goes on to countersign."""
    run, sites = federation(tmp_path)
    assert run.run_round().closed.countersigned == (1, 2, 3, 4, 5)
    died = []

    def before(sender, receiver, message):
        if 2 in (sender, receiver) and died:
            return False
        if sender == 2 and kind_of(message).name == moment:
            died.append(copy(tmp_path))
            return when == "after it left"
        return True

    courier = Courier(run.server, sites, before, tolerant=True)
    courier.announce().run()
    assert died
    sites[2].client.abort()
    sites[2]._stored._release()  # the locks, as the system lets go of them
    for name in FILES:  # what was on the disk at that moment and not a byte more
        shutil.copy(died[0] / name, tmp_path / "site-2" / name)
    again = local_site(2, sites[2].client._task, run.schedule, sites, tmp_path / "site-2")
    sites[2] = run._parties[2] = again
    assert run.run_round().closed.countersigned == (1, 2, 3, 4, 5)


def test_torn_and_zeroed_witnesses_are_cut(tmp_path):
    run, sites = federation(tmp_path)
    run.run_round()
    sites[2].close()
    path = tmp_path / "site-2" / "witness"
    whole = path.read_bytes()
    assert len(whole) == 40
    for tail in (b"\x01\x02", bytes(40), bytes(95)):
        path.write_bytes(whole + tail)
        opened(run, sites, 2, tmp_path)
        assert path.read_bytes() == whole


CHILD = """
import os, signal, sys
from pathlib import Path
from small_runs import small_run
from secure_fedmeta.federation.storage import Appender, GroupCommit
run, sites = small_run(5, folder=Path(sys.argv[1]), rounds=8, epsilon=8.0)
left = int(sys.argv[2])
def counted(real):
    def call(*given):
        global left
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*given)
    return call
Appender.write, Appender.sync = counted(Appender.write), counted(Appender.sync)
run.run_round()
run.run_round()
"""


@pytest.mark.parametrize(
    "calls", [44, *(pytest.param(n, marks=pytest.mark.long) for n in (0, 1, 7, 11, 23, 31, 52, 63, 71))]
)
def test_killed_at_any_write_or_sync_every_folder_opens_again(tmp_path, calls):
    """`kill -9` in the middle of two rounds of five sites, at a write or a wait for the disk."""
    support = str(Path(__file__).parents[1] / "support")
    paths = os.pathsep.join([support, *sys.path])
    ended = subprocess.run(
        [sys.executable, "-c", CHILD, str(tmp_path), str(calls)],
        env={**os.environ, "PYTHONPATH": paths},
        capture_output=True,
        check=False,
        timeout=120,
    )
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    schedule = small_run(5, rounds=8, epsilon=8.0)[0].schedule
    from small_runs import tasks_for

    for number, task in tasks_for(range(1, 6)).items():
        site = local_site(number, task, schedule, range(1, 6), tmp_path / f"site-{number}")
        assert isinstance(site, LocalSite) and site.client.budget.spent <= schedule.limit
        site.close()


def test_a_site_process_says_why_it_does_not_start(tmp_path):
    from fedmeta_privacy.budget import GdpFilter
    from secure_fedmeta.errors import RemoteRefusal
    from secure_fedmeta.federation.pipes import PipedSite, write_site

    run, sites = small_run(4, strength="semi-honest")
    home = tmp_path / "site"
    write_site(home, 1, sites[1].client._task, run.schedule)
    witness = GdpFilter(run.schedule.limit)
    witness.charge(round=1, shift=1e-3)
    (home / "witness").write_bytes(witness.witness.to_bytes())
    site = PipedSite(home)
    with pytest.raises(RemoteRefusal, match="SFM-310"):
        site.receive(b"anything")
    site.close()


def test_a_stopped_site_answers_nothing(tmp_path):
    run, sites = federation(tmp_path)
    run.run_round()
    sites[2].client._stopped = JournalRolledBack("older", "restore")
    run.server.announce()
    from small_runs import announced

    with pytest.raises(JournalRolledBack):
        sites[2].receive(announced(run))
    with pytest.raises(ProtocolError):
        sites[1].receive(b"x")
