# SPDX-License-Identifier: Apache-2.0
"""The hospital pilot under each way to add uploads: scores, epsilon of every view, bytes and time of a round.

python benchmarks/aggregations.py --seeds 5 --json

Rows of one seed share data, split and roles; noise is fresh. Scores are means over hospitals on unseen patients after
adaptation on site. Bytes are all that the parties send in a round, the announcement and a round's public key to each
site included; with a decryptor each upload travels twice. Before the table the exact ways run once more with one ring
and reproducible noise: their models must be the same bit for bit.
"""

import argparse
import json
import os
import statistics

os.environ.setdefault("OMP_NUM_THREADS", "1")

from secure_fedmeta.evaluation import evaluate_members
from secure_fedmeta.pilots.hospital import HospitalPilot, plan_with
from secure_fedmeta.run import Run, federate

EXACT = ("mask", "bfv", "rlwe32", "rlwe64")
WORDS = (*EXACT, "ckks", "none")


def pilot_run(word: str, seed: int, rounds: int, **settings: object) -> tuple[HospitalPilot, Run]:
    pilot = HospitalPilot(plan_with({"aggregation": word, "seed": seed, "rounds": rounds, **settings}))
    return pilot, federate(pilot.plan, pilot.sites, pilot.codebook)


def models_agree(rounds: int) -> bool:
    """Whether all exact ways end in the same model, given the same noise and the same ring."""
    settings = {"modulus_bits": 20, "insecure_reproducible": True}
    return len({pilot_run(word, 1, rounds, **settings)[1].theta.tobytes() for word in EXACT}) == 1


def row(word: str, seed: int, rounds: int) -> dict[str, float]:
    pilot, run = pilot_run(word, seed, rounds)
    after = evaluate_members(run.theta, pilot.members).after
    seconds = [report.seconds for report in run.rounds]
    return {
        "auroc": after.mean_auroc,
        "brier": after.mean_brier_calibrated,
        "server": run.spent.server,
        "local": run.spent.local,
        "kB": statistics.median(report.bytes_sent for report in run.rounds) / 1000,
        "ms": 1000 * statistics.median(seconds),
        "bits": run.schedule.encoding.modulus_bits,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=80, help="the pilot's own number")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    same = models_agree(min(options.rounds, 10))
    verdict = "the same, bit for bit" if same else "DIFFER"
    print(f"models of {', '.join(EXACT)} with one ring and the same noise: {verdict}")
    print(
        f"hospital pilot, {options.rounds} rounds, {options.seeds} seeds; scores ± standard deviation, medians of cost"
    )
    print(
        f"{'':8}{'ring':>6}{'AUROC':>16}{'Brier, calibrated':>20}{'eps server':>12}{'eps local':>11}{'kB':>9}{'ms':>8}"
    )
    found = {}
    for word in WORDS:
        rows = [row(word, seed, options.rounds) for seed in range(1, options.seeds + 1)]
        column = {name: [one[name] for one in rows] for name in rows[0]}
        found[word] = {name: statistics.fmean(values) for name, values in column.items()}
        spread = {name: statistics.stdev(column[name]) if len(rows) > 1 else 0.0 for name in ("auroc", "brier")}
        scores = [f"{found[word][name]:.4f} ± {spread[name]:.4f}" for name in ("auroc", "brier")]
        one = found[word]
        cost = f"{one['server']:12.3f}{one['local']:11.3f}{one['kB']:9.1f}{one['ms']:8.1f}"
        print(f"{word:8}{'2^' + str(int(one['bits'])):>6}{scores[0]:>16}{scores[1]:>20}{cost}", flush=True)
    if options.json:
        print(json.dumps({"same_model": same, "rounds": options.rounds, "seeds": options.seeds, "rows": found}))
    if not same:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
