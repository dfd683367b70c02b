"""What a site keeps on its disk, and what it still knows after a restart."""

import os

import pytest
from small_runs import announced, announcement, local_site, simulation_of, small_run

from fedmeta_crypto.errors import ProtocolError, Repeated, WrongRound
from fedmeta_crypto.secagg.step import Record, RecordKind
from fedmeta_privacy.budget import GdpFilter
from fedmeta_privacy.errors import JournalDamaged
from secure_fedmeta.errors import FileError, RunError
from secure_fedmeta.federation.storage import Appender, GroupCommit, SiteStorage, claim_folder, refuse_taken

LIMIT = 10.0


def stored(folder):
    return SiteStorage(folder, LIMIT, GroupCommit())


def used(folder, rounds=3):
    """A site that released `rounds` times and was settled once."""
    site = stored(folder)
    for number in range(1, rounds + 1):
        site.keep((begun_record(number), site.budget.charge(round=number, shift=1.0)))
    site.keep((site.budget.settle(round=1, shift=0.25), Record(RecordKind.ANSWERED, 1, bytes(32)).to_bytes()))
    site.close()
    return site


def begun_record(number):
    return Record(RecordKind.ROUND_BEGUN, number, bytes(32)).to_bytes()


def test_a_restart_restores_the_filter_and_the_last_round(tmp_path):
    before = used(tmp_path)
    after = stored(tmp_path)
    assert after.budget.spent == before.budget.spent == pytest.approx(2.25)
    assert after.last_round == 3 and after.budget.last_round == 3
    after.close()


def test_every_torn_journal_is_cut_to_whole_lines_and_stays_usable(tmp_path):
    whole = (used(tmp_path) and (tmp_path / "budget.jsonl")).read_bytes()
    ends = [i + 1 for i, byte in enumerate(whole) if byte == ord("\n")]
    for cut in sorted({*range(0, len(whole), 7), *ends, *(end - 1 for end in ends), *(end + 1 for end in ends[:-1])}):
        # Nothing was sent for what is torn, so no other file speaks of it.
        (tmp_path / "budget.jsonl").write_bytes(whole[:cut])
        (tmp_path / "witness").write_bytes(b"")
        (tmp_path / "rounds").write_bytes(b"".join(begun_record(number) for number in (1, 2, 3, 9)))
        site = stored(tmp_path)
        kept = max((end for end in ends if end <= cut), default=0)
        assert (tmp_path / "budget.jsonl").read_bytes() == whole[:kept]
        # All three charges and the settlement, whichever are whole.
        assert site.budget.spent == pytest.approx([0.0, 1.0, 2.0, 3.0, 2.25][whole[:kept].count(b"\n")])
        site.keep((site.budget.charge(round=9, shift=0.5),))
        site.close()
        assert GdpFilter.replay(LIMIT, (tmp_path / "budget.jsonl").read_bytes()).last_round == 9


