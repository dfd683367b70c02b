"""The Makefile looks before it leaps: it says so when pip would bring a CUDA build, and is silent otherwise."""

import importlib.util
import json
import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest

TOOL = Path(__file__).parents[2] / "tools/look_before_install.py"


@pytest.fixture
def look(monkeypatch):
    spec = importlib.util.spec_from_file_location("look_before_install", TOOL)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.chdir(TOOL.parents[1])
    return module


def answer(monkeypatch, names, status=0):
    """torch is not installed; pip's dry run would install these."""

    def run(command, **_):
        if "-c" in command:
            return SimpleNamespace(returncode=1)
        report = Path(command[command.index("--report") + 1])
        report.write_text(json.dumps({"install": [{"metadata": {"name": name}} for name in names]}))
        assert command[-1] == "torch==2.13.0"
        return SimpleNamespace(returncode=status, stderr="no such version")

    monkeypatch.setattr(subprocess, "run", run)


def test_a_cuda_build_is_announced_with_the_way_out(look, monkeypatch, capsys):
    answer(monkeypatch, ["torch", "nvidia-cublas", "triton"])
    look.main()
    said = capsys.readouterr().out
    assert "CUDA" in said and "TORCH_INDEX" in said and "2 packages" in said


def test_a_cpu_build_needs_no_words(look, monkeypatch, capsys):
    answer(monkeypatch, ["torch", "numpy"])
    look.main()
    assert capsys.readouterr().out == ""


def test_what_pip_cannot_resolve_is_said_and_does_not_stop_the_install(look, monkeypatch, capsys):
    answer(monkeypatch, [], status=1)
    look.main()
    assert "cannot resolve" in capsys.readouterr().err
