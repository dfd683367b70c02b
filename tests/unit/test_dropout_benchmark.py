# SPDX-License-Identifier: Apache-2.0
"""The benchmark of noise for dropouts: what it says of both kinds, on a small case."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "dropout_noise.py"


@pytest.mark.long
def test_one_line_of_json():
    colluders = 1
    small = ["--dimension", "2", "--rounds", "1", "--dropout", "0.2", "--colluders", str(colluders), "--json"]
    done = subprocess.run([sys.executable, str(SCRIPT), *small], capture_output=True, text=True, check=True)
    *text, last = done.stdout.splitlines()
    rows = json.loads(last)["rows"]
    assert len(text) == 2 + len(rows) == 2 + 6
    ratios = {(row["mode"], row["dropped"]): row["analytic"] for row in rows}
    assert [ratios["surplus", d] for d in range(3)] == pytest.approx([1.0] * 3, abs=1e-4)
    expected = [(10 - d - colluders) / (8 - colluders) for d in range(3)]
    assert [ratios["over-provision", d] for d in range(3)] == pytest.approx(expected, rel=1e-9)
    assert all(row["seconds"] > 0 and row["bytes_per_site"] > 1000 and row["epsilon"] <= 8 for row in rows)
