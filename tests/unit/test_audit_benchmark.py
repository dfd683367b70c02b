"""The benchmark of the audits runs, and prints what its readers parse."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.long
def test_one_json_object_with_every_kind():
    command = [
        sys.executable,
        str(ROOT / "benchmarks/empirical_audit.py"),
        "--trials",
        "7000",
        "--rounds",
        "5",
        "--json",
    ]
    ended = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300)
    body = json.loads(ended.stdout)
    assert [round(row["claim"]) for row in body["mechanism"]] == [1, 2, 4]
    for row in body["mechanism"]:
        assert row["gaussian"] == row["bounds"][0]["epsilon"] > 0
        assert row["between"] is None  # one round holds that many
    kinds = {bound["kind"] for row in (*body["mechanism"], body["rounds"]) for bound in row["bounds"]}
    assert kinds == {"mechanism test", "one-run bound", "multi-run bound"}
