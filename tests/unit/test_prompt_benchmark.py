# SPDX-License-Identifier: Apache-2.0
"""The benchmark of prompt tuning on a sliver of work: its rows and its one line of JSON. No quality is judged here."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "prompt_tuning.py"
SLIVER = "--clients 6 --q 0.5 --rounds 1 --seeds 2 --held-out 2 --steps 2 --json".split()  # noqa: SIM905


def run(*more):
    return subprocess.run([sys.executable, str(SCRIPT), *SLIVER, *more], capture_output=True, text=True, check=False)


@pytest.mark.long
def test_rows_and_one_line_of_json(tmp_path):
    kept = ["--weights", str(tmp_path / "w.safetensors")]
    first, again = run(*kept), run(*kept)
    assert first.returncode in (0, 1), first.stderr  # 1: the prompt did not win, on a network that learned nothing
    result, repeated = (json.loads(done.stdout.splitlines()[-1]) for done in (first, again))
    assert [(row["method"], row["numbers"]) for row in result["rows"]] == [
        ("no prompt", 0), *[("prompt", 256)] * 3, *[("weights", 115_536)] * 3
    ]  # fmt: skip
    private = [row for row in result["rows"] if row["epsilon"]]
    assert len(private) == 2 and all(2.5 < row["epsilon"] <= 3.0 for row in private)
    assert result["sigma"] > 0 and result["reached"] is (first.returncode == 0)
    assert result["pretrain_seconds"] > 0 == repeated["pretrain_seconds"]
    for row, other in zip(result["rows"], repeated["rows"], strict=True):
        assert (row["loss"], row["accuracy"]) == (other["loss"], other["accuracy"])


def rows_of(prompt, weights, *, plain=0.70, spread=0.01):
    def row(method, epsilon, loss):
        return {"method": method, "epsilon": epsilon} | {
            name: {"mean": loss, "spread": spread if epsilon else 0.0} for name in ("loss", "adapted_loss")
        }

    alone = [row(method, 0.0, 0.1) for method in ("prompt", "weights")]  # without federation: counts for nothing
    private = [row("prompt", 3.0, prompt), row("prompt", None, 0.1), row("weights", 3.0, weights)]
    return [row("no prompt", 0.0, plain), *alone, *private, row("weights", None, 0.1)]


@pytest.fixture(scope="module")
def benchmark():
    spec = importlib.util.spec_from_file_location("prompt_tuning", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    sys.modules["prompt_tuning"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    yield module
    del sys.modules["prompt_tuning"]


@pytest.mark.parametrize(
    ("prompt", "weights", "plain", "won"),
    [(0.60, 0.65, 0.70, True), (0.60, 0.61, 0.70, False), (0.65, 0.60, 0.70, False), (0.60, 0.65, 0.605, False)],
)
def test_what_counts_as_reached(benchmark, prompt, weights, plain, won):
    assert benchmark.reached(rows_of(prompt, weights, plain=plain)) is won
