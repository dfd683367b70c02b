# SPDX-License-Identifier: Apache-2.0
"""The benchmark of prompt tuning on a sliver of work: its rows and its one line of JSON. No quality is judged here."""

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
