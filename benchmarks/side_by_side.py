# SPDX-License-Identifier: Apache-2.0
"""Run one masking round of Flower's SecAgg+ and of ours in turn on this machine, and print medians row by row.

python benchmarks/peers/build.py flower
python benchmarks/side_by_side.py [--repeat 5] [--only 50/50/100000]

Both sides run on one thread, in processes of their own, alternately; all clients and the server in one process, no
network, 10 % of the clients lost before their masked vector. `k` counts a client itself, as Flower's num_shares does.
What differs: Flower signs nothing, checks neither shares nor lists, and draws masks from 32-bit seeds (see
benchmarks/peers/flower_defects.py); each side sets its own threshold. Rounding floats to integers counts for neither
client: ours is given integers, Flower's seconds for it are left out. A row whose command fails says so and the others
go on; the exit status is then 1.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
ROOT = HERE.parent
PEER = ROOT / ".peers" / "flower"
FLOWER = PEER / "bin" / "python"
DROPOUT = "0.1"
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


@dataclass(frozen=True)
class Size:
    """Clients, shares (a client's own counted) and the vector's length."""

    n: int
    k: int
    d: int

    def __str__(self) -> str:
        return f"{self.n}/{self.k}/{self.d}"


@dataclass(frozen=True)
class Row:
    """What is compared, where, in which mode of ours, and the ratio that is wanted."""

    party: str  # "server", "client" or "upload"
    size: Size
    mode: str
    bits: int
    wanted: float  # Flower's seconds over ours, at least; for uploads our bytes over float32's, at most


COMPLETE, SPARSE = Size(50, 50, 100_000), Size(100, 15, 1_000_000)
ROWS = [
    Row("server", COMPLETE, "semi-honest", 32, 500),
    Row("server", SPARSE, "semi-honest", 32, 60),
    Row("client", COMPLETE, "malicious", 32, 20),
    Row("client", SPARSE, "malicious", 32, 6),
    Row("client", SPARSE, "semi-honest", 32, 15),
    Row("upload", SPARSE, "semi-honest", 32, 1.01),
    Row("upload", SPARSE, "semi-honest", 16, 0.51),
]


class FailedError(Exception):
    """A benchmark ended without a result; the message is the last line it wrote to stderr."""


def last_json(command: list[str]) -> dict[str, Any]:
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ | ONE_THREAD, cwd=ROOT)
    if done.returncode != 0:
        raise FailedError((done.stderr.strip() or f"exit status {done.returncode}").splitlines()[-1])
    result: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    if result.get("exact") is False:
        raise FailedError("wrong sum")
    return result


def flower(size: Size) -> list[str]:
    driver = HERE / "peers" / "flower_secagg.py"
    return [str(FLOWER), str(driver), str(size.n), str(size.k), str(size.d), DROPOUT]


def ours(row: Row) -> list[str]:
    options = {
        "clients": row.size.n,
        "neighbours": row.size.k - 1,
        "dimension": row.size.d,
        "dropout": DROPOUT,
        "mode": row.mode,
        "bits": row.bits,
        "repeat": 1,
    }
    named = [part for name, value in options.items() for part in (f"--{name}", str(value))]
    return [sys.executable, str(HERE / "secure_aggregation.py"), *named, "--json"]


class Runs:
    """Results by command; a command that fails once is not tried again."""

    def __init__(self) -> None:
        self.results: defaultdict[tuple[str, ...], list[dict[str, Any]]] = defaultdict(list)
        self.failed: dict[tuple[str, ...], str] = {}

    def run(self, command: list[str]) -> None:
        key = tuple(command)
        if key in self.failed:
            return
        try:
            self.results[key].append(last_json(command))
        except FailedError as error:
            self.failed[key] = str(error)

    def median(self, command: list[str], *keys: str) -> float:
        key = tuple(command)
        if key in self.failed:
            raise FailedError(self.failed[key])
        values: list[Any] = self.results[key]
        for name in keys:
            values = [value[name] for value in values]
        return float(statistics.median(values))


def alternate(rows: list[Row], repeat: int) -> Runs:
    """Flower once, then each of our settings once, and again: a busy spell of the machine meets both."""
    runs = Runs()
    for size in dict.fromkeys(row.size for row in rows):
        settings = {tuple(ours(row)): ours(row) for row in rows if row.size == size}
        for i in range(repeat):
            print(f"n/k/d {size}: {i + 1} of {repeat}", file=sys.stderr)
            for command in (flower(size), *settings.values()):
                runs.run(command)
    return runs


def measured(row: Row, runs: Runs) -> tuple[str, bool]:
    """The row's figures as text, and whether the goal is reached."""
    if row.party == "upload":
        theirs, own = (
            runs.median(c, "upload_bytes_per_client") / (4 * row.size.d) for c in (flower(row.size), ours(row))
        )
        return f"{theirs:9.3f}x {own:9.3f}x {theirs / own:8.2f}x {f'<= {row.wanted:g}x':>10}", own <= row.wanted
    counted = "masking" if row.party == "client" else "total"
    theirs = runs.median(flower(row.size), f"{row.party}_seconds", counted)
    own = runs.median(ours(row), f"{row.party}_seconds", "total")
    return f"{theirs:9.4f}s {own:9.4f}s {theirs / own:8.1f}x {f'>= {row.wanted:g}x':>10}", theirs / own >= row.wanted


def about(command: list[str], runs: Runs) -> str:
    """A footnote: what a run cost besides, and with which threshold."""
    threshold, memory = runs.median(command, "params", "threshold"), runs.median(command, "peak_memory_bytes")
    sent = runs.median(command, "upload_bytes_per_client")
    seconds = runs.median(command, "client_seconds", "total")  # Flower's with its rounding of floats
    return f"threshold {threshold:.0f}, client {seconds:.4f} s, upload {sent:,.0f} B, peak memory {memory / 1e6:.0f} MB"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeat", type=int, default=5, help="runs of each side, at least 5 for figures to quote")
    parser.add_argument("--only", choices=[str(COMPLETE), str(SPARSE)], help="rows of one size: n/k/d")
    args = parser.parse_args()
    if not (PEER / "complete").exists():  # build.py's last stroke
        raise SystemExit(
            f"Flower's environment is missing, nothing was compared: {sys.executable} {HERE}/peers/build.py flower"
        )
    rows = [row for row in ROWS if args.only in (None, str(row.size))]
    runs = alternate(rows, args.repeat)
    print(f"medians of {args.repeat} alternating runs, 10 % lost; upload in multiples of float32 (4 d bytes)")
    head = f"{'party':7}{'n/k/d':16}{'our mode':13}{'bits':>4} {'Flower':>10} {'ours':>10} {'ratio':>9} {'wanted':>10}"
    print(f"{head}  reached")
    for row in rows:
        try:
            text, reached = measured(row, runs)
            end = f"{text}  {'yes' if reached else 'no'}"
        except FailedError as error:
            end = f"failed: {error}"
        print(f"{row.party:7}{row.size!s:16}{row.mode:13}{row.bits:4} {end}")
    for size in dict.fromkeys(row.size for row in rows):
        named = {"Flower": flower(size)}
        named |= {f"ours, {row.mode}, {row.bits} bits": ours(row) for row in rows if row.size == size}
        for name, command in named.items():
            if tuple(command) not in runs.failed:
                print(f"{size!s:16}{name}: {about(command, runs)}")
    raise SystemExit(1 if runs.failed else 0)


if __name__ == "__main__":
    main()
