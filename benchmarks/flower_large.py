# SPDX-License-Identifier: Apache-2.0
"""Rounds of a network of four million parameters on Flower: simulated on Ray's processes, or over real SuperNodes.

python benchmarks/flower_large.py                    # simulated, which needs the extra flower-simulation
python benchmarks/flower_large.py --deployment       # four SuperNodes on loopback, TLS and authentication on

The network is the app's own (`flower_wide/wide.py`, which travels with the app); every site is one unit of privacy.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from flower_rounds import lines_of
from flower_wide.wide import PILOT

from secure_fedmeta.audit import audit_run
from secure_fedmeta.flower.loopback import Loopback
from secure_fedmeta.flower.scaffold import PACKAGE, scaffold

WIDE = Path(__file__).parent / "flower_wide" / "wide.py"
APP = "from secure_fedmeta.flower import {app}\n\nfrom .wide import PILOT\n\n"


def prepared(folder: Path, sites: int, rounds: int) -> int:
    """An app that brings its own pilot along; the number of parameters."""
    plan = PILOT.plan_with({"clients": sites, "rounds": rounds})
    scaffold(folder, PILOT, plan)
    package = folder / "app" / PACKAGE
    shutil.copy(WIDE, package / "wide.py")
    for part, app in (("client", "site_app"), ("server", "server_app")):
        (package / f"{part}.py").write_text(APP.format(app=app) + f"app = {app}(PILOT)\n")
    return PILOT.schedule_for(plan).dimension


def simulated(folder: Path, sites: int, log: Path) -> None:
    """`flwr run` with Flower's own local SuperLink, which is ended afterwards."""
    home = folder / ".flwr"
    home.mkdir()
    (home / "config.toml").write_text('[superlink]\ndefault = "local"\n[superlink.local]\naddress = ":local:"\n')
    quiet = {"FLWR_HOME": str(home), "FLWR_TELEMETRY_ENABLED": "0", "FLWR_DISABLE_UPDATE_CHECK": "1"}
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    command = ["flwr", "run", str(folder / "app"), "--stream", "--federation-config", f"num-supernodes={sites}"]
    with log.open("ab") as sink:
        started = subprocess.Popen(
            command, stdout=sink, stderr=sink, env={**os.environ, **quiet, "PATH": path}, start_new_session=True
        )
    if started.wait():
        raise SystemExit(log.read_text(errors="replace")[-3000:])
    subprocess.run(["pkill", "-f", f"flower-superlink .*{home}"], check=False)


def deployed(folder: Path, sites: int, log: Path) -> None:
    """Flower's programs, one SuperNode a site."""
    del sites
    with Loopback(folder) as here:
        if here.run({"deadline": 600.0}, log=log):
            raise SystemExit(log.read_text(errors="replace")[-3000:])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--deployment", action="store_true")
    parser.add_argument("--sites", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=2)
    options = parser.parse_args()
    play: Callable[[Path, int, Path], None] = deployed if options.deployment else simulated
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "federation"
        parameters = prepared(folder, options.sites, options.rounds)
        start = time.perf_counter()
        log = folder / "run.log"
        play(folder, options.sites, log)
        whole = time.perf_counter() - start
        told = lines_of(log)
        audit = audit_run(folder / "runs/1", roster=folder / "allow-list.toml", heads=folder / "sites")
    rounds = [line for line in told if "aborted" in line]
    exchanges = [line["exchange"] for line in told if "exchange" in line]
    name = "deployed" if options.deployment else "simulated"
    verdict = audit.findings.verdict.name
    print(f"{name}: {parameters} parameters, {options.sites} sites, {whole:.0f} s in all; audit: {verdict}")
    for line in rounds:
        print(json.dumps(line))
    for exchange in exchanges[-len(exchanges) // max(1, len(rounds)) :]:
        print(json.dumps(exchange))


if __name__ == "__main__":
    main()
