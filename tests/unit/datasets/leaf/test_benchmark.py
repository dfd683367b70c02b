"""The benchmark that reads LEAF sets: real directories through --data, and its one line of JSON."""

import json
import subprocess
import sys
from pathlib import Path

import leaf_files
import numpy as np

SCRIPT = Path(__file__).parents[4] / "benchmarks" / "leaf_data.py"


def run(*arguments):
    command = [sys.executable, str(SCRIPT), "--repeat", "1", "--users", "3", "--json", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_a_directory_in_leafs_layout(tmp_path):
    rng = np.random.default_rng(0)
    held = {f"u{i}": leaf_files.sent140(rng, 2 + i) for i in range(4)}
    leaf_files.write(tmp_path / "test", held, num_samples=[2, 3, 4, 9])
    (tmp_path / "words.txt").write_text("good\nday\n")
    done = run("--data", tmp_path, "--set", "sent140", "--split", "test", "--vocabulary", tmp_path / "words.txt")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout.splitlines()[-1])
    assert (result["users"], result["samples"], result["miscounted"]) == (4, 14, 1)
    assert result["samples_per_user"] == {"mean": 3.5, "std": np.std([2, 3, 4, 5])}
    assert result["bytes"] == sum(file.stat().st_size for file in (tmp_path / "test").iterdir())


def test_what_cannot_be_read_is_said_with_its_number(tmp_path):
    (tmp_path / "train").mkdir()
    done = run("--data", tmp_path, "--set", "femnist")
    assert done.returncode == 2 and "SFM-139: no .json files" in done.stderr
    assert run("--set", "femnist").returncode == 2
