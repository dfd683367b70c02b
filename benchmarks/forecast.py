# SPDX-License-Identifier: Apache-2.0
"""What `plan` says beforehand against what the run then takes: epsilon, bytes and seconds of its rounds.

python benchmarks/forecast.py                # all the cases, a table
python benchmarks/forecast.py --json
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

CASES = {
    "hospital": ("hospital",),
    "hospital, semi-honest": ("hospital", "--strength", "semi-honest"),
    "hospital, rlwe32": ("hospital", "--aggregation", "rlwe32", "--rounds", "10"),
    "credit": ("credit",),
    "icu": ("icu",),
}


def answer(*arguments: str) -> dict[str, object]:
    """One verb in a process of its own, as its machine-readable answer."""
    command = [sys.executable, "-c", "import sys; from secure_fedmeta.cli import main; sys.exit(main(sys.argv[1:]))"]
    done = subprocess.run([*command, *arguments, "--format", "json"], capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(arguments)}: {done.stdout[-500:]} {done.stderr[-500:]}")
    return json.loads(done.stdout.splitlines()[-1])


def compare(arguments: tuple[str, ...]) -> dict[str, float]:
    """Predicted over measured; the run without dropouts, and cut to the rounds that it had the budget for."""
    start = time.perf_counter()
    said = answer("plan", *arguments)
    took = time.perf_counter() - start
    forecast = said.get("forecast", said)
    with tempfile.TemporaryDirectory() as place:
        out = Path(place) / "run"
        answer("run", *arguments, "--dropout", "0", "--out", str(out))
        rows = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
        last = [json.loads(line) for line in (out / "ledger.jsonl").read_text().splitlines()][-1]["body"]
    rounds = int(said["rounds"]) if "rounds" in said else len(rows)
    per_round = sum(row["seconds"] for row in rows) / len(rows) * rounds
    return {
        "rounds": len(rows),
        "planned": rounds,
        "bytes": forecast["bytes"] / (sum(row["bytes"] for row in rows) / len(rows) * rounds),
        "seconds": forecast["seconds"] / per_round,
        "epsilon": forecast["epsilon"]["server"],
        "ledger": float(last["epsilon"]["server"]),
        "rehearsal": forecast["rehearsal_seconds"],
        "verb": took,
    }


def main() -> None:
    """Measure all cases."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    rows = {name: compare(arguments) for name, arguments in CASES.items()}
    if options.json:
        print(json.dumps(rows))
        return
    head = ("case", "rounds", "bytes, said/sent", "seconds, said/taken", "rehearsal, s")
    print(f"{head[0]:24} {head[1]:>8} {head[2]:>17} {head[3]:>20} {head[4]:>13}")
    for name, row in rows.items():
        done = f"{row['rounds']}/{row['planned']}"
        print(f"{name:24} {done:>8} {row['bytes']:17.4f} {row['seconds']:20.2f} {row['rehearsal']:13.1f}")
    print(f"median of said/taken: {statistics.median(row['seconds'] for row in rows.values()):.2f}")


if __name__ == "__main__":
    main()
