# SPDX-License-Identifier: Apache-2.0
"""The benchmark of a round: its one line of JSON, its neighbours, and processes that give the same sum."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "secure_aggregation.py"
KEYS = {
    "client_seconds",
    "server_seconds",
    "upload_bytes_per_client",
    "peak_memory_bytes",
    "exact",
    "params",
}


def run(*options):
    command = [sys.executable, str(SCRIPT), "--repeat", "1", "--no-warm-up", "--json", *map(str, options)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done, json.loads(done.stdout.splitlines()[-1]) if done.returncode == 0 else None


@pytest.mark.parametrize("mode", ["semi-honest", "semi-malicious", "malicious"])
@pytest.mark.parametrize("processes", [0, 2])
def test_one_line_of_json(mode, processes):
    options = ("--clients", 20, "--dimension", 100, "--dropout", 0.1, "--bits", 16, "--processes", processes)
    _, result = run("--mode", mode, *options)
    assert result.keys() >= KEYS and result["exact"] is True
    assert result["client_seconds"]["total"] > 0 and result["server_seconds"]["total"] > 0
    params = result["params"]
    assert params["neighbours"] == 19 and params["dropped"] == 2 and params["graph"] == "complete"
    assert 300 < result["upload_bytes_per_client"] < 5000


@pytest.mark.parametrize("mode", ["semi-honest", "malicious"])
def test_other_neighbours_name_the_policy_that_wants_them(mode):
    _, result = run("--clients", 40, "--neighbours", 10, "--dropout", 0.05, "--mode", mode)
    assert result["exact"] and result["params"]["neighbours"] == 10
    assert result["params"]["policy"]["complete_up_to"] == 0


def test_neighbours_that_no_policy_wants():
    done, _ = run("--clients", 40, "--neighbours", 7)
    assert done.returncode == 1 and "no policy of 40 clients wants 7 neighbours" in done.stderr
