# SPDX-License-Identifier: Apache-2.0
"""The honest table of the hospital pilot: private MAML beside what a user would run instead, over paired seeds.

python benchmarks/hospital.py --seeds 20 --json        # figures only
python benchmarks/hospital.py --seeds 20 --store       # and keep the table that reports and README.md show

Every private row runs the product at its default strength, malicious: encoding, discrete noise for the honest sites
alone (10 sites, A = 1 of them corrupt), masks, signatures, sums, filters. Rows of one seed share data, split
and roles; differences are paired. The pair of unseen hospitals rotates with the seed. Scores are means over hospitals
of scores on unseen patients after adaptation on site; "shared worst" is the worst hospital *before* adaptation, which
all-zero weights and shuffled labels must fail.
"""

import argparse
import dataclasses
import json
import math
import os
import statistics
import time
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np

from secure_fedmeta.baselines import fedavg, fit_alone, local_only
from secure_fedmeta.evaluation import evaluate_members, evaluate_unseen, score_sites
from secure_fedmeta.guarantee import protocol_line
from secure_fedmeta.pilots.hospital import HospitalPilot, plan_with, schedule_for
from secure_fedmeta.run import federate

STORE = Path(__file__).parents[1] / "secure_fedmeta/report/tables/hospital.json"
README = Path(__file__).parents[1] / "README.md"
README_COLUMNS = ("auroc", "shared_worst", "calibrated", "unseen_5")
COLUMNS = {
    "auroc": "AUROC",
    "worst": "worst site",
    "shared_worst": "shared worst",
    "brier": "Brier",
    "calibrated": "calibrated",
    "unseen_1": "new, k=1",
    "unseen_5": "new, k=5",
    "unseen_16": "new, k=16",
}
REFERENCE = "MAML, no privacy"
MAIN = "MAML, epsilon 3"
EACH = "MAML, epsilon 3 on each upload"
EACH_OWN = "the same with its own step size"
ALONE = "each hospital alone"
TUNED = "FedAvg + fine-tuning, no privacy"
SHUFFLED = "control: shuffled labels"
ZEROS = "control: all-zero weights"

# The reference is not held back: its own step sizes, more rounds, no clipping in effect, no averaging.
UNHURT = {
    "epsilon": "none",
    "rounds": 150,
    "outer_lr": 20.0,
    "inner_lr": 6.0,
    "clip_norm": 1.0,
    "tail_average": 0.0,
    "aggregation": "none",
}
RUNS: dict[str, dict[str, object]] = {
    REFERENCE: UNHURT,
    "MAML, this plan without noise": {"epsilon": "none", "aggregation": "none"},
    "MAML, epsilon 8": {"epsilon": 8.0},
    MAIN: {"epsilon": 3.0},
    "MAML, epsilon 1": {"epsilon": 1.0},
    "MAML, epsilon 3, 3 colluders": {"epsilon": 3.0, "colluders": 3},
    EACH: {"epsilon": 3.0, "aggregation": "none"},
    EACH_OWN: {"epsilon": 3.0, "aggregation": "none", "outer_lr": 8.0},
}

Scores = dict[str, float]


def main() -> None:
    options = _options()
    start = time.perf_counter()
    seeds = range(options.first, options.first + options.seeds)
    with ProcessPoolExecutor(max_workers=options.workers) as pool:
        results = list(pool.map(one_seed, seeds))
    table = {name: {key: [r[name][key] for r in results] for key in COLUMNS} for name in results[0]}
    checks = targets(table)
    says = headlines(table)
    if options.json:
        means = {name: {key: _mean(values) for key, values in row.items()} for name, row in table.items()}
        print(json.dumps({"seeds": len(seeds), "first": options.first, "means": means, "checks": checks, "says": says}))
    else:
        show(table, checks, says)
        print(f"{len(seeds)} seeds from {options.first} in {time.perf_counter() - start:.0f} s")
    if options.store:
        store(table, checks, says, options)


