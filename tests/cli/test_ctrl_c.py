"""Ctrl-C, also where a shell started the program in the background: a whole ledger and exit status 130."""

import os
import signal
import subprocess
import sys
import time

import pytest

from fedmeta_privacy.ledger import verify

PROGRAM = "import sys; from secure_fedmeta.cli import main; sys.exit(main())"


def ignore():
    signal.signal(signal.SIGINT, signal.SIG_IGN)


@pytest.mark.parametrize(("prepare", "number"), [(None, signal.SIGTERM), (ignore, signal.SIGINT)])
def test_an_interrupt_closes_the_books(tmp_path, prepare, number):
    out = tmp_path / "run"
    command = [sys.executable, "-c", PROGRAM, "run", "hospital", "--rounds", "5000"]
    process = subprocess.Popen(
        [*command, "--epsilon", "30", "--out", str(out)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        preexec_fn=prepare,  # noqa: PLW1509 - one thread here
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        text=True,
    )
    try:
        until = time.monotonic() + 60
        ledger = out / "ledger.jsonl"
        while not (ledger.exists() and ledger.read_bytes().count(b"\n") > 3):
            assert process.poll() is None and time.monotonic() < until, process.communicate()
            time.sleep(0.02)
        process.send_signal(number)
        _, err = process.communicate(timeout=30)
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate()
    assert process.returncode == 130, err
    assert "interrupted" in err and "Traceback" not in err
    entries = verify(ledger.read_bytes())
    assert entries[-1]["type"] == "end" and entries[-1]["body"]["stopped"] == "interrupted"
    assert sum(e["type"] == "round" for e in entries) >= 3
    assert (out / "model.safetensors").stat().st_size > 100 and not (out / "report.html").exists()
