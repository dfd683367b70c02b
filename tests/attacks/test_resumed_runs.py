"""What a resumed run must not forget: ledgers cut or forked, states edited or foreign, and kills at any call."""

import json
import shutil

import pytest
from killed_runs import Died, audited, charged, dying, killed, played

from fedmeta_privacy.errors import JournalRolledBack, LedgerDamaged
from secure_fedmeta.audit import Verdict
from secure_fedmeta.errors import IdentityRefused, LedgerBehind, StateDamaged
from secure_fedmeta.federation.state import held_states
from secure_fedmeta.files import server_beside, sites_beside


def between(simulation):
    raise Died


@pytest.fixture
def stopped(tmp_path, monkeypatch):
    out = tmp_path / "run"
    dying(monkeypatch, out, 4, between)
    return out


def cut(out, lines):
    path = out / "ledger.jsonl"
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:lines]))


def newest_state(out):
    return server_beside(out) / f"state-{held_states(server_beside(out))[-1]}.safetensors"


@pytest.mark.parametrize("left", [1, 2, 3])
@pytest.mark.parametrize("states", ["kept", "gone"])
def test_a_ledger_cut_short_is_refused_or_restored_to_the_last_line(stopped, left, states):
    whole = (stopped / "ledger.jsonl").read_bytes().splitlines()
    cut(stopped, left)
    if states == "gone":
        for path in server_beside(stopped).glob("state-*"):
            path.unlink()
    if left == 3 and states == "kept":  # the server's own folder has the one line that is missing
        played(stopped, resume=True)
        lines = [json.loads(line) for line in (stopped / "ledger.jsonl").read_bytes().splitlines()]
        assert lines[3] == json.loads(whole[3]) and lines[4]["body"]["finished"] == 3
        assert audited(stopped).findings.verdict is Verdict.OK
        return
    with pytest.raises(LedgerBehind, match=r"SFM-144: .*restore ledger\.jsonl"):
        played(stopped, resume=True)


@pytest.mark.parametrize("strength", ["malicious", "semi-honest"])
def test_a_ledger_put_back_with_the_servers_folder_is_behind_its_sites(tmp_path, monkeypatch, strength):
    out = tmp_path / "run"
    dying(monkeypatch, out, 2, between, strength=strength)
    for folder in (out, server_beside(out)):
        shutil.copytree(folder, folder.with_name(folder.name + "-old"))
    played(out, resume=True, strength=strength)
    for folder in (out, server_beside(out)):
        shutil.rmtree(folder)
        folder.with_name(folder.name + "-old").rename(folder)
    with pytest.raises(LedgerBehind, match="SFM-144"):
        played(out, resume=True, strength=strength)


def test_an_edited_or_foreign_state_is_refused(stopped, tmp_path, monkeypatch):
    path = newest_state(stopped)
    whole = path.read_bytes()
    for bent in (whole[:-1] + bytes([whole[-1] ^ 1]), whole[:-9], b"", whole.replace(b'"counts":"[3', b'"counts":"[2')):
        assert bent != whole
        path.write_bytes(bent)
        with pytest.raises(StateDamaged, match="SFM-145"):
            played(stopped, resume=True)
    dying(monkeypatch, tmp_path / "other", 4, between)
    path.write_bytes(newest_state(tmp_path / "other").read_bytes())
    with pytest.raises(StateDamaged, match="SFM-145: it belongs to another run"):
        played(stopped, resume=True)
    path.unlink()
    with pytest.raises(StateDamaged, match="SFM-145: it cannot be read"):
        played(stopped, resume=True)
    path.write_bytes(whole)
    played(stopped, resume=True)


def test_lost_keys_and_emptied_sites_are_refused(stopped):
    home = sites_beside(stopped) / "clinic-2"
    journal = (home / "budget.jsonl").read_bytes()
    for name in ("budget.jsonl", "rounds", "heads", "witness"):
        (home / name).unlink()
    with pytest.raises(JournalRolledBack, match="SFM-310: site 2 answered round 1"):
        played(stopped, resume=True)
    assert journal
    (home / "identity.key").unlink()
    with pytest.raises(IdentityRefused, match="SFM-112: the key that this run began with is missing"):
        played(stopped, resume=True)
    assert not (home / "identity.key").exists()


def test_a_run_resumed_twice_from_one_point_shows_as_a_fork(stopped):
    copy = stopped.with_name("copy")
    shutil.copytree(stopped, copy)
    shutil.copytree(server_beside(stopped), server_beside(copy))
    shutil.copytree(sites_beside(stopped), sites_beside(copy))
    played(stopped, resume=True)
    shutil.rmtree(stopped)
    shutil.rmtree(server_beside(stopped))
    shutil.copytree(copy, stopped)
    shutil.copytree(server_beside(copy), server_beside(stopped))
    with pytest.raises(LedgerBehind, match="SFM-144"):  # the sites went on, and the server came back
        played(stopped, resume=True)
    played(copy, resume=True)
    shutil.rmtree(sites_beside(copy))
    shutil.copytree(sites_beside(stopped), sites_beside(copy))
    assert audited(copy).findings.verdict is Verdict.TAMPERED


@pytest.mark.parametrize("dropped", ["resume", "round"])
def test_lines_left_out_of_a_resumed_ledger(stopped, dropped):
    played(stopped, resume=True)
    path = stopped / "ledger.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:4] + lines[5:] if dropped == "resume" else lines[:3] + lines[4:]))
    assert audited(stopped).findings.verdict is Verdict.TAMPERED
    path.write_bytes(b"".join(lines[:2]) + b"{}\n")
    with pytest.raises(LedgerDamaged):
        played(stopped, resume=True)


def goes_on(out, calls):
    """Kill at that call, and go on: what was charged stays charged, and the audit adds up."""
    if not killed(out, calls) or not (out / "ledger.jsonl").exists() or not (out / "ledger.jsonl").stat().st_size:
        return
    before = charged(out)
    played(out, resume=True)
    after = charged(out)
    assert all(set(old) <= set(after[name]) for name, old in before.items())
    assert all(after[name][at] >= shift * (1 - 1e-12) for name, old in before.items() for at, shift in old.items())
    audit = audited(out)
    # Between the first countersignature and the last one needed, too few are left: it says so, and no more.
    few = [one for one in audit.findings.found if "countersigned it" in one.what]
    assert audit.findings.verdict is Verdict.OK or audit.findings.found == few, audit.findings.found


@pytest.mark.parametrize("calls", [20, pytest.param(77, marks=pytest.mark.long)])
def test_killed_at_some_calls(tmp_path, calls):
    goes_on(tmp_path / "run", calls)


@pytest.mark.long
@pytest.mark.parametrize("calls", range(3, 203, 26))
def test_killed_at_many_calls(tmp_path, calls):
    goes_on(tmp_path / "run", calls)


@pytest.mark.long
@pytest.mark.parametrize("schedule", [(25, 9, 30), (60, 3, 5)])
def test_killed_again_and_again_epsilon_never_falls(tmp_path, schedule):
    out, spent = tmp_path / "run", {}
    for number, calls in enumerate(schedule):
        killed(out, calls, resume=number > 0)
        now = charged(out)
        assert all(at in now[name] for name, old in spent.items() for at in old)
        spent = now
    played(out, resume=True)
    lines = [json.loads(line) for line in (out / "ledger.jsonl").read_bytes().splitlines()]
    stated = [float(line["body"]["epsilon"]["server"]) for line in lines if line["type"] in ("round", "end")]
    assert stated == sorted(stated)
    assert audited(out).findings.verdict in (Verdict.OK, Verdict.INCOMPLETE)