def one_seed(seed: int) -> dict[str, Scores]:
    """Every row of the table for one seed."""
    rows: dict[str, Scores] = {}
    for name, settings in RUNS.items():
        pilot = HospitalPilot(plan_with({"seed": seed, **settings}))
        rows[name] = scores_of(pilot, federate(pilot.plan, pilot.sites, pilot.codebook).theta, adapted=True)
    shared = fedavg(pilot.members)
    rows["FedAvg, no privacy"] = scores_of(pilot, shared, adapted=False)
    rows[TUNED] = scores_of(pilot, shared, adapted=True)
    rows[ALONE] = alone(pilot)
    rows[ZEROS] = scores_of(pilot, np.zeros(pilot.codebook.width), adapted=True)
    rows[SHUFFLED] = scores_of(pilot, _shuffled(seed), adapted=True)
    return rows


def _shuffled(seed: int) -> np.ndarray:
    """The reference trained on labels that were permuted over all sites: it must not pass for a model."""
    pilot = HospitalPilot(plan_with({"seed": seed, **UNHURT}))
    labels = np.random.default_rng(seed).permutation(np.concatenate([site.labels for site in pilot.sites]))
    parts = np.split(labels, np.cumsum([len(site) for site in pilot.sites])[:-1])
    sites = [dataclasses.replace(site, labels=part) for site, part in zip(pilot.sites, parts, strict=True)]
    return federate(pilot.plan, sites, pilot.codebook).theta


def scores_of(pilot: HospitalPilot, theta: np.ndarray, *, adapted: bool) -> Scores:
    members = evaluate_members(theta, pilot.members)
    unseen = evaluate_unseen(theta, pilot.unseen, seed=pilot.plan.seed)
    few = {k: unseen[k if adapted else 0].mean_auroc for k in (1, 5, 16)}
    return _row(members.after if adapted else members.before, members.before.worst_auroc, few)


def alone(pilot: HospitalPilot) -> Scores:
    scores = score_sites(local_only(pilot.members), pilot.members)
    theta = np.zeros(pilot.codebook.width)
    few = evaluate_unseen(theta, pilot.unseen, seed=pilot.plan.seed, adapter=lambda _, x, y: fit_alone(x, y))
    return _row(scores, scores.worst_auroc, {k: few[k].mean_auroc for k in (1, 5, 16)})


def _row(scores: object, shared_worst: float, few: dict[int, float]) -> Scores:
    return {
        "auroc": scores.mean_auroc,
        "worst": scores.worst_auroc,
        "shared_worst": shared_worst,
        "brier": scores.mean_brier,
        "calibrated": scores.mean_brier_calibrated,
        **{f"unseen_{k}": value for k, value in few.items()},
    }


def targets(table: dict[str, dict[str, list[float]]]) -> list[dict[str, object]]:
    """What the pilot must reach at epsilon 3, with the figures."""

    def less(name: str, key: str, other: str) -> tuple[float, float]:
        return _difference(table[name][key], table[other][key])

    auroc, brier = less(MAIN, "auroc", REFERENCE), less(MAIN, "calibrated", REFERENCE)
    unseen = less(MAIN, "unseen_5", TUNED)
    worst = {name: _mean(table[name]["shared_worst"]) for name in (MAIN, ZEROS, SHUFFLED)}
    return [
        _check("AUROC on unseen patients within 0.007 of MAML without privacy", *auroc, holds=auroc[0] >= -0.007),
        _check("worst hospital, shared model, at least 0.90", worst[MAIN], None, holds=worst[MAIN] >= 0.90),
        _check("... which all-zero weights fail", worst[ZEROS], None, holds=worst[ZEROS] < 0.90),
        _check("... and shuffled labels fail", worst[SHUFFLED], None, holds=worst[SHUFFLED] < 0.90),
        _check("Brier within 0.012 after calibration on site", *brier, holds=brier[0] <= 0.012),
        _check("new hospital, k=5, no worse than FedAvg + fine-tuning minus 0.005", *unseen, holds=unseen[0] >= -0.005),
    ]


