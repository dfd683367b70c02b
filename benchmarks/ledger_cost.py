# SPDX-License-Identifier: Apache-2.0
"""What signed lines cost a round: medians with and without the countersigning phase, and an audit of the run.

    python benchmarks/ledger_cost.py [--clients 10] [--rounds 30] [--json]

All parties in one process, files on a disk; "without" ends each round when its sum is booked, as a run did before.
"""

import argparse
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path
from unittest import mock

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "support"))

from small_runs import arrays_plan, small_book, small_records

from secure_fedmeta.audit import audit_run
from secure_fedmeta.federation import server
from secure_fedmeta.run import federate


def milliseconds(clients: int, rounds: int, folder: Path) -> tuple[float, Path]:
    """Median of a round, and where the run is."""
    plan = arrays_plan(rounds=rounds, epsilon=8.0, dropout_fraction=0.1, delta=1e-5)
    run = federate(plan, small_records(clients), small_book(), out=folder)
    return 1e3 * statistics.median(report.seconds for report in run.rounds), folder


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clients", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as name:
        home = Path(name)
        with mock.patch.object(server, "MAX_RECORD_BYTES", 0):  # every line is too long to be shown to the sites
            before, _ = milliseconds(given.clients, given.rounds, home / "without")
        after, run = milliseconds(given.clients, given.rounds, home / "with")
        keys = home / "keys.toml"  # from outside: an audit believes no keys that lie in the run
        keys.write_bytes((run / "allow-list.toml").read_bytes())
        start = time.perf_counter()
        audit = audit_run(run, roster=keys, heads=run.with_name("with-sites"))
        seconds = time.perf_counter() - start
        bytes_a_round = (run / "ledger.jsonl").stat().st_size / (given.rounds + 2)
    result = {
        "clients": given.clients,
        "rounds": given.rounds,
        "round_ms_without": round(before, 2),
        "round_ms_with": round(after, 2),
        "audit_seconds": round(seconds, 2),
        "verdict": audit.findings.verdict.words,
        "ledger_bytes_a_line": round(bytes_a_round),
    }
    print(json.dumps(result) if given.json else "\n".join(f"{key:<22}{value}" for key, value in result.items()))


if __name__ == "__main__":
    main()
