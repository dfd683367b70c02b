# SPDX-License-Identifier: Apache-2.0
"""Measure the noise samplers: values per second of one core, from an AES keystream.

python benchmarks/noise.py --repeat 11 --json

Rates are millions of values per second of this thread's processor time, medians over the repetitions; in each
repetition all samplers run in turn, so that a slow moment of a shared machine falls on all. Beside the samplers stand
the keystream alone (a word per value, in the samplers' blocks) and numpy's float Gaussian, which is neither private
after rounding nor cryptographic: it shows what a value costs at least. Building the tables is measured once each. Exit
status 1 if the discrete Gaussian at scale 64 stays below its goal. Prints one JSON object as the last line with --json.
"""

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np

from fedmeta_crypto.prg import Keystream
from fedmeta_privacy.exact_noise import ExactDiscreteGaussian
from fedmeta_privacy.noise import DiscreteGaussian
from fedmeta_privacy.skellam import Skellam

GOAL_SCALE, GOAL = 64.0, 10.0
BLOCK = 1 << 15
SCALES = (4.0, GOAL_SCALE, 1024.0)


def rate(draw: Callable[[int], object], values: int) -> float:
    """Millions of values per second of processor time."""
    start = time.thread_time()
    draw(values)
    return values / (time.thread_time() - start) / 1e6


def samplers() -> tuple[dict[str, Callable[[int], object]], dict[str, float]]:
    """Each sampler by name, and the milliseconds that its table took."""
    words = Keystream(os.urandom(16)).words
    generator = np.random.default_rng()
    draws: dict[str, Callable[[int], object]] = {
        "keystream alone": lambda n: [words(min(BLOCK, n - start)) for start in range(0, n, BLOCK)][-1],
        "numpy float Gaussian": generator.standard_normal,
    }
    built = {}
    for scale in SCALES:
        for kind in (DiscreteGaussian, Skellam):
            start = time.perf_counter()
            sampler = kind(scale)
            name = f"{kind.__name__} {scale:g}"
            built[name] = 1e3 * (time.perf_counter() - start)
            draws[name] = lambda n, sampler=sampler: sampler.sample(n, words)
        exact = ExactDiscreteGaussian(Fraction(scale) ** 2)
        draws[f"ExactDiscreteGaussian {scale:g}"] = lambda n, exact=exact: exact.sample(max(1, n // 2000), words)
    return draws, built


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeat", type=int, default=11, help="repetitions, 5 at least")
    parser.add_argument("--values", type=int, default=2_000_000, help="per repetition; the exact sampler draws 1/2000")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    if args.repeat < 5 or args.values < 2000:
        parser.error("at least 5 repetitions of 2000 values")
    draws, built = samplers()
    samples: dict[str, list[float]] = {name: [] for name in draws}
    for _ in range(args.repeat):
        for name, draw in draws.items():
            share = 2000 if name.startswith("Exact") else 1
            samples[name].append(rate(draw, args.values) / share)
    rows: list[dict[str, Any]] = [
        {
            "sampler": name,
            "million_per_second": statistics.median(rates),
            "low": min(rates),
            "high": max(rates),
            "table_ms": built.get(name),
        }
        for name, rates in samples.items()
    ]
    print(f"median (lowest, highest) of {args.repeat}, million values per second of one core")
    for row in rows:
        table = "" if row["table_ms"] is None else f"  table {row['table_ms']:.1f} ms"
        print(
            f"{row['sampler']:<28} {row['million_per_second']:9.3f}  ({row['low']:.3f}, {row['high']:.3f}){table}",
        )
    reached = next(r for r in rows if r["sampler"] == f"DiscreteGaussian {GOAL_SCALE:g}")["million_per_second"] >= GOAL
    print(f"goal of {GOAL:g} at scale {GOAL_SCALE:g}: {'reached' if reached else 'NOT REACHED'}")
    if args.json:
        print(json.dumps({"repeat": args.repeat, "values": args.values, "reached": reached, "rows": rows}))
    return 0 if reached else 1


if __name__ == "__main__":
    raise SystemExit(main())
