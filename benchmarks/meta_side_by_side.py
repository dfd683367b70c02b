# SPDX-License-Identifier: Apache-2.0
"""Run MAML steps of torchopt and ours in turn on this machine, on one thread, and print minima, medians and ratios.

python benchmarks/peers/build.py torchopt
python benchmarks/meta_side_by_side.py [--only mlp/5] [--compiled] [--rounds 3] [--repeat 10] [--json]

Both compute in float32 from the same tasks and parameters, in processes of their own that alternate; torchopt returns
the sum over tasks alone, ours every task's gradient. `auto` has no warm-up; `compiled` is compiled anew in each
process, which its minimum leaves out.

Their averages are compared in float64, in a step of each that is not timed: a row that disagrees fails. How far the
timed float32 gradients are apart is printed beside it. Where rectifiers and pooling meet near ties, as in conv,
rounding alone sends a few rows down another branch, and two right programs may differ by more. Exit status 1
after a row that failed.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).parent
PEER = HERE.parent / ".peers" / "torchopt"
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
ROWS = ("sine/1", "sine/5", "mlp/1", "mlp/5", "conv/1")
# Milliseconds that are wanted on a quiet machine: without warm-up, and compiled.
WANTED = {
    "sine/1": (0.95, 0.32),
    "sine/5": (4.2, 1.3),
    "mlp/1": (2.3, 0.85),
    "mlp/5": (9.2, 3.9),
    "conv/1": (1300, None),
}
AGREEMENT = 1e-9  # of the largest entry, in float64


class FailedError(Exception):
    """A process ended without a result; the message is the last line it wrote to stderr."""


def last_json(command: list[str]) -> dict[str, Any]:
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ | ONE_THREAD)
    if done.returncode != 0:
        raise FailedError((done.stderr.strip() or f"exit status {done.returncode}").splitlines()[-1])
    result: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return result


def theirs(model: str, steps: str, repeat: int, file: Path, dtype: str = "float32") -> dict[str, Any]:
    driver = HERE / "peers" / "torchopt_maml.py"
    found = last_json([str(PEER / "bin" / "python"), str(driver), model, steps, str(repeat), str(file), dtype])
    return {"min_ms": min(found["ms"]), "median_ms": statistics.median(found["ms"])}


def ours(model: str, steps: str, engine: str, repeat: int, file: Path, dtype: str = "float32") -> dict[str, Any]:
    options = ["--model", model, "--steps", steps, "--engine", engine, "--repeat", str(repeat), "--save", str(file)]
    return last_json([sys.executable, str(HERE / "meta_step.py"), *options, "--dtype", dtype, "--json"])


def distance(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.abs(one - other).max() / np.abs(other).max())


def compared(row: str, args: argparse.Namespace) -> list[dict[str, Any]]:
    """One line for each engine of ours beside torchopt; minima over all rounds."""
    model, steps = row.split("/")
    engines = ["auto"] + (["compiled"] if args.compiled and model != "conv" else [])
    samples: dict[str, list[dict[str, Any]]] = {name: [] for name in ("torchopt", *engines)}
    gradients: dict[str, np.ndarray] = {}
    with tempfile.TemporaryDirectory() as held:
        for _ in range(args.rounds):
            for name, found in samples.items():
                file = Path(held) / name
                if name == "torchopt":
                    found.append(theirs(model, steps, args.repeat, file))
                else:
                    found.append(ours(model, steps, name, args.repeat, file))
                gradients[name] = np.frombuffer(file.read_bytes())
        exact: dict[str, np.ndarray] = {}
        for name in samples:
            file = Path(held) / f"{name}-64"
            if name == "torchopt":
                theirs(model, steps, 1, file, "float64")
            else:
                ours(model, steps, name, 10, file, "float64")
            exact[name] = np.frombuffer(file.read_bytes())
    least = {name: min(one["min_ms"] for one in found) for name, found in samples.items()}
    middle = {name: statistics.median(one["median_ms"] for one in found) for name, found in samples.items()}
    lines = []
    for place, name in enumerate(engines):
        apart = distance(exact[name], exact["torchopt"])
        lines.append(
            {
                "row": row,
                "engine": name,
                "ran": samples[name][-1]["engine"],
                "torchopt_min_ms": least["torchopt"],
                "torchopt_median_ms": middle["torchopt"],
                "min_ms": least[name],
                "median_ms": middle[name],
                "ratio": least["torchopt"] / least[name],
                "wanted_ms": WANTED[row][place],
                "apart": apart,
                "apart_float32": distance(gradients[name], gradients["torchopt"]),
                "agrees": apart <= AGREEMENT,
            }
        )
    return lines


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", choices=ROWS, action="append", help="a row; may be repeated")
    parser.add_argument("--compiled", action="store_true", help="the compiled engine as well, half a minute a row")
    parser.add_argument("--rounds", type=int, default=3, help="processes of each side, in turn")
    parser.add_argument("--repeat", type=int, default=10, help="steps timed in each process, 10 at least")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    if args.repeat < 10 or args.rounds < 1:
        parser.error("at least one round of 10 steps")
    if not (PEER / "complete").exists():
        raise SystemExit("no environment of torchopt: nothing was compared; run benchmarks/peers/build.py torchopt")
    lines, failed = [], 0
    print(f"load {os.getloadavg()[0]:.1f}; ms, minimum (median)")
    print(f"{'row':8} {'engine':20} {'torchopt':>18} {'ours':>18} {'ratio':>7} {'wanted':>8} gradients")
    for row in args.only or ROWS:
        try:
            found = compared(row, args)
        except FailedError as error:
            print(f"{row:8} failed: {error}")
            failed += 1
            continue
        for line in found:
            pairs = [f"{line[f'{who}min_ms']:.2f} ({line[f'{who}median_ms']:.2f})" for who in ("torchopt_", "")]
            name = line["engine"] + (f" ({line['ran']})" if line["ran"] != line["engine"] else "")
            said = "agree to" if line["agrees"] else "DISAGREE by"
            said += f" {line['apart']:.0e} (float32: {line['apart_float32']:.0e})"
            print(f"{row:8} {name:20} {pairs[0]:>18} {pairs[1]:>18} {line['ratio']:6.1f}x {line['wanted_ms']:8} {said}")
            failed += not line["agrees"]
        lines += found
    if args.json:
        print(json.dumps({"rows": lines}))
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
