# SPDX-License-Identifier: Apache-2.0
"""Measure the accountant: unequal rounds composed at once, reports per round, and what the libraries take beside it.

python benchmarks/accounting.py --rounds 100000 --repeat 5 --json

1. *Unequal rounds*: noise multiplier uniform in (0.9, 1.3), sampling probability in (0.005, 0.02), delta 1e-6; the
whole list
   of events to epsilon, seconds of wall time and of this thread's processor time, medians. Looseness is against the
   same composition with a grid five times finer in its square and 512 classes.
2. *Reports*: one unequal unsampled round recorded and epsilon read, per round, over --reports rounds.
3. *Libraries*: dp-accounting's PLD (intervals 1e-3 and 1e-4) and Opacus' RDP accountant on the first --peer-rounds of
the same
   rounds, milliseconds per round, with their epsilon. Measured in this run or not printed.
"""

import argparse
import json
import math
import statistics
import time
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from fedmeta_privacy import RunningEpsilon, accountant
from fedmeta_privacy.composition import Rounds, composed_epsilon
from fedmeta_privacy.events import DiscreteGaussianSum, PoissonGaussian

DELTA = 1e-6
ROUND_MS = 40.0  # a real protocol round among ten clients (benchmarks/secure_aggregation.py)


def timed(work: Callable[[], Any], repeat: int) -> tuple[Any, float, float]:
    """Result, median wall seconds and median processor seconds of this thread."""
    wall, cpu, result = [], [], None
    for _ in range(repeat):
        begun, used = time.perf_counter(), time.thread_time()
        result = work()
        wall.append(time.perf_counter() - begun)
        cpu.append(time.thread_time() - used)
    return result, statistics.median(wall), statistics.median(cpu)


def unequal(rounds: int, seed: int) -> list[PoissonGaussian]:
    rng = np.random.default_rng(seed)
    noise, sampling = rng.uniform(0.9, 1.3, rounds), rng.uniform(0.005, 0.02, rounds)
    return [PoissonGaussian(float(z), float(q)) for z, q in zip(noise, sampling, strict=True)]


def composed(events: Sequence[PoissonGaussian], repeat: int) -> dict[str, Any]:
    result, wall, cpu = timed(lambda: accountant.epsilon(events, DELTA), repeat)
    columns = np.array([(event.noise_multiplier, event.sampling_probability) for event in events]).T
    ones = np.ones(len(events))
    fine = composed_epsilon(Rounds(columns[0], columns[1], ones, ones), DELTA, classes=512, fineness=0.001)
    return {
        "rounds": len(events),
        "epsilon": result.upper,
        "finer_epsilon": fine,
        "looseness": result.upper / fine - 1,
        "seconds": wall,
        "processor_seconds": cpu,
    }


def reports(number: int) -> dict[str, Any]:
    rng = np.random.default_rng(1)
    events = []
    for honest in rng.integers(50, 90, number):
        variance = float(honest) * 900.0**2
        events.append(DiscreteGaussianSum(100.0, variance, 900.0, int(honest), 1000, 2.0**-105))
    spent = RunningEpsilon(delta=DELTA)

    def every_round() -> float:
        for event in events:
            spent.record(event)
            upper = spent.value.upper
        return upper

    _, wall, cpu = timed(every_round, 1)
    return {
        "rounds": number,
        "ms_per_round": wall / number * 1e3,
        "processor_ms_per_round": cpu / number * 1e3,
        "share_of_a_round": cpu / number * 1e3 / ROUND_MS,
    }


def peers(events: Sequence[PoissonGaussian]) -> dict[str, Any]:
    from opacus.accountants import RDPAccountant

    def pld(interval: float) -> float:
        return accountant.loss_distribution_epsilon(events, DELTA, interval=interval)

    def opacus_rdp() -> float:
        rdp = RDPAccountant()
        rdp.history = [(event.noise_multiplier, event.sampling_probability, 1) for event in events]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return float(rdp.get_epsilon(DELTA))

    accountant.loss_distribution_epsilon(events[:1], DELTA)  # imports
    opacus_rdp()
    found = {}
    works: dict[str, Callable[[], float]] = {
        "dp-accounting PLD 1e-3": lambda: pld(1e-3),
        "dp-accounting PLD 1e-4": lambda: pld(1e-4),
        "Opacus RDP": opacus_rdp,
        "secure-fedmeta": lambda: accountant.epsilon(events, DELTA).upper,
    }
    for name, work in works.items():
        value, wall, cpu = timed(work, 1)
        found[name] = {"epsilon": value, "ms_per_round": wall / len(events) * 1e3, "processor_ms": cpu * 1e3}
    return {"rounds": len(events)} | found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=100_000)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--reports", type=int, default=2000)
    parser.add_argument("--peer-rounds", type=int, default=20)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    events = unequal(options.rounds, seed=0)
    measured: dict[str, Any] = {"composed": composed(events, options.repeat), "reports": reports(options.reports)}
    if options.peer_rounds:
        measured["peers"] = peers(events[: options.peer_rounds])
    whole, each = measured["composed"], measured["reports"]
    print(
        f"{whole['rounds']} unequal sampled rounds: epsilon {whole['epsilon']:.4f} at {DELTA:g}, "
        f"{100 * whole['looseness']:.2f} % above the finer grid, {whole['seconds']:.2f} s "
        f"({whole['processor_seconds']:.2f} s of processor)"
    )
    print(
        f"a report after each of {each['rounds']} rounds: {each['ms_per_round']:.3f} ms "
        f"({each['processor_ms_per_round']:.3f} ms of processor, {100 * each['share_of_a_round']:.2f} % of 40 ms)"
    )
    for name, row in measured.get("peers", {}).items():
        if isinstance(row, dict):
            print(f"{name:<24} {row['ms_per_round']:8.2f} ms per round, epsilon {row['epsilon']:.4f}")
    if options.json:
        print(json.dumps(measured, default=lambda value: None if math.isinf(value) else value))


if __name__ == "__main__":
    main()
