# SPDX-License-Identifier: Apache-2.0
"""A deployment on this machine, to try it: Flower's SuperLink and a SuperNode a site, with TLS and a key for each.

    python -m secure_fedmeta.flower.loopback FEDERATION [--port 9190] [--out runs/1]

It starts Flower's own programs with the options that docs/flower.md gives for machines of their own, runs the app, and
stops them again.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from types import TracebackType
from typing import Self

from ..errors import FileError, UsageError, UserError
from ..files import toml_value
from . import certificates
from .places import SITE

LINK = "here"
PATIENCE = 60.0  # seconds for a program to answer
_QUIET = {"FLWR_TELEMETRY_ENABLED": "0", "FLWR_DISABLE_UPDATE_CHECK": "1"}
_QUICK = {"FLWR_SUPEREXEC_TASK_POLL_INTERVAL": "0.2"}  # seconds that a message may wait for its process; 1 if unset


class Loopback:
    """The processes of a federation in `folder`, started in a `with` block and ended with it.

    Args:
        folder: made by `secure-fedmeta new --flower`.
        port: of the SuperLink; the SuperNodes take the next ones.
        host: its address, which the sites connect to.
    Raises:
        UsageError: Flower is not installed.  FileError: no federation there, or a program does not start.

    Attributes:
        sites: names, in the order of their ports.
        logs: what the programs print, a file each.
    """

    def __init__(self, folder: Path, *, port: int = 9190, host: str = "127.0.0.1") -> None:
        self.folder, self.port, self.host = folder.resolve(), port, host
        self.sites = tuple(sorted(path.parent.name for path in self.folder.glob(f"sites/*/{SITE}")))
        if not self.sites:
            raise FileError("no federation is there", str(folder), "make one: secure-fedmeta new NAME --flower")
        self.logs = self.folder / "logs"
        self._certificates = self.folder / "certificates"
        programs = Path(sys.executable).parent
        self._path = os.pathsep.join([str(programs), os.environ.get("PATH", "")])
        if shutil.which("flower-superlink", path=self._path) is None:
            raise UsageError("Flower is not installed", "loopback", 'pip install "secure-fedmeta[flower]"')
        self._link: subprocess.Popen[bytes] | None = None
        self._nodes: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> Self:
        self.logs.mkdir(exist_ok=True)
        certificates.make(self._certificates, self.host, self.sites)
        home = self.folder / ".flwr"
        home.mkdir(exist_ok=True)
        authority = toml_value(str(self._certificates / "ca.crt"))
        (home / "config.toml").write_text(
            f'[superlink]\ndefault = "{LINK}"\n[superlink.{LINK}]\naddress = "{self.host}:{self.port}"\n'
            f"root-certificates = {authority}\n",
            encoding="utf-8",
        )
        try:
            self.start_link()
            for site in self.sites:
                self.flwr("supernode", "register", str(self._certificates / site / "node.pub"), LINK)
                self.start_site(site)
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def environment(self) -> dict[str, str]:
        """Of every program: no telemetry, and its own home."""
        return {**os.environ, **_QUICK, **_QUIET, "FLWR_HOME": str(self.folder / ".flwr"), "PATH": self._path}

    def start_link(self) -> None:
        """Start the SuperLink, with its database on the disk, and wait until it answers."""
        own = self._certificates / "superlink"
        self._link = self._started(
            "superlink",
            "flower-superlink",
            *self._tls(own),
            "--enable-supernode-auth",
            "--disable-runtime-dependency-installation",
            "--database",
            str(self.logs / "superlink.db"),
            "--host",
            self.host,
            "--port",
            str(self.port),
        )
        start = time.monotonic()
        while self.flwr("ls", LINK, check=False).returncode:
            if self._link.poll() is not None or time.monotonic() - start > PATIENCE:
                raise FileError("the SuperLink does not answer", str(self.logs / "superlink.log"), "read the file")
            time.sleep(0.5)

    def start_site(self, site: str) -> None:
        """Start a site's SuperNode; it names the site's own folder."""
        own = self._certificates / site
        self._nodes[site] = self._started(
            site,
            "flower-supernode",
            "--superlink",
            f"{self.host}:{self.port}",
            "--root-certificates",
            str(self._certificates / "ca.crt"),
            "--auth-supernode-private-key",
            str(own / "node.key"),
            "--port",
            str(self.port + 1 + self.sites.index(site)),
            *self._tls(own),
            "--node-config",
            f"site={toml_value(str(self.folder / 'sites' / site))}",
        )

    def stop_site(self, site: str, how: int = signal.SIGKILL) -> None:
        """End a site's SuperNode and all that it has started."""
        _end(self._nodes.pop(site), how)

    def stop_link(self, how: int = signal.SIGKILL) -> None:
        """End the SuperLink and all that it has started, the server's app among it."""
        if self._link is not None:
            _end(self._link, how)
            self._link = None

    def command(self, name: str, *command: str) -> Sequence[str]:
        """How a program is started: a place to put another network around it."""
        del name
        return command

    def run(
        self,
        config: Mapping[str, object] | None = None,
        *,
        app: Path | None = None,
        log: Path | None = None,
        timeout: float | None = None,
    ) -> int:
        """Run the app, or another one, and show its log (or append it to a file); Flower's exit status."""
        with self.started_run(config, app=app, log=log) as started:
            try:
                return started.wait(timeout)
            finally:
                started.kill()

    def started_run(
        self, config: Mapping[str, object] | None = None, *, app: Path | None = None, log: Path | None = None
    ) -> subprocess.Popen[bytes]:
        """Begin what `run` does, and do not wait; its end is that of the run's log, not of the run."""
        given = " ".join(f"{name}={toml_value(value)}" for name, value in (config or {}).items())
        options = ["--run-config", given] if given else []
        command = ["flwr", "run", str(app or self.folder / "app"), LINK, "--stream", *options]
        with nullcontext() if log is None else log.open("ab") as sink:
            return subprocess.Popen(command, env=self.environment, stdout=sink, stderr=sink)  # noqa: S603

    def flwr(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[bytes]:
        """One of Flower's own commands.

        Raises:
            FileError: it fails.
        """
        done = subprocess.run(["flwr", *arguments], env=self.environment, capture_output=True, check=False)  # noqa: S603, S607
        if check and done.returncode:
            said = done.stdout.decode(errors="replace").strip().splitlines()[-1:]
            raise FileError(f"flwr {arguments[0]} failed: {' '.join(said)[:300]}", str(self.folder), "read the message")
        return done

    def close(self) -> None:
        """End all of them."""
        for site in list(self._nodes):
            self.stop_site(site, signal.SIGTERM)
        self.stop_link(signal.SIGTERM)

    def _tls(self, own: Path) -> list[str]:
        names = {"certfile": own / "tls.crt", "keyfile": own / "tls.key", "ca-certfile": self._certificates / "ca.crt"}
        return [part for name, path in names.items() for part in (f"--ssl-{name}", str(path))]

    def _started(self, name: str, *command: str) -> subprocess.Popen[bytes]:
        with (self.logs / f"{name}.log").open("ab") as log:
            return subprocess.Popen(  # noqa: S603 - Flower's programs, no shell
                self.command(name, *command),
                env=self.environment,
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )


def _end(process: subprocess.Popen[bytes], how: int) -> None:
    """End a process with all that it has started, which Flower keeps in its session."""
    if process.poll() is None:
        os.killpg(process.pid, how)
    try:
        process.wait(timeout=20)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def main(arguments: Sequence[str] | None = None) -> int:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m secure_fedmeta.flower.loopback", description=__doc__)
    parser.add_argument("federation", type=Path)
    parser.add_argument("--port", type=int, default=9190)
    parser.add_argument("--out", default="runs/1", help="where the run is written, in the federation's folder")
    options = parser.parse_args(arguments)
    try:
        with Loopback(options.federation, port=options.port) as here:
            return here.run({"out": options.out})
    except UserError as error:
        parser.exit(1, f"{error}\n")


if __name__ == "__main__":
    raise SystemExit(main())
