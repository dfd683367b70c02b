# SPDX-License-Identifier: Apache-2.0
"""What the hospital pilot costs whoever tries it: time to the first lines, time in all, memory, time of a round.

python benchmarks/demo_cost.py --json
python benchmarks/demo_cost.py --rounds 20     # a shorter run than the pilot's own
"""

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

COMMAND = (sys.executable, "-c", "from secure_fedmeta.cli import main; main()")
ROUND_LINE = re.compile(rb"\s*\d+/\d+\s")


@dataclass(frozen=True)
class Cost:
    """One process: seconds from its start to its end and to two of its lines, and its largest resident size."""

    seconds: float
    peak_mb: float
    first_line: float
    first_round: float


def measure(*arguments: str) -> Cost:
    """Run the command line once, reading what it prints as it appears."""
    start = time.perf_counter()
    first_line = first_round = float("nan")
    with subprocess.Popen((*COMMAND, *arguments), stdout=subprocess.PIPE) as process:
        for line in process.stdout or ():
            now = time.perf_counter() - start
            if first_line != first_line:
                first_line = now
            if first_round != first_round and ROUND_LINE.match(line):
                first_round = now
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"secure-fedmeta {' '.join(arguments)} ended with {process.returncode}")
    kilobytes = usage.ru_maxrss / (1024 if sys.platform == "darwin" else 1)
    return Cost(time.perf_counter() - start, kilobytes / 1024, first_line, first_round)


def middle(costs: list[Cost]) -> dict[str, float]:
    """The median of each figure."""
    rows = [asdict(cost) for cost in costs]
    return {name: statistics.median(row[name] for row in rows) for name in rows[0]}


def round_ms(settings: dict[str, int]) -> list[float]:
    """Milliseconds of every round after the first, all parties in this process and journals on disk."""
    from secure_fedmeta.pilots.hospital import HospitalPilot, plan_with

    with tempfile.TemporaryDirectory() as folder:
        result = HospitalPilot(plan_with(settings)).execute(out=Path(folder) / "run")
    return [1e3 * report.seconds for report in result.run.rounds[1:]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, help="planned rounds; default: the pilot's own")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    if args.rounds is not None and args.rounds < 3:
        parser.error("--rounds must be at least 3")
    settings = {} if args.rounds is None else {"rounds": args.rounds}
    options = [f"--{name}={value}" for name, value in settings.items()]
    # Processes first: a child's peak counts what this process held when it was started.
    aid = middle([measure("--help") for _ in range(5)])
    runs = []
    for _ in range(3):
        with tempfile.TemporaryDirectory() as folder:
            runs.append(measure("run", "hospital", *options, "--out", str(Path(folder) / "run")))
    run = middle(runs)
    rounds = round_ms(settings)
    record = {
        "help_seconds": aid["seconds"],
        "help_peak_mb": aid["peak_mb"],
        "run_seconds": run["seconds"],
        "run_peak_mb": run["peak_mb"],
        "run_first_line_seconds": run["first_line"],
        "run_first_round_seconds": run["first_round"],
        "round_ms_median": statistics.median(rounds),
        "round_ms_p90": statistics.quantiles(rounds, n=10, method="inclusive")[-1],
    }
    record = {name: round(value, 3) for name, value in record.items()}
    if args.json:
        print(json.dumps(record))
        return
    for name, value in record.items():
        print(f"{name:24s} {value:9.2f}")


if __name__ == "__main__":
    main()
