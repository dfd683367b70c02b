"""An upload exists for others only once its charge is on the disk."""

import json
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from small_runs import Courier, kind_of, local_site, small_run

from fedmeta_crypto import SERVER
from fedmeta_crypto.errors import ProtocolError
from fedmeta_crypto.wire import MessageType
from fedmeta_privacy.budget import GdpFilter
from secure_fedmeta.federation.server import Server
from secure_fedmeta.federation.storage import Appender

SUPPORT = Path(__file__).parents[1] / "support"


def is_upload(message, aggregation):
    return aggregation == "none" or kind_of(message) is MessageType.MASKED_INPUT


@pytest.mark.parametrize("aggregation", ["mask", "none"])
def test_order_of_write_sync_and_delivery(tmp_path, monkeypatch, aggregation):
    log = []
    write, sync, receive = Appender.write, Appender.sync, Server.receive

    def written(self, lines):
        log.append(("write", self.path.parent.name, lines))
        write(self, lines)

    def synced(self):
        sync(self)
        log.append(("sync", self.path.parent.name, b""))

    def received(self, message, *, sender):
        log.append(("deliver", f"site-{sender}", message))
        return receive(self, message, sender=sender)

    monkeypatch.setattr(Appender, "write", written)
    monkeypatch.setattr(Appender, "sync", synced)
    monkeypatch.setattr(Server, "receive", received)
    run, _ = small_run(4, folder=tmp_path, aggregation=aggregation, epsilon=20.0)
    for _ in range(2):
        assert run.run_round().closed.survivors == (1, 2, 3, 4)
    run.close()
    uploads = 0
    for at, (what, site, message) in enumerate(log):
        if what == "deliver" and is_upload(message, aggregation):
            uploads += 1
            number = 1 if uploads <= 4 else 2
            before = [(kind, line) for kind, owner, line in log[:at] if owner == site]
            charges = [i for i, (kind, line) in enumerate(before) if kind == "write" and b'"type":"charge"' in line]
            assert len(charges) == number
            assert json.loads(before[charges[-1]][1])["round"] == number
            assert any(kind == "sync" for kind, _ in before[charges[-1] :])
    assert uploads == 8


KILLED = textwrap.dedent(
    """
    import os, signal, sys
    from pathlib import Path
    sys.path.insert(0, sys.argv[1])
    from small_runs import Courier, kind_of, small_run
    from fedmeta_crypto import SERVER
    from fedmeta_crypto.wire import MessageType
    folder, moment = Path(sys.argv[2]), sys.argv[3]
    run, sites = small_run(4, folder=folder)

    def before(sender, receiver, message):
        if receiver == SERVER and kind_of(message) is MessageType.MASKED_INPUT:
            if moment == "settled":
                sites[sender].settle()
            else:
                # The upload leaves this process: only after `settle`, as every shell must do it.
                sites[sender].settle()
                (folder / "left").write_bytes(message)
            os.kill(os.getpid(), signal.SIGKILL)
        return True

    Courier(run.server, sites, before).announce().run()
    """
)


@pytest.mark.parametrize("moment", ["settled", "sent"])
def test_killed_between_the_disk_and_the_wire(tmp_path, moment):
    ended = subprocess.run(
        [sys.executable, "-c", KILLED, str(SUPPORT), str(tmp_path), moment],
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == -signal.SIGKILL, ended.stderr.decode()
    run, sites = small_run(4)
    floor, limit = run.schedule.floor_shift, run.schedule.limit
    journals = [tmp_path / f"site-{i}" / "budget.jsonl" for i in range(1, 5)]
    # All four had charged by then: the shell lets no upload go before the disks of all have answered.
    assert [GdpFilter.replay(limit, j.read_bytes()).spent for j in journals] == pytest.approx([floor] * 4)
    if moment == "sent":
        (upload,) = [tmp_path / "left"]
        assert kind_of(upload.read_bytes()) is MessageType.MASKED_INPUT
    again = local_site(1, sites[1].client._task, run.schedule, sites, tmp_path / "site-1")
    assert again.client.budget.spent == pytest.approx(floor) and again.client._last_round == 1
    again.close()


def test_killed_between_upload_and_answer_has_paid_the_floor(tmp_path):
    run, sites = small_run(5, folder=tmp_path, epsilon=8.0)
    courier = Courier(run.server, sites).announce()
    courier.run(until=lambda _, to, m: to != SERVER and kind_of(m) is MessageType.SURVIVORS)
    task = sites[3].client._task
    sites[3].close()  # its process is gone; what it knew in memory is lost
    reborn = local_site(3, task, run.schedule, sites, tmp_path / "site-3")
    assert reborn.client.budget.spent == pytest.approx(run.schedule.floor_shift)
    survivors = next(m for _, to, m in courier.queue if to == 3)
    with pytest.raises(ProtocolError, match="SFM-201"):
        reborn.receive(survivors)  # it can answer nothing any more
    sites[3] = run._parties[3] = reborn
    courier.tolerant = True
    courier.run()
    assert run.server.closed.survivors == (1, 2, 3, 4, 5)  # its upload is in the sum all the same
    others = {sites[i].client.budget.spent for i in (1, 2, 4, 5)}
    assert max(others) < reborn.client.budget.spent == pytest.approx(run.schedule.floor_shift)
    assert run.run_round().closed.survivors == (1, 2, 3, 4, 5)
    run.close()


def test_a_disk_that_fails_lets_nothing_out(tmp_path, monkeypatch):
    delivered = []
    receive = Server.receive

    def received(self, message, *, sender):
        delivered.append(kind_of(message))
        return receive(self, message, sender=sender)

    def broken(self):
        raise OSError(5, os.strerror(5))

    monkeypatch.setattr(Server, "receive", received)
    run, _ = small_run(4, folder=tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(Appender, "sync", broken)
        with pytest.raises(OSError, match="Input/output"):
            run.run_round()
    assert delivered == []  # not even a key: the round's beginning could not be made durable
    run.close()
