# SPDX-License-Identifier: Apache-2.0
"""The benchmark of encrypted sums: its one line of JSON, what it refuses, and goals that can be missed."""

import argparse
import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "homomorphic.py"
sys.path.insert(0, str(SCRIPT.parent))
SPEC = importlib.util.spec_from_file_location("benchmarks_homomorphic", SCRIPT)
homomorphic = importlib.util.module_from_spec(SPEC)
sys.modules[SPEC.name] = homomorphic
SPEC.loader.exec_module(homomorphic)
homomorphic_rounds = sys.modules["homomorphic_rounds"]


def run(*options):
    command = [sys.executable, str(SCRIPT), "--repeat", "1", *map(str, options)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("scheme", homomorphic.ROUNDS)
def test_one_line_of_json(scheme):
    done = run("--scheme", scheme, "--dimension", 300, "--clients", 4, "--json")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout.splitlines()[-1])
    assert result.keys() >= {"seconds", "bytes_per_parameter", "key_sum_bytes", "exact", "naive", "load", "params"}
    assert result["exact"] is True and "nvflare" not in result
    phases = {name: s for name, s in result["seconds"].items() if name != "total"}
    assert set(phases) >= {"quantise", "keys", "encrypt", "load and add", "settle", "open", "decode"}
    assert all(s > 0 for s in phases.values()) and sum(phases.values()) == pytest.approx(result["seconds"]["total"])
    assert 0 < result["key_sum_bytes"] <= 300 * result["bytes_per_parameter"]
    assert "naive CKKS" in done.stdout and "times less time" in done.stdout


@pytest.mark.parametrize("options", [("--clients", 1), ("--dimension", 0), ("--repeat", 0), ("--scheme", "paillier")])
def test_arguments_that_make_no_round(options, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["homomorphic.py", *map(str, options)])
    with pytest.raises(SystemExit) as ended:
        homomorphic.parsed()
    assert ended.value.code == 2 and "usage: homomorphic.py" in capsys.readouterr().err


def test_floats_under_ckks_are_never_called_exact():
    result = json.loads(run("--scheme", "ckks", "--dimension", 300, "--json").stdout.splitlines()[-1])
    assert result["exact"] is False and result["key_sum_bytes"] == 0 and 0 < result["naive"]["max_error"] < 1e-4


def test_a_peer_that_is_not_built_stops_the_comparison(monkeypatch, tmp_path):
    monkeypatch.setattr(homomorphic, "PEER", tmp_path)
    with pytest.raises(SystemExit, match="nothing was compared"):
        homomorphic.peer(100)


@pytest.mark.parametrize("clients", [2, 10, 50, 64])
@pytest.mark.parametrize("scheme", ["rlwe32", "rlwe64"])
def test_the_sum_has_sixteen_bits_a_value_and_cannot_wrap(scheme, clients):
    setting = homomorphic.Setting(scheme, 5, clients)
    assert setting.bits == (32 if scheme == "rlwe64" else 16 + (clients - 1).bit_length())
    largest = homomorphic_rounds.LARGEST / setting.encoding.step
    assert clients * (largest + 1) < 2 ** (setting.bits - 1) <= clients * (2 * largest + 1) * 2


def shown(capsys, scheme, size, seconds, dimension=1_000_000):
    row = {"seconds": {"open": seconds, "total": seconds}, "minima": {"total": seconds}, "bytes_per_parameter": size}
    theirs = row | {"seconds": {"encrypt": 1.0, "total": 1.0}, "bytes_per_parameter": 62.0}
    report = row | {"naive": theirs, "nvflare": theirs, "load": [0.0, 0.0]}
    homomorphic.show(argparse.Namespace(scheme=scheme, dimension=dimension, clients=10, repeat=5), report)
    return capsys.readouterr().out


def test_goals_are_reached_or_missed(capsys):
    said = shown(capsys, "rlwe32", 4.05, 0.1)
    assert said.count("reached") == 2 and "MISSED" not in said and "10.0 times less time, 15.3 times fewer" in said
    said = shown(capsys, "rlwe32", 4.06, 0.101)
    assert said.count("MISSED") == 2
    said = shown(capsys, "rlwe32", 4.6, 9.0, dimension=10_000)
    assert said.count("reached") == 1 and "MISSED" not in said
    assert "wanted" not in shown(capsys, "rlwe32", 9.0, 9.0, dimension=123)


def test_naive_ckks_is_checked_against_the_sum():
    row = homomorphic.naive(500)
    assert set(row["seconds"]) == {"encrypt", "serialise", "load", "add", "decrypt", "total"} and row["error"] < 1e-6