def test_every_torn_record_of_a_round_is_cut(tmp_path):
    used(tmp_path)
    whole = (tmp_path / "rounds").read_bytes()
    size = len(whole) // 4
    (tmp_path / "budget.jsonl").write_bytes(b"")
    (tmp_path / "witness").write_bytes(b"")
    whole = b"".join(begun_record(number) for number in (1, 2, 3, 3))
    for cut in (*range(0, len(whole), 5), *range(size - 1, size + 2), len(whole)):
        (tmp_path / "rounds").write_bytes(whole[:cut])
        site = stored(tmp_path)
        assert site.last_round == min(3, cut // size)
        site.close()
        assert (tmp_path / "rounds").stat().st_size == cut - cut % size


@pytest.mark.parametrize(
    "line",
    [
        b"nonsense\n",
        b"{}\n",
        GdpFilter(LIMIT + 1).charge(round=4, shift=1.0),
        GdpFilter(LIMIT).charge(round=1, shift=1.0),
    ],
)
def test_a_whole_line_that_does_not_follow_is_refused_and_nothing_is_cut(tmp_path, line):
    used(tmp_path)
    journal = tmp_path / "budget.jsonl"
    journal.write_bytes(journal.read_bytes() + line)
    before = journal.read_bytes()
    with pytest.raises(JournalDamaged, match="SFM-308"):
        stored(tmp_path)
    assert journal.read_bytes() == before


def test_files_are_private(tmp_path):
    used(tmp_path / "site")
    assert {f.stat().st_mode & 0o777 for f in (tmp_path / "site").iterdir()} == {0o600}
    assert (tmp_path / "site").stat().st_mode & 0o777 == 0o700


def test_a_restart_in_the_middle_of_a_run_never_lowers_what_was_spent(tmp_path):
    run, sites = small_run(4, rounds=6, epsilon=8.0, folder=tmp_path)
    for number in range(1, 7):
        if not run.affords_round():
            break
        assert run.run_round().closed.round == number
        spent = {i: site.client.budget.spent for i, site in sites.items()}
        sites[2].close()
        task = sites[2].client._task
        sites[2] = run._parties[2] = local_site(2, task, run.schedule, sites, tmp_path / "site-2")
        assert sites[2].client.budget.spent == spent[2] > 0
        assert sites[2].client._last_round == number
    assert number == 6
    run.close()


def test_a_site_never_begins_a_round_again_after_a_restart(tmp_path):
    run, sites = small_run(4, folder=tmp_path)
    run.server.announce()
    first = announced(run)
    step = sites[1].receive(first)
    assert len(step.persist) == 1
    run.close()
    again = local_site(1, sites[1].client._task, run.schedule, sites, tmp_path / "site-1")
    with pytest.raises(Repeated, match="SFM-229"):
        again.receive(first)
    run.server.round = 0
    run.server.abort("")
    run.server.announce()  # the same round, with another nonce
    with pytest.raises(WrongRound, match="SFM-226"):
        again.receive(announced(run))
    again.close()


def test_a_new_run_on_used_journals_is_refused_and_each_filter_holds_anyway(tmp_path):
    """A new server's books would start at zero; the sites' own do not."""
    run, sites = small_run(4, rounds=2, folder=tmp_path)
    assert len(list(run.rounds())) == 2
    run.close()
    fresh = {i: local_site(i, s.client._task, run.schedule, sites, tmp_path / f"site-{i}") for i, s in sites.items()}
    with pytest.raises(RunError, match=r"SFM-110: the budget of 4 site"):
        simulation_of(run.schedule, fresh)
    spent = fresh[1].client.budget.spent
    assert spent == sites[1].client.budget.spent > 0 and not fresh[1].affords(run.schedule.floor_shift)
    for number in (1, 2, 3):  # replayed, replayed, beyond the plan
        with pytest.raises(ProtocolError, match=r"SFM-(226|205)"):
            fresh[1].receive(announcement(run.schedule, (1, 2, 3, 4), number=number))
    assert fresh[1].client.budget.spent == spent
    for site in fresh.values():
        site.close()


def test_two_processes_cannot_share_a_site_s_books(tmp_path):
    first = stored(tmp_path)
    with pytest.raises(FileError, match="SFM-103: another run holds this file"):
        stored(tmp_path)
    first.close()
    stored(tmp_path).close()


def test_sync_waits_for_every_file_once(tmp_path, monkeypatch):
    synced = []
    monkeypatch.setattr(Appender, "sync", lambda self: synced.append(self.path.name))
    disks = GroupCommit()
    files = [Appender(tmp_path / name) for name in "abc"]
    for file in files:
        disks.add(file)
    disks.commit()
    disks.commit()
    assert sorted(synced) == ["a", "b", "c"]
    for file in files:
        file.close()
        file.close()


def test_a_long_line_is_written_whole_even_if_the_system_takes_it_in_parts(tmp_path, monkeypatch):
    real = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: real(descriptor, bytes(data)[:3]))
    file = Appender(tmp_path / "lines")
    file.write(b"0123456789\n")
    file.close()
    assert (tmp_path / "lines").read_bytes() == b"0123456789\n"


def test_folders_in_the_way_are_refused(tmp_path):
    claim_folder(tmp_path / "new" / "deep")
    claim_folder(tmp_path / "new" / "deep")  # empty: may be used
    (tmp_path / "file").write_text("x")
    for bad in (tmp_path / "new", tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(FileError, match=r"SFM-103: .*Remedy: choose another --out"):
            refuse_taken(bad)
            claim_folder(bad)
    assert (tmp_path / "file").read_text() == "x"
