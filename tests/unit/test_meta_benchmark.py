"""The benchmark of a meta-step: its one line of JSON, and a comparison that fails where it must."""

import importlib.util
import json
import sys
from pathlib import Path

import numpy as np
import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
KEYS = {"min_ms", "median_ms", "first_call_ms", "peak_extra_bytes", "dtype", "threads", "engine"}


def program(name):
    spec = importlib.util.spec_from_file_location(name, BENCHMARKS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def meta_step():
    return program("meta_step")


@pytest.mark.parametrize("noise", [["--noise"], []])
def test_one_line_of_json_and_the_same_gradient_from_each_engine(meta_step, tmp_path, monkeypatch, capsys, noise):
    found = {}
    for engine in ("auto", "vmap", "loop") if noise else ("auto", "stacked"):
        options = ["--model", "sine", "--steps", "2", "--engine", engine, "--save", str(tmp_path / engine), *noise]
        monkeypatch.setattr(sys, "argv", ["meta_step.py", "--repeat", "10", "--json", *options])
        meta_step.main()
        result = json.loads(capsys.readouterr().out.splitlines()[-1])
        assert result.keys() >= KEYS and result["dtype"] == "float32" and result["threads"] == 1
        assert 0 < result["min_ms"] <= result["median_ms"]
        assert (result.get("opacus_fixed_ms", 0) > 0) is bool(noise)
        found[engine] = np.frombuffer((tmp_path / engine).read_bytes())
        if engine == "auto":
            assert result["choice"].startswith(f"engine {result['engine']} for 32 tasks")
    assert np.abs(found["auto"]).max() > 1e-2
    for gradient in found.values():
        np.testing.assert_allclose(gradient, found["auto"], rtol=0, atol=1e-5)


@pytest.fixture
def compare(monkeypatch, tmp_path):
    module = program("meta_side_by_side")
    (tmp_path / "complete").touch()
    monkeypatch.setattr(module, "PEER", tmp_path)
    monkeypatch.setattr(sys, "argv", ["meta_side_by_side.py", "--only", "mlp/1", "--rounds", "2"])
    return module


def answers(off=0.0, rounded=0.0):
    """A stand-in for both processes: torchopt at 10 ms, ours at 2 ms; how far off our gradient is, and in float32."""

    def last_json(command):
        own = "--engine" in command
        exact = "float64" in command
        file = Path(command[command.index("--save") + 1] if own else command[-2])
        file.write_bytes((np.array([1.0, -2.0]) + (off + (0.0 if exact else rounded) if own else 0.0)).tobytes())
        if own:
            return {"min_ms": 2.0, "median_ms": 3.0, "engine": "stacked"}
        return {"ms": [12.0, 10.0, 11.0]}

    return last_json


def test_ratios_of_minima_and_agreement(compare, monkeypatch, capsys):
    monkeypatch.setattr(compare, "last_json", answers(rounded=1e-3))
    assert compare.main() == 0
    row = capsys.readouterr().out.splitlines()[-1].split()
    assert row[:9] == ["mlp/1", "auto", "(stacked)", "10.00", "(11.00)", "2.00", "(3.00)", "5.0x", "2.3"]
    assert " ".join(row[9:]) == "agree to 0e+00 (float32: 5e-04)"


@pytest.mark.parametrize("off", [1e-3, 1e-8])
def test_gradients_that_differ_in_float64_fail(compare, monkeypatch, capsys, off):
    monkeypatch.setattr(compare, "last_json", answers(off=off))
    assert compare.main() == 1 and f"DISAGREE by {off / 2:.0e}" in capsys.readouterr().out


def test_a_side_that_fails_says_so(compare, monkeypatch, capsys):
    def refuse(command):
        raise compare.FailedError("out of luck")

    monkeypatch.setattr(compare, "last_json", refuse)
    assert compare.main() == 1 and "mlp/1    failed: out of luck" in capsys.readouterr().out


def test_nothing_is_compared_without_the_environment(compare, monkeypatch, tmp_path):
    (tmp_path / "complete").unlink()
    with pytest.raises(SystemExit, match="nothing was compared"):
        compare.main()
