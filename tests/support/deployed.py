"""Flower's own programs on loopback or in network namespaces, watched from outside."""

import json
import os
import re
import shutil
import signal
import subprocess
import time
from contextlib import contextmanager

import numpy as np

from secure_fedmeta.audit import audit_run
from secure_fedmeta.audit.chain import read_ledger
from secure_fedmeta.federation.contribution import contribution_of, release_of
from secure_fedmeta.federation.model import model_digest
from secure_fedmeta.federation.outer import OuterOptimizer, in_units
from secure_fedmeta.flower.loopback import Loopback
from secure_fedmeta.flower.places import read_place, read_server
from secure_fedmeta.flower.scaffold import scaffold
from secure_fedmeta.pilots import pilot_named

VISIT = 32  # bytes of a site's `visits` for each message that it took
_JSON = re.compile(r"\{\"(?:exchange|aborted)\".*\}")


def federation(folder, *, clients=4, rounds=2, **settings):
    """The folders of all parties of a hospital pilot."""
    pilot = pilot_named("hospital")
    scaffold(folder, pilot, pilot.plan_with({"clients": clients, "rounds": rounds, **settings}))
    return folder


class Deployment(Loopback):
    """All programs, and what can be seen of a run."""

    def __init__(self, folder, *, port, **settings):
        super().__init__(folder, port=port, **settings)
        self.log = self.folder / "run.log"

    def visits(self, site):
        """How many messages a site has taken so far."""
        path = self.folder / "sites" / site / "visits"
        return path.stat().st_size // VISIT if path.exists() else 0

    def until(self, condition, *, seconds=300.0):
        """Wait for something to be so."""
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, f"not within {seconds:g} s: {self.text()[-2000:]}"
            time.sleep(0.02)

    def text(self):
        """What the run has logged."""
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def told(self, key):
        """Its lines of JSON that hold this key."""
        return [line for line in map(json.loads, _JSON.findall(self.text())) if key in line]

    def lines(self, kind):
        """How many lines of this type the ledger holds by now."""
        path = self.folder / "runs/1/ledger.jsonl"
        return path.read_bytes().count(b'"type":"%s"' % kind.encode()) if path.exists() else 0

    def link_alone(self, how=signal.SIGKILL):
        """End the SuperLink's own process and leave what it has started."""
        self._link.send_signal(how)
        self._link.wait()

    def frozen(self, site):
        """A machine that hangs: nothing of a site's runs until it is let go."""
        return _frozen(self._nodes[site].pid)

    def read(self):
        """The server's parts, and the lines of its ledger."""
        out = self.folder / "runs/1"
        return read_server(self.folder / "server"), [line.statement.entry for line in read_ledger(out / "ledger.jsonl")]

    def audited(self):
        """With everything that an auditor may have."""
        return audit_run(self.folder / "runs/1", roster=self.folder / "allow-list.toml", heads=self.folder / "sites")

    def everything_written(self):
        """Every byte in logs, in Flower's databases and in the run's folder."""
        places = [self.logs, self.folder / "runs", self.folder / ".flwr", self.folder / "app"]
        files = [path for place in places for path in place.rglob("*") if path.is_file()]
        return b"\n".join(path.read_bytes() for path in [*files, self.log] if path.exists())


@contextmanager
def _frozen(group):
    os.killpg(group, signal.SIGSTOP)
    try:
        yield
    finally:
        os.killpg(group, signal.SIGCONT)


def expected_models(deployment):
    """Without noise: each round's model, worked out here from the records of the survivors that the ledger names."""
    parts, lines = deployment.read()
    schedule, plan = parts.schedule, parts.plan
    assert not schedule.private
    homes = {number: deployment.folder / "sites" / name for number, name in parts.names.items()}
    held = {number: contribution_of(schedule, read_place(home).records()) for number, home in homes.items()}
    release = release_of(schedule)
    outer = OuterOptimizer(
        plan, dimension=schedule.dimension, survivors=schedule.planned_survivors, start=schedule.start
    )
    for line in lines:
        if line["type"] != "round":
            continue
        body = line["body"]
        assert body["model_before"] == model_digest(outer.theta)
        if body["survivors"]:
            total = sum(release(held[site].units(outer.theta, None), None) for site in body["survivors"])
            decoded = schedule.encoding.decode(np.asarray(total))
            gradients, _ = in_units(decoded, schedule.clipping, slots=len(body["survivors"]) * plan.unit_slots)
            outer.step(gradients)
        yield body, model_digest(outer.theta)


class Hosts(Deployment):
    """Each site in a network namespace of its own, joined to the server's by a cable that can be pulled. Needs root."""

    BRIDGE, NET = "sfm0", "10.213.7"

    def __init__(self, folder, *, port):
        super().__init__(folder, port=port, host=f"{self.NET}.1")

    @staticmethod
    def possible():
        """Whether this machine lets us."""
        if shutil.which("ip") is None or os.geteuid() != 0:
            return False
        made = subprocess.run(["ip", "netns", "add", "sfm-try"], capture_output=True, check=False)
        subprocess.run(["ip", "netns", "del", "sfm-try"], capture_output=True, check=False)
        return made.returncode == 0

    def __enter__(self):
        self.close_network()
        _ip("link", "add", self.BRIDGE, "type", "bridge")
        _ip("addr", "add", f"{self.NET}.1/24", "dev", self.BRIDGE)
        _ip("link", "set", self.BRIDGE, "up")
        for at, _ in enumerate(self.sites):
            space, cable = f"sfm-{at}", f"sfmv{at}"
            _ip("netns", "add", space)
            _ip("link", "add", cable, "type", "veth", "peer", "name", "eth0", "netns", space)
            _ip("link", "set", cable, "master", self.BRIDGE, "up")
            _ip("-n", space, "addr", "add", f"{self.NET}.{at + 10}/24", "dev", "eth0")
            for device in ("lo", "eth0"):
                _ip("-n", space, "link", "set", device, "up")
        return super().__enter__()

    def close(self):
        super().close()
        self.close_network()

    def close_network(self):
        """Take the network down."""
        for at, _ in enumerate(self.sites):
            _ip("netns", "del", f"sfm-{at}", check=False)
            _ip("link", "del", f"sfmv{at}", check=False)
        _ip("link", "del", self.BRIDGE, check=False)

    def command(self, name, *command):
        if name not in self.sites:
            return command
        return ("ip", "netns", "exec", f"sfm-{self.sites.index(name)}", *command)

    def cable(self, site, state):
        """Pull it ("down") or put it back ("up")."""
        _ip("link", "set", f"sfmv{self.sites.index(site)}", state)


def _ip(*arguments, check=True):
    subprocess.run(["ip", *arguments], capture_output=True, check=check)
