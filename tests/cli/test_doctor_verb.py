"""`secure-fedmeta doctor` on this machine, and its exit status."""

import json

import pytest

from secure_fedmeta import machine
from secure_fedmeta.cli import main
from secure_fedmeta.doctor import Check, State

GOOD, NOTED = Check("cores", State.OK, "2"), Check("text", State.NOTE, "ascii", "set PYTHONUTF8=1")
BAD = Check("entropy", State.FAULT, "none", "repair it")


def test_this_machine(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    status = main(["doctor", "--format", "json"])
    body = json.loads(capsys.readouterr().out)
    assert body["format"] == "secure-fedmeta/doctor/1" and status == (1 if body["faults"] else 0)
    states = {check["check"]: check["state"] for check in body["checks"]}
    assert {"python", "torch", "cores", "memory", "folder", "clock", "text", "terminal", "entropy", "keystream",
            "torch build", "tenseal process"} <= set(states)  # fmt: skip
    assert states["entropy"] == states["torch build"] == states["tenseal process"] == "ok"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("checks", "status"), [([GOOD], 0), ([GOOD, NOTED], 0), ([BAD, GOOD], 1)])
def test_lines_and_status(capsys, monkeypatch, checks, status):
    monkeypatch.setattr(machine, "examine", lambda out: iter(checks))
    assert main(["doctor"]) == status
    lines = capsys.readouterr().out.splitlines()
    assert sum("remedy" in line for line in lines) == sum(check.state is not State.OK for check in checks)
    assert lines[0].split()[:2] == [checks[0].state.value, checks[0].name]
    assert lines[-1] == f"{len(checks)} checks: {status} fault(s), {int(NOTED in checks)} note(s)"