def headlines(table: dict[str, dict[str, list[float]]]) -> list[str]:
    """What the table says, in sentences made of its own figures."""

    def mean(name: str, key: str) -> str:
        return f"{_mean(table[name][key]):.3f}"

    def gap(name: str, key: str, other: str) -> str:
        value, error = _difference(table[name][key], table[other][key])
        return f"{value:+.4f} ± {error:.4f}"

    private, alone_few = mean(MAIN, "unseen_5"), mean(ALONE, "unseen_5")
    k1, k5, k16 = (mean(MAIN, f"unseen_{k}") for k in (1, 5, 16))
    new = (
        f"A new hospital with 5 records: AUROC {private} with the private shared model (epsilon 3), "
        f"{alone_few} alone; difference {gap(MAIN, 'unseen_5', ALONE)}."
    )
    worth = (
        f"What secure aggregation is worth: the same epsilon on each upload gives {mean(EACH, 'auroc')} instead of "
        f"{mean(MAIN, 'auroc')} at the same clip and step ({gap(EACH, 'auroc', MAIN)}); "
        f"{mean(EACH_OWN, 'auroc')} with its own step size ({gap(EACH_OWN, 'auroc', MAIN)})."
    )
    ahead = (
        f"Fine-tuned FedAvg without privacy, against private MAML: {gap(TUNED, 'auroc', MAIN)} AUROC; against MAML "
        f"without privacy: {gap(TUNED, 'auroc', REFERENCE)}. On this data meta-learning itself gains nothing over it."
    )
    few = f"Adaptation on site changes AUROC little: a new hospital has {k1}, {k5}, {k16} with 1, 5, 16 records."
    return [new, worth, ahead, few]


def show(table: dict[str, dict[str, list[float]]], checks: list[dict[str, object]], says: list[str]) -> None:
    print(f"{'':34}" + "".join(f"{title:>14}" for title in COLUMNS.values()))
    for name, row in table.items():
        print(f"{name:34}" + "".join(f"{_mean(row[key]):>14.4f}" for key in COLUMNS))
        if name != REFERENCE:
            differences = (_difference(row[key], table[REFERENCE][key]) for key in COLUMNS)
            print(f"{'':34}" + "".join(f"{value:>+8.4f}±{error:.4f}"[:14].rjust(14) for value, error in differences))
    for line in says:
        print(line)
    for check in checks:
        print(f"{'reached' if check['holds'] else 'MISSED ':8} {check['what']}: {check['figure']}")


def store(table: dict[str, dict[str, list[float]]], checks: object, says: list[str], options: object) -> None:
    shown = [name for name in table if not name.startswith("control")]
    content = {
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "command": f"python benchmarks/hospital.py --seeds {options.seeds} --first {options.first} --store",
        "seeds": options.seeds,
        "protocol": protocol_line(schedule_for(plan_with(RUNS[MAIN]))),
        "columns": [{"key": key, "title": title} for key, title in COLUMNS.items()],
        "rows": [
            {
                "name": name,
                "headline": name == MAIN,
                "cells": {key: f"{_mean(table[name][key]):.3f} ± {_error(table[name][key]):.3f}" for key in COLUMNS},
            }
            for name in shown
        ],
        "says": says,
        "checks": checks,
    }
    STORE.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    quote(content["rows"])


def quote(rows: list[dict[str, object]]) -> None:
    """Put the new figures into the rows that README.md quotes; its sentences are for a person to read again."""
    lines = README.read_text(encoding="utf-8").splitlines()
    cells = {row["name"]: row["cells"] for row in rows}
    for at, line in enumerate(lines):
        name = line.strip("|").split("|")[0].strip()
        if line.startswith("| ") and name in cells:
            lines[at] = "| " + " | ".join([name, *(cells[name][key] for key in README_COLUMNS)]) + " |"
    README.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _check(what: str, value: float, error: float | None, *, holds: bool) -> dict[str, object]:
    figure = f"{value:.4f}" if error is None else f"{value:+.4f} ± {error:.4f}"
    return {"what": what, "figure": figure, "holds": bool(holds)}


def _mean(values: list[float]) -> float:
    return statistics.fmean(v for v in values if not math.isnan(v))


def _error(values: list[float]) -> float:
    known = [v for v in values if not math.isnan(v)]
    return statistics.stdev(known) / math.sqrt(len(known)) if len(known) > 1 else math.nan


def _difference(ours: list[float], theirs: list[float]) -> tuple[float, float]:
    paired = [a - b for a, b in zip(ours, theirs, strict=True)]
    return _mean(paired), _error(paired)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--json", action="store_true", help="one line of JSON instead of the table")
    parser.add_argument("--store", action="store_true", help="keep the table that reports show")
    return parser.parse_args()


if __name__ == "__main__":
    main()
