# SPDX-License-Identifier: Apache-2.0
"""The honest tables of the pilots: private runs beside what a user would run instead, over paired seeds.

python benchmarks/pilots.py credit --seeds 20             # one pilot
python benchmarks/pilots.py icu --seeds 20 --store        # and keep the table that reports and docs/pilots.md show
python benchmarks/pilots.py all --quote                   # put the kept tables into docs/pilots.md, running nothing

Every private row runs the product at its default strength. Rows of one seed share data, split and roles; differences
are paired. Scores are simulation only. `hospital` has a table of its own with more rows (`benchmarks/hospital.py`).
"""

import argparse
import json
import math
import os
import statistics
import time
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

from secure_fedmeta.pilots import NAMES, pilot_named

STORE = Path(__file__).parents[1] / "secure_fedmeta/report/tables"
PAGE = Path(__file__).parents[1] / "docs/pilots.md"
BEGIN, END = "<!-- tables -->", "## Your own table"
EPSILONS = ("none", 8.0, 3.0, 1.0)
PRIVATE = "epsilon 3"
Scores = dict[str, float]


def main() -> None:
    options = _options()
    if options.quote:
        quote()
        return
    start = time.perf_counter()
    seeds = range(options.first, options.first + options.seeds)
    one = one_wearables if options.pilot == "wearables" else one_seed
    with ProcessPoolExecutor(max_workers=options.workers) as pool:
        results = list(pool.map(one, [options.pilot] * len(seeds), seeds))
    columns = results[0][1]
    table = {name: {key: [r[0][name][key] for r in results] for key, _ in columns} for name in results[0][0]}
    checks = targets(options.pilot, table)
    if options.json:
        means = {name: {key: _mean(values) for key, values in row.items()} for name, row in table.items()}
        print(json.dumps({"pilot": options.pilot, "seeds": len(seeds), "means": means, "checks": checks}))
    else:
        show(table, columns, checks)
        print(f"{len(seeds)} seeds from {options.first} in {time.perf_counter() - start:.0f} s")
    if options.store:
        store(table, columns, checks, options)


def one_seed(name: str, seed: int) -> tuple[dict[str, Scores], list[tuple[str, str]]]:
    """Every row of one seed: MAML-like runs at four budgets, then the baselines."""
    pilot = pilot_named(name)
    rows: dict[str, Scores] = {}
    compared = []
    for epsilon in EPSILONS:
        settings = {"seed": seed, "epsilon": epsilon}
        if epsilon == "none":
            settings["aggregation"] = "none"
        plan = pilot.plan_with(settings)
        study = pilot.study_of(plan)
        run = study.execute(out=None).run
        label = "no privacy" if epsilon == "none" else f"epsilon {epsilon:g}"
        compared = study.compare(run.theta, f"{plan.algorithm.upper()}, {label}")
        rows[label] = compared[0]
    rows |= {row["name"]: row for row in compared[1:]}
    return rows, [(column.key, column.title) for column in pilot.columns]


def one_wearables(_: str, seed: int) -> tuple[dict[str, Scores], list[tuple[str, str]]]:
    """Of the population simulation, where a run without noise is the FedAvg baseline."""
    from secure_fedmeta.pilots.population import COLUMNS, TUNING, WearablesPlan, WearablesStudy

    rows: dict[str, Scores] = {}
    for epsilon in (8.0, 3.0, 1.0):
        study = WearablesStudy(WearablesPlan.of({"seed": seed, "epsilon": epsilon}))
        theta = study.execute().result.theta
        rows[f"epsilon {epsilon:g} + fine-tuning"] = study.row("", theta, TUNING)
        rows[f"epsilon {epsilon:g}"] = study.row("", theta, None)
    rows |= {row["name"]: row for row in study.compare(theta, "")[2:]}
    return rows, [(column.key, column.title) for column in COLUMNS]


