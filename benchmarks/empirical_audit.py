# SPDX-License-Identifier: Apache-2.0
"""Audit the product's own round: lower bounds beside the claim, for epsilon 1, 2 and 4.

python benchmarks/empirical_audit.py --json
python benchmarks/empirical_audit.py --rounds 10000   # kind (c) too: complete rounds in each world, about ten minutes

Ten clients with 10 000 canary tasks each on 2^17 coordinates, three of them silent after dealing their shares; as many
rounds as 100 000 canaries of survivors need. (a) is a test of this mechanism through independent canaries, (b) are the
one-run bounds that hold for any mechanism, (c) are complete rounds of five clients with fresh keys and one client-level
canary. Keys, coins and noise come from the operating system: figures differ a little from run to run.
"""

from __future__ import annotations

import argparse
import json
import time

from secure_fedmeta.attacks.audits import audit_canaries
from secure_fedmeta.attacks.canaries import CanaryDesign
from secure_fedmeta.attacks.trials import ClientCanary, ClientRounds, audit_rounds


def mechanism_row(epsilon: float, args: argparse.Namespace) -> dict[str, object]:
    start = time.perf_counter()
    found = audit_canaries(CanaryDesign(epsilon=epsilon, delta=args.delta), trials=args.trials, p=args.p)
    names = ("gaussian", "one_run", "one_run_f_dp")
    return {
        "claim": found.claim,
        **{name: bound.epsilon for name, bound in zip(names, found.bounds, strict=True)},
        "within": found.within.largest / found.within.limit,
        "between": found.between.largest / found.between.limit if found.between else None,
        "found": list(found.found),
        "seconds": time.perf_counter() - start,
        "bounds": [bound.as_json() for bound in found.bounds],
    }


def rounds_row(args: argparse.Namespace) -> dict[str, object]:
    start = time.perf_counter()
    found = audit_rounds(ClientRounds(ClientCanary(epsilon=4.0, delta=args.delta)), count=args.rounds, p=args.p)
    return {
        "claim": found.claim,
        "refuted": found.refuted,
        "seconds": time.perf_counter() - start,
        "bounds": [bound.as_json() for bound in found.bounds],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=100_000)
    parser.add_argument("--delta", type=float, default=1e-5)
    parser.add_argument("--p", type=float, default=0.05, help="error of each bound")
    parser.add_argument("--rounds", type=int, default=0, help="kind (c): complete rounds in each world")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    rows = [mechanism_row(epsilon, args) for epsilon in (1.0, 2.0, 4.0)]
    runs = rounds_row(args) if args.rounds else None
    if args.json:
        print(json.dumps({"mechanism": rows, "rounds": runs}))
        return
    print(f"{args.trials} canaries of surviving clients, delta {args.delta:g}, p {args.p:g}; share of the claim")
    print("   claim  (a) Gaussian  (b) one-run  (b) f-DP one-run  correlation/limit  found")
    for row in rows:
        claim = row["claim"]
        shares = [f"{row[name]:.3f} ({row[name] / claim:.0%})" for name in ("gaussian", "one_run", "one_run_f_dp")]
        print(f"{claim:8.4f}  {shares[0]:>12}  {shares[1]:>11}  {shares[2]:>16}  {row['within']:17.2f}  {row['found']}")
    if runs:
        print(
            f"(c) {args.rounds} + {args.rounds} complete rounds, claim {runs['claim']:.4f}, refuted: {runs['refuted']}"
        )
        for bound in runs["bounds"]:
            print(f"    {bound['epsilon']:.3f} by {bound['method']}")


if __name__ == "__main__":
    main()
