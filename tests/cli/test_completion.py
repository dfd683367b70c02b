"""Completion: the printed scripts ask, the program answers, and nobody's home changes."""

import os
import shutil
import subprocess
import sys

import pytest

from secure_fedmeta.cli import main

QUESTIONS = {
    "bash": {"COMP_WORDS": "secure-fedmeta {}", "COMP_CWORD": "1"},
    "zsh": {"_TYPER_COMPLETE_ARGS": "secure-fedmeta {}"},
    "fish": {"_TYPER_COMPLETE_ARGS": "secure-fedmeta {}", "_TYPER_COMPLETE_FISH_ACTION": "get-args"},
}


def answer(shell, typed, home):
    asked = {name: value.format(typed) for name, value in QUESTIONS[shell].items()}
    ended = subprocess.run(
        [sys.executable, "-m", "secure_fedmeta"],
        env=os.environ | asked | {"_SECURE_FEDMETA_COMPLETE": f"complete_{shell}", "HOME": str(home)},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return ended.stdout


@pytest.mark.parametrize("shell", QUESTIONS)
def test_ru_becomes_run(shell, tmp_path):
    said = answer(shell, "ru", tmp_path)
    assert said.count("run") >= 1 and "audit" not in said and "epsilon" not in said
    assert said.startswith({"bash": "run\n", "zsh": '_arguments \'*: :(("run":', "fish": "run\t"}[shell])
    assert list(tmp_path.iterdir()) == []


def test_what_nothing_begins_with_stays(tmp_path):
    assert answer("bash", "zz", tmp_path).strip() == ""


@pytest.mark.parametrize("shell", QUESTIONS)
def test_the_script_asks_this_program(shell, capsys, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert main(["--show-completion", shell]) == 0
    script = capsys.readouterr().out
    assert f"_SECURE_FEDMETA_COMPLETE=complete_{shell}" in script and "secure-fedmeta" in script
    assert list(tmp_path.iterdir()) == []


def test_a_shell_without_a_script(capsys):
    assert main(["--show-completion", "tcsh"]) == 1
    assert capsys.readouterr().err.startswith("SFM-102: no completion for 'tcsh'")


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs the shell itself")
def test_in_bash_itself(tmp_path):
    """Source the script and call its function as the shell does after a tab."""
    program = tmp_path / "secure-fedmeta"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m secure_fedmeta "$@"\n')
    program.chmod(0o755)
    script = (
        "source <(secure-fedmeta --show-completion bash)\nCOMP_WORDS=(secure-fedmeta ru)\nCOMP_CWORD=1\n"
        '_secure_fedmeta_completion secure-fedmeta\necho "${COMPREPLY[@]}"\ncomplete -p secure-fedmeta\n'
    )
    ended = subprocess.run(
        ["bash", "--norc", "-c", script],
        env=os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}", "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    words, registered = ended.stdout.splitlines()
    assert words == "run" and registered == "complete -o default -F _secure_fedmeta_completion secure-fedmeta"
