"""`run FOLDER --resume`: a killed run goes on from the command line, with its own settings and no others."""

import signal
import subprocess
import sys
import time

import pytest

from secure_fedmeta.audit import audit_run
from secure_fedmeta.cli import main
from secure_fedmeta.report.facts import Facts


def killed(out, *, lines):
    """Start a run of the hospital pilot in a process of its own and kill it when its ledger has so many lines."""
    code = "import sys; from secure_fedmeta.cli import main; sys.exit(main(sys.argv[1:]))"
    arguments = ["run", "hospital", "--rounds", "30", "--clients", "5", "--out", str(out)]
    child = subprocess.Popen(
        [sys.executable, "-c", code, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        for _ in range(6000):
            ledger = out / "ledger.jsonl"
            if ledger.exists() and ledger.read_bytes().count(b"\n") >= lines:
                break
            assert child.poll() is None, "the run ended before it was killed"
            time.sleep(0.02)
    finally:
        child.send_signal(signal.SIGKILL)
        child.wait()


@pytest.mark.long
def test_a_killed_run_goes_on_and_is_charged_for_all(tmp_path, capsys):
    out = tmp_path / "run"
    killed(out, lines=4)
    before = Facts.of(out).record.rounds[-1].epsilon["server"]
    assert main(["run", str(out), "--resume"]) == 0
    facts = Facts.of(out)
    kinds = [line.entry["type"] for line in facts.lines]
    assert "resume" in kinds and kinds[-1] == "end"
    assert before <= facts.record.epsilon["server"] <= 3.0
    found = audit_run(out, heads=out.with_name("run-sites")).findings
    assert found.result("chain") == found.result("epsilon") == found.result("participation") == "ok"
    capsys.readouterr()
    assert main(["run", str(out), "--resume"]) == 1
    assert "SFM-149: the run has ended" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--rounds", "3"], "--rounds would make it another run"),
        (["--out", "x"], "--out would make it another run"),
        ([], "there is no run to go on with"),
    ],
)
def test_it_goes_on_as_it_was_or_not_at_all(tmp_path, capsys, options, said):
    assert main(["run", str(tmp_path), "--resume", *options]) == 1
    assert said in capsys.readouterr().err and list(tmp_path.iterdir()) == []
