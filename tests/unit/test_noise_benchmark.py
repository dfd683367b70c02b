# SPDX-License-Identifier: Apache-2.0
"""The benchmark of the samplers: its one line of JSON. No speed is judged here."""

import json
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "noise.py"


def test_one_line_of_json():
    command = [sys.executable, str(SCRIPT), "--repeat", "5", "--values", "2000", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode in (0, 1), done.stderr  # 1: the goal was missed, on a sample this small or a busy machine
    result = json.loads(done.stdout.splitlines()[-1])
    names = {row["sampler"] for row in result["rows"]}
    assert {"keystream alone", "numpy float Gaussian"} < names and len(names) == 11
    assert {f"DiscreteGaussian {scale}" for scale in (4, 64, 1024)} < names
    assert all(row["low"] <= row["million_per_second"] <= row["high"] for row in result["rows"])
    assert result["reached"] is (done.returncode == 0)


def test_too_few_repetitions_are_refused():
    done = subprocess.run([sys.executable, str(SCRIPT), "--repeat", "1"], capture_output=True, text=True, check=False)
    assert done.returncode == 2 and "5 repetitions" in done.stderr
