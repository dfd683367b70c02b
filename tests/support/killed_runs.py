"""Runs in processes of their own that die by SIGKILL at a chosen write, sync, rename or truncation."""

import gc
import os
import signal
import subprocess
import sys
from pathlib import Path

from small_runs import arrays_plan, small_book, small_records

from fedmeta_privacy.budget import GdpFilter
from secure_fedmeta.audit import audit_run
from secure_fedmeta.federation.server import Server
from secure_fedmeta.federation.simulation import Simulation
from secure_fedmeta.federation.storage import Appender
from secure_fedmeta.federation.witness import read_heads
from secure_fedmeta.files import server_beside, sites_beside
from secure_fedmeta.run import federate
from secure_fedmeta.schedule import make_schedule

CHILD = """
import os, signal, sys, json
from pathlib import Path
from secure_fedmeta.federation.storage import Appender
from secure_fedmeta.federation import state, storage
from killed_runs import played
left = int(sys.argv[2])
def counted(real):
    def call(*given, **named):
        global left
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*given, **named)
    return call
Appender.write, Appender.sync = counted(Appender.write), counted(Appender.sync)
os.replace = counted(os.replace)
Path.replace, os.truncate = counted(Path.replace), counted(os.truncate)
played(Path(sys.argv[1]), resume=sys.argv[3] == "resume", **json.loads(sys.argv[4]))
"""


def plan_of(**changes):
    return arrays_plan(**({"rounds": 5, "epsilon": 8.0} | changes))


def played(out, *, resume=False, **changes):
    """A run of four clinics, or what is left of one."""
    return federate(plan_of(**changes), small_records(4), small_book(), out=out, resume=resume)


def killed(out, calls, *, resume=False, **changes):
    """Whether a process that plays it was killed at that call (False: it came to its end before)."""
    import json

    paths = os.pathsep.join([str(Path(__file__).parent), *sys.path])
    command = [sys.executable, "-c", CHILD, str(out), str(calls), "resume" if resume else "new", json.dumps(changes)]
    environment = {**os.environ, "PYTHONPATH": paths}
    ended = subprocess.run(command, env=environment, capture_output=True, check=False, timeout=300)
    assert ended.returncode in (0, -signal.SIGKILL), ended.stderr.decode()[-2000:]
    return ended.returncode != 0


class Died(BaseException):
    """The process is gone, as far as its files can tell."""


def dying(monkeypatch, out, at, moment, **changes):
    """Play a run in this process that ends at the `moment` of round `at` without another byte written."""
    from secure_fedmeta import run as module

    real = Simulation.run_round

    def round_of(self):
        if self.server.round + 1 == at:
            moment(self)
        return real(self)

    with monkeypatch.context() as patch:
        patch.setattr(Simulation, "run_round", round_of)
        patch.setattr(module, "write_documents", lambda *_, **__: {"label": {"plain": ""}})
        patch.setattr(module, "write_model", lambda *_: None)
        patch.setattr(module, "_finish", lambda *_: None)
        patch.setattr("secure_fedmeta.federation.server.Server.abort", lambda *_: None)
        try:
            played(out, **changes)
        except Died:
            return
    raise AssertionError("it did not die")


def cut_off(monkeypatch, calls, play, *, torn=False):
    """Whether `play` came to that write, sync, rename or truncation: there it ends, and nothing is written after it.

    As a kill does for the files; cheaper than a process of its own. With `torn` half of the last write is on the disk.
    """
    left = calls

    def counted(real):
        def call(*given, **named):
            nonlocal left
            left -= 1
            if left < 0:
                if torn and left == -1 and real is writes:
                    real(given[0], given[1][: len(given[1]) // 2])
                raise Died
            return real(*given, **named)

        return call

    def unless_gone(real, instead=None):
        return lambda *given, **named: real(*given, **named) if left >= 0 else instead

    from secure_fedmeta import run as module

    writes = Appender.write
    with monkeypatch.context() as patch:
        patch.setattr(module, "write_documents", unless_gone(module.write_documents, {"label": {"plain": ""}}))
        for place, name in ((module, "write_model"), (module, "_finish"), (Server, "abort")):
            patch.setattr(place, name, unless_gone(getattr(place, name)))
        for place, name in ((Appender, "write"), (Appender, "sync"), (os, "replace"), (os, "truncate")):
            patch.setattr(place, name, counted(getattr(place, name)))
        try:
            play()
        except BaseException:
            if left >= 0:
                raise  # not ours
    gc.collect()  # a killed process holds no file
    return left < 0


def charged(out, **changes):
    """Each site's charges: {site folder's name: {round: squared shift}}."""
    limit = make_schedule(plan_of(**changes).changed(clients=4), clients=4, dimension=4).limit
    homes = sorted(path for path in sites_beside(out).iterdir() if path.is_dir())
    whole = {
        home.name: (home / "budget.jsonl").read_bytes() if (home / "budget.jsonl").exists() else b"" for home in homes
    }
    return {name: dict(GdpFilter.replay(limit, journal)._charges) for name, journal in whole.items()}


def audited(out):
    """The audit with everything an auditor may have: the list from outside the run, and the sites' own files."""
    listed = out.with_name(f"{out.name}-list.toml")
    if (out / "allow-list.toml").exists():
        listed.write_bytes((out / "allow-list.toml").read_bytes())
    return audit_run(out, roster=listed if listed.exists() else None, heads=sites_beside(out))


__all__ = ["Died", "audited", "charged", "cut_off", "dying", "killed", "played", "read_heads", "server_beside"]
