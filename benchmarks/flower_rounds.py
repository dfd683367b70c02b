# SPDX-License-Identifier: Apache-2.0
"""A secure round over real Flower processes beside what Flower itself takes for as many messages of as many bytes.

python benchmarks/flower_rounds.py                     # four SuperNodes on loopback, TLS and authentication on
python benchmarks/flower_rounds.py --sites 4 --rounds 3 --json

All run under the same SuperLink and SuperNodes, one after the other. Flower starts a process for each message; the
third app is Flower's echo with what any app needs that trains with DP-SGD in one message of a round: Opacus, and torch.
"""

import argparse
import json
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from secure_fedmeta.flower.loopback import Loopback

UNSIGNED = 3  # exchanges of a round at strength semi-honest
ECHO = Path(__file__).parent / "flower_echo"
_JSON = re.compile(r"\{\"(?:exchange|echo|aborted)\".*\}")


def lines_of(log: Path) -> list[dict[str, object]]:
    """The log's lines of JSON."""
    return [json.loads(found.group()) for found in _JSON.finditer(log.read_text(errors="replace"))]


def measure(sites: int, rounds: int, pilot: str) -> dict[str, object]:
    """Seconds of each exchange of both apps, by phase, and what starting took."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "federation"
        new = [sys.executable, "-m", "secure_fedmeta", "new", str(folder), "--flower", "--pilot", pilot]
        subprocess.run([*new, "--clients", str(sites), "--rounds", str(rounds)], check=True, capture_output=True)
        start = time.perf_counter()
        with Loopback(folder) as here:
            started = time.perf_counter() - start
            ours, theirs, training = (folder / f"{name}.log" for name in ("ours", "theirs", "training"))
            start = time.perf_counter()
            here.run(log=ours)
            whole = time.perf_counter() - start
            told = lines_of(ours)
            exchanges = [line["exchange"] for line in told if "exchange" in line]
            done = [line for line in told if "aborted" in line]
            if len(done) != rounds or any(line["aborted"] for line in done):
                raise SystemExit(ours.read_text()[-2000:])
            sizes = " ".join(f"{e['bytes_out'] // sites}/{e['bytes_in'] // sites}" for e in exchanges)
            phases = len(exchanges) // rounds
            upload = 3 if phases > UNSIGNED else 2
            settings = {"sizes": sizes, "sites": sites, "phases": phases}
            here.run(settings, app=ECHO, log=theirs)
            here.run(settings | {"trains": upload}, app=ECHO, log=training)
            echoes = [line["echo"] for line in lines_of(theirs)]
            trained = [line["echo"] for line in lines_of(training)]
    ours_by = [statistics.median(e["seconds"] for e in exchanges[at::phases]) for at in range(phases)]
    echo_by = [statistics.median(echoes[at::phases]) for at in range(phases)]
    train_by = [statistics.median(trained[at::phases]) for at in range(phases)]
    return {
        "sites": sites,
        "rounds": rounds,
        "start": started,
        "first_exchange": whole - sum(float(line["seconds"]) for line in done),
        "phases_ours": ours_by,
        "phases_flower": echo_by,
        "phases_training": train_by,
        "round_ours": sum(ours_by),
        "round_flower": sum(echo_by),
        "round_training": sum(train_by),
        "bytes_a_round": sum(e["bytes_out"] + e["bytes_in"] for e in exchanges) / rounds,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sites", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--pilot", default="hospital", help="a pilot, or a TOML file")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    found = measure(options.sites, options.rounds, options.pilot)
    if options.json:
        print(json.dumps(found))
        return
    print(f"{options.sites} SuperNodes, {options.rounds} rounds; processes and certificates: {found['start']:.1f} s")
    print(f"`flwr run` beside the rounds (packing, installing, finding sites): {found['first_exchange']:.1f} s")
    columns = zip(found["phases_ours"], found["phases_flower"], found["phases_training"], strict=True)
    for at, (ours, flower, training) in enumerate(columns, start=1):
        print(
            f"exchange {at}: {ours:6.1f} s; Flower alone {flower:6.1f} s, with Opacus loaded to train {training:6.1f} s"
        )
    ours, flower, training = (found[name] for name in ("round_ours", "round_flower", "round_training"))
    print(f"a round:    {ours:6.1f} s; Flower alone {flower:6.1f} s, with Opacus to train {training:6.1f} s")
    print(f"ratios:     {ours / flower:.2f} and {ours / training:.2f}")
    print(f"{found['bytes_a_round']:.0f} protocol bytes a round")


if __name__ == "__main__":
    main()