def targets(pilot: str, table: dict[str, dict[str, list[float]]]) -> list[dict[str, object]]:
    """What the pilot is asked to reach, with the figures."""
    main_row = table[PRIVATE]
    alone = table[next(name for name in table if name.startswith("each "))]
    checks = []

    def check(what: str, pair: tuple[float, float], holds: bool) -> None:
        checks.append({"what": what, "figure": f"{pair[0]:+.4f} ± {pair[1]:.4f}", "holds": bool(holds)})

    if pilot in ("hospital", "credit", "icu"):
        other = "no privacy" if pilot != "credit" else "FedAvg, no privacy"
        room = 0.010 if pilot == "credit" else 0.007
        gap = _difference(main_row["auroc"], table[other]["auroc"])
        check(f"AUROC at epsilon 3 within {room} of {other}", gap, gap[0] >= -room)
        value = _mean(main_row["ece"])
        check("ECE at most 0.03 after calibration on site", (value, _error(main_row["ece"])), value <= 0.03)
        worst = _difference(main_row["worst"], alone["worst"])
        check("worst site at least local-only", worst, worst[0] >= 0)
        tuned = table[next(name for name in table if name.startswith("FedAvg + fine-tuning"))]
        later = _difference(main_row["unseen_10"], tuned["unseen_10"])
        check("later sites, k=10, no worse than FedAvg + fine-tuning minus 0.002", later, later[0] >= -0.002)
    if pilot == "recommender":
        gap = _difference(main_row["rmse"], table["no privacy"]["rmse"])
        check("RMSE at epsilon 3 within 0.02 of no privacy", gap, gap[0] <= 0.02)
        tuned = table[next(name for name in table if name.startswith("FedAvg + fine-tuning"))]
        later = _difference(main_row["unseen_10"], tuned["unseen_10"])
        check("later users, k=10: RMSE no worse than FedAvg + fine-tuning plus 0.002", later, later[0] <= 0.002)
    if pilot == "wearables":
        tuned = table[f"{PRIVATE} + fine-tuning"]
        gap = _difference(tuned["accuracy"], alone["accuracy"])
        check("accuracy at epsilon 3, tuned on the device, above each person alone", gap, gap[0] > 0)
    return checks


def show(
    table: dict[str, dict[str, list[float]]], columns: list[tuple[str, str]], checks: list[dict[str, object]]
) -> None:
    print(f"{'':52}" + "".join(f"{title[:13]:>14}" for _, title in columns))
    for name, row in table.items():
        print(f"{name[:51]:52}" + "".join(f"{_mean(row[key]):>14.4f}" for key, _ in columns))
        print(f"{'':52}" + "".join(f"{'±' + format(_error(row[key]), '.4f'):>14}" for key, _ in columns))
    for one in checks:
        print(f"{'reached' if one['holds'] else 'MISSED ':8} {one['what']}: {one['figure']}")


def store(
    table: object, columns: list[tuple[str, str]], checks: list[dict[str, object]], options: argparse.Namespace
) -> None:
    content = {
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "command": f"python benchmarks/pilots.py {options.pilot} --seeds {options.seeds} --store",
        "seeds": options.seeds,
        "columns": [{"key": key, "title": title} for key, title in columns],
        "rows": [
            {
                "name": name,
                "headline": name == PRIVATE,
                "cells": {key: f"{_mean(row[key]):.3f} ± {_error(row[key]):.3f}" for key, _ in columns},
            }
            for name, row in table.items()
        ],
        "says": [f"{'Reached' if one['holds'] else 'Missed'}: {one['what']} ({one['figure']})." for one in checks],
        "checks": checks,
    }
    STORE.mkdir(exist_ok=True)
    path = STORE / f"{options.pilot}.json"
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def quote() -> None:
    """Put the stored tables into the page, which a test compares."""
    text = PAGE.read_text(encoding="utf-8")
    head, rest = text.split(BEGIN)
    tail = rest[rest.index(END) :]
    PAGE.write_text(f"{head}{BEGIN}\n{tables()}{tail}", encoding="utf-8")


def tables() -> str:
    """Markdown of all stored tables with a pilot's checks below each."""
    parts = []
    for name in ("icu", "credit", "wearables", "recommender"):
        path = STORE / f"{name}.json"
        if not path.exists():
            continue
        stored = json.loads(path.read_text(encoding="utf-8"))
        columns = stored["columns"]
        parts += [f"### {name}", "", f"{stored['date']}, `{stored['command']}`", ""]
        parts.append("| model | " + " | ".join(column["title"] for column in columns) + " |")
        parts.append("|---|" + "---|" * len(columns))
        for row in stored["rows"]:
            cells = " | ".join(row["cells"][column["key"]] for column in columns)
            parts.append(f"| {row['name']} | {cells} |")
        parts += ["", *(f"* {line}" for line in stored["says"]), ""]
    return "\n".join(parts) + "\n"


def _mean(values: list[float]) -> float:
    known = [v for v in values if not math.isnan(v)]
    return statistics.fmean(known) if known else math.nan


def _error(values: list[float]) -> float:
    known = [v for v in values if not math.isnan(v)]
    return statistics.stdev(known) / math.sqrt(len(known)) if len(known) > 1 else math.nan


def _difference(ours: list[float], theirs: list[float]) -> tuple[float, float]:
    paired = [a - b for a, b in zip(ours, theirs, strict=True)]
    return _mean(paired), _error(paired)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pilot", choices=(*NAMES, "wearables", "all"))
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--json", action="store_true", help="one line of JSON instead of the table")
    parser.add_argument("--quote", action="store_true", help="only put the kept tables into docs/pilots.md")
    parser.add_argument("--store", action="store_true", help="keep the table that reports show")
    return parser.parse_args()


if __name__ == "__main__":
    main()
