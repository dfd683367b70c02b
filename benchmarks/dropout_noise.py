# SPDX-License-Identifier: Apache-2.0
"""Noise for dropouts, both ways: how much is left in the decoded sum, and what a round costs in time and bytes.

python benchmarks/dropout_noise.py --clients 10 --dropout 0.3 --colluders 1 --dimension 20000 --rounds 5 --json

No site has a record, so that the decoded sum is noise alone. `over-provision` is sized for the fewest survivors of a
round that still opens, so that its epsilon is kept whoever drops out, as the epsilon of `surplus` is. The optimum is
the least noise of one law per site that keeps epsilon when c of the survivors' noises count for nothing:
s*^2 (n - d) / (n - d - c). Prints, for each number of dropouts, the variance over the optimum, analytic and measured
with its standard error; then seconds (median round, all parties on one machine) and bytes. `--json` adds a JSON line.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
from unittest import mock

import numpy as np

from fedmeta_crypto import SERVER
from fedmeta_crypto.identities import AllowList, Identity
from secure_fedmeta.entropy import site_entropy
from secure_fedmeta.federation.identities import Credentials
from secure_fedmeta.federation.simulation import LocalSite, Simulation
from secure_fedmeta.plan import Plan
from secure_fedmeta.schedule import Schedule, make_schedule
from secure_fedmeta.tasks import Task

MODES = ("over-provision", "surplus")
Row = dict[str, float | int | str]


def schedule_for(args: argparse.Namespace, mode: str) -> Schedule:
    """The same plan, with noise for dropouts of one kind or the other."""
    plan = Plan.make(
        {
            "clients": args.clients,
            "rounds": max(args.rounds * (args.most + 1), 1),
            "epsilon": args.epsilon,
            "dropout_noise": mode,
            "dropout_fraction": args.dropout,
            "corrupt_fraction": 0.0,
            "colluders": args.colluders,
            "planned_survivors": args.clients - args.most,
            "outer_lr": 1e-9,
            "support_slots": 8,
            "query_slots": 8,
            "strength": args.strength,
        }
    )
    return make_schedule(plan, clients=args.clients, dimension=args.dimension)


def simulation_for(args: argparse.Namespace, schedule: Schedule) -> Simulation:
    """Sites without records, with keys of their own."""
    ids = range(1, args.clients + 1)
    entropy = site_entropy("benchmark", seed=0, insecure_reproducible=False)
    keys = {party: Identity(entropy(32)) for party in (*ids, SERVER)}
    people = AllowList(keys[SERVER].public, {site: keys[site].public for site in ids})
    d = args.dimension
    nobody = Task(np.empty((0, d)), np.empty(0), np.empty((0, d)), np.empty(0))
    sites = {site: LocalSite(site, nobody, schedule, credentials=Credentials(keys[site], people)) for site in ids}
    return Simulation(schedule, sites, credentials=Credentials(keys[SERVER], people))


def analytic(schedule: Schedule, dropped: int) -> tuple[float, float]:
    """Variance of the noise in the sum as it is drawn, and of the optimum at the same epsilon."""
    n, c = schedule.clients, schedule.colluders
    if schedule.surplus is None:
        assert schedule.scale is not None
        each, honest = schedule.scale**2, schedule.hiding.floor_honest * schedule.scale**2
    else:
        each = sum(scale**2 for scale in schedule.surplus.scales[: dropped + 1])
        honest = schedule.surplus.honest_scale**2
    return (n - dropped) * each, honest * (n - dropped) / (n - dropped - c)


def measure(args: argparse.Namespace, mode: str) -> list[Row]:
    """A row for each number of dropouts."""
    schedule = schedule_for(args, mode)
    run, rows = simulation_for(args, schedule), []
    for dropped in range(args.most + 1):
        pattern = dict.fromkeys(range(1, dropped + 1), "mask")
        squares, seconds, sent = [], [], []
        with mock.patch("secure_fedmeta.federation.simulation.dropout_pattern", return_value=pattern):
            for _ in range(args.rounds):
                report = run.run_round()
                if report.closed.aborted is not None or run.server.last_sum is None:
                    raise SystemExit(f"a round was lost: {report.closed.aborted}")
                squares.append(float(np.mean(np.square(run.server.last_sum.astype(float)))))
                seconds.append(report.seconds)
                sent.append(report.bytes_sent)
        drawn, best = analytic(schedule, dropped)
        rows.append(
            {
                "mode": mode,
                "dropped": dropped,
                "analytic": drawn / best,
                "measured": statistics.fmean(squares) / best,
                "standard_error": math.sqrt(2 / (args.rounds * args.dimension)) * drawn / best,
                "seconds": statistics.median(seconds),
                "bytes_per_site": statistics.median(sent) / args.clients,
                "epsilon": report.closed.spent.server,
            }
        )
    return rows


def main() -> None:
    """Measure both and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clients", type=int, default=10)
    parser.add_argument("--dropout", type=float, default=0.3, help="the most that may drop out, a fraction")
    parser.add_argument("--colluders", type=int, default=0)
    parser.add_argument("--dimension", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=5, help="per number of dropouts")
    parser.add_argument("--epsilon", type=float, default=8.0)
    parser.add_argument("--strength", default="malicious", choices=["malicious", "semi-malicious", "semi-honest"])
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    args.most = math.floor(args.clients * args.dropout + 1e-9)
    rows = [row for mode in MODES for row in measure(args, mode)]
    print(
        f"{args.clients} sites, D = {args.most}, {args.colluders} colluders, {args.dimension} coordinates, "
        f"{args.rounds} rounds for each number of dropouts; plan epsilon {args.epsilon:g}"
    )
    print("noise           dropped  variance / optimum: analytic  measured     +-    s/round   kB/site  epsilon so far")
    for row in rows:
        print(
            f"{row['mode']:<15} {row['dropped']:>7} {row['analytic']:>29.4f} {row['measured']:>9.4f} "
            f"{row['standard_error']:>6.4f} {row['seconds']:>9.3f} {float(row['bytes_per_site']) / 1e3:>9.1f} "
            f"{row['epsilon']:>15.3f}"
        )
    if args.json:
        print(json.dumps({"benchmark": "dropout_noise", "settings": vars(args), "rows": rows}))


if __name__ == "__main__":
    main()
