"""Killed between its vote and its answer, or after it: a site never votes or answers in that session again."""

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from small_runs import Courier, announced, kind_of, local_site, small_run

from fedmeta_crypto import SERVER
from fedmeta_crypto.errors import OutOfOrder, ProtocolError, Repeated, WrongRound
from fedmeta_crypto.secagg.step import Record, RecordKind
from fedmeta_crypto.wire import MessageType
from secure_fedmeta.federation.server import Server
from secure_fedmeta.federation.storage import RECORD_BYTES, Appender

SUPPORT = Path(__file__).parents[1] / "support"
KILLED = textwrap.dedent(
    """
    import os, signal, sys
    from pathlib import Path
    sys.path.insert(0, sys.argv[1])
    from small_runs import Courier, kind_of, small_run
    from fedmeta_crypto import SERVER
    folder, moment, strength = Path(sys.argv[2]), sys.argv[3], sys.argv[4]
    run, sites = small_run(4, folder=folder, strength=strength)

    def before(sender, receiver, message):
        if receiver == 2 and sender == SERVER:
            (folder / f"server-{kind_of(message).name}").write_bytes(message)
        if receiver == SERVER and sender == 2 and kind_of(message).name == moment:
            sites[2].settle()  # as every shell must, before the message leaves
            (folder / "left").write_bytes(message)
            os.kill(os.getpid(), signal.SIGKILL)
        return True

    Courier(run.server, sites, before).announce().run()
    """
)
KINDS = {
    "ADVERTISEMENT": [RecordKind.ROUND_BEGUN],
    "MASKED_INPUT": [RecordKind.ROUND_BEGUN],
    "CONSISTENCY": [RecordKind.ROUND_BEGUN, RecordKind.SURVIVORS_SIGNED],
    "UNMASKING": [RecordKind.ROUND_BEGUN, RecordKind.SURVIVORS_SIGNED, RecordKind.ANSWERED],
    "COUNTERSIGNATURE": [
        *(RecordKind.ROUND_BEGUN, RecordKind.SURVIVORS_SIGNED, RecordKind.ANSWERED, RecordKind.COUNTERSIGNED),
    ],
}


QUICK = {"CONSISTENCY", "COUNTERSIGNATURE"}


def records(folder):
    data = (folder / "rounds").read_bytes()
    return [Record.from_bytes(data[at : at + RECORD_BYTES]) for at in range(0, len(data), RECORD_BYTES)]


@pytest.mark.parametrize(
    ("moment", "strength"),
    [
        ("CONSISTENCY", "malicious"),
        ("COUNTERSIGNATURE", "malicious"),
        *(pytest.param(moment, "malicious", marks=pytest.mark.long) for moment in sorted(set(KINDS) - QUICK)),
        pytest.param("CONSISTENCY", "semi-malicious", marks=pytest.mark.long),
        pytest.param("UNMASKING", "semi-honest", marks=pytest.mark.long),
    ],
)
def test_killed_when_a_message_left(tmp_path, moment, strength):
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", KILLED, str(SUPPORT), str(tmp_path), moment, strength]
    ended = subprocess.run(command, env=environment, timeout=60, check=False)
    assert ended.returncode == -signal.SIGKILL and (tmp_path / "left").exists()
    kinds = [kind for kind in KINDS[moment] if strength != "semi-honest" or kind is not RecordKind.SURVIVORS_SIGNED]
    known = records(tmp_path / "site-2")
    assert [record.kind for record in known] == kinds and {record.round for record in known} == {1}
    # The head of the line was kept before its countersignature left.
    heads = (tmp_path / "site-2" / "heads").read_bytes()
    assert heads.count(b"\n") == (moment == "COUNTERSIGNATURE")
    run, sites = small_run(4, strength=strength)
    again = local_site(2, sites[2].client._task, run.schedule, sites, tmp_path / "site-2")
    assert again.client._last_round == 1 and again._stored.seen_sessions == {known[0].session}
    spent = again.client.budget.spent
    assert (spent > 0) == (moment != "ADVERTISEMENT")
    with pytest.raises(Repeated, match="SFM-229"):
        again.receive((tmp_path / "server-PARAMETERS").read_bytes())
    run.server.announce()
    with pytest.raises(WrongRound, match="SFM-226"):
        again.receive(announced(run))  # round 1 once more, under another nonce
    for file in sorted(tmp_path.glob("server-*")):
        if file.name != "server-PARAMETERS":
            with pytest.raises(OutOfOrder):
                again.receive(file.read_bytes())
    assert again.client.budget.spent == spent and len(records(tmp_path / "site-2")) == len(known)
    # The next round is a new session: it takes part.
    run.server.abort("lost")
    run.server.announce()
    assert run.server.round == 2 and len(again.receive(announced(run)).send) == 1
    again.close()


def test_every_record_is_written_before_its_message_and_durable_where_it_matters(tmp_path, monkeypatch):
    log = []
    write, sync, receive = Appender.write, Appender.sync, Server.receive

    def written(self, lines):
        log.append((self.path.parent.name, self.path.name, lines))
        write(self, lines)

    def synced(self):
        sync(self)
        log.append((self.path.parent.name, self.path.name, b"sync"))

    def received(self, message, *, sender):
        log.append((f"site-{sender}", "message", message))
        return receive(self, message, sender=sender)

    monkeypatch.setattr(Appender, "write", written)
    monkeypatch.setattr(Appender, "sync", synced)
    monkeypatch.setattr(Server, "receive", received)
    run, _ = small_run(4, folder=tmp_path)
    assert run.run_round().closed.survivors == (1, 2, 3, 4)
    run.close()
    told = []
    for what, content in [(what, content) for site, what, content in log if site == "site-3"]:
        if what == "message":
            told.append(kind_of(content).name)
        elif content == b"sync":
            told.append(f"sync {what}")
        elif what == "rounds":
            told.append(Record.from_bytes(content).kind.name)
        elif what == "witness":
            told.append("charge seen")
        elif what == "heads":
            told.append("head")
    kept = [entry for entry in told if entry != "SHARES"]
    assert kept == [
        *("ROUND_BEGUN", "sync rounds", "ADVERTISEMENT"),
        *("sync budget.jsonl", "charge seen", "MASKED_INPUT"),
        *("SURVIVORS_SIGNED", "sync rounds", "CONSISTENCY"),
        *("ANSWERED", "UNMASKING"),
        *("head", "sync heads", "COUNTERSIGNED", "COUNTERSIGNATURE"),
    ]


def test_a_second_list_of_survivors_gets_no_second_vote():
    run, sites = small_run(4)
    votes = []

    def before(sender, receiver, message):
        if receiver == 2 and kind_of(message) is MessageType.SURVIVORS:
            step = sites[2].receive(message)
            votes.extend(step.send)
            for bent in (message, message[:-1] + bytes([message[-1] ^ 1])):
                with pytest.raises(ProtocolError):
                    sites[2].receive(bent)
            courier._post(2, step)
            return False
        return True

    courier = Courier(run.server, sites, before)
    courier.announce().run()
    assert len(votes) == 1 and votes[0].to == SERVER and run.server.closed.survivors == (1, 2, 3, 4)
