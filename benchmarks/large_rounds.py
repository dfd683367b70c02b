# SPDX-License-Identifier: Apache-2.0
"""Rounds of a thousand clients and the mask loop, against what they are wanted to take.

python benchmarks/large_rounds.py [--repeat 5]

n = 1000, d = 1e6, 5 % lost before their masked input, clients in two worker processes, every client's checks executed.
Semi-honest: 52 neighbours on a random ring. Malicious: 102 neighbours, t = 77, 5 % corrupt, on the ring that needs no
luck. No peer does either on one machine, so there is nothing beside it.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from dataclasses import dataclass

from side_by_side import HERE, FailedError, last_json


@dataclass(frozen=True)
class Large:
    """A round and the most it may take."""

    mode: str
    neighbours: int
    seconds: float
    megabytes: float | None


ROUNDS = [Large("semi-honest", 52, 25, 500), Large("malicious", 102, 100, None)]


def command_of(row: Large) -> list[str]:
    options = ["--clients", "1000", "--neighbours", str(row.neighbours), "--dimension", "1000000", "--dropout", "0.05"]
    options += ["--mode", row.mode, "--processes", "2", "--repeat", "1", "--no-warm-up", "--json"]
    return [sys.executable, str(HERE / "secure_aggregation.py"), *options]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeat", type=int, default=5)
    args = parser.parse_args()
    for row in ROUNDS:
        try:
            runs = [last_json(command_of(row)) for _ in range(args.repeat)]
        except FailedError as error:
            raise SystemExit(f"{row.mode}: {error}") from None

        def median(name: str, runs: list[dict[str, float]] = runs) -> float:
            return statistics.median(run[name] for run in runs)

        wall, memory, clients = median("wall_seconds"), median("peak_memory_bytes") / 1e6, median("all_clients_seconds")
        share = median("all_clients_verifying_seconds") / clients
        reached = wall <= row.seconds and (row.megabytes is None or memory <= row.megabytes)
        limit = f"{row.seconds:g} s" + (f", {row.megabytes:g} MB" if row.megabytes else "")
        size = f"n=1000 k={row.neighbours + 1} t={runs[0]['params']['threshold']} {row.mode}"
        print(
            f"{size}: {wall:.1f} s, {memory:.0f} MB in all processes (wanted {limit}: {'yes' if reached else 'no'}); "
            f"all clients together {clients:.0f} s of computing, {100 * share:.0f} % of it verifying signatures; "
            f"median of {args.repeat}"
        )


if __name__ == "__main__":
    main()
