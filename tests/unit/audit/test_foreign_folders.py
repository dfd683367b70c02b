"""Folders as Opacus' and Flower's users leave them: never ok, and the audit says what they cannot show."""

import json
import shutil
from pathlib import Path

import pytest

from secure_fedmeta.cli import main

EXAMPLES = Path(__file__).parents[2] / "check" / "examples"


@pytest.fixture
def opacus(tmp_path):
    run = tmp_path / "opacus"
    (run / "checkpoints").mkdir(parents=True)
    shutil.copy(EXAMPLES / "bad" / "opacus_script.py", run / "train.py")
    (run / "train.log").write_text("epoch 3 | epsilon = 1.83, delta = 1e-05\n")
    (run / "checkpoints" / "final.pt").write_bytes(b"\x80\x04")
    return run


@pytest.fixture
def flower(tmp_path):
    run = tmp_path / "flower"
    shutil.copytree(EXAMPLES / "bad" / "flower_app", run / "app")
    (run / "server.log").write_text("INFO : [SUMMARY] Run finished 50 round(s)\n")
    (run / "history.json").write_text('{"losses_distributed": [[1, 0.69]]}')
    return run


def test_an_opacus_run(opacus, capsys):
    before = sorted(opacus.rglob("*"))
    assert main(["audit", str(opacus)]) == 5
    text = capsys.readouterr().out
    assert text.startswith("verdict: incomplete\nThere is no ledger here")
    assert "the engine's own word (train.log)" in text and "Not opened: final.pt" in text and "train.py:" in text
    assert sorted(opacus.rglob("*")) == before  # nothing is written there


def test_a_flower_run(flower, capsys):
    assert main(["audit", str(flower), "--format", "json"]) == 5
    shown = json.loads(capsys.readouterr().out)
    assert (shown["verdict"], shown["status"]) == ("incomplete", 5)
    said = "\n".join(shown["unshown"])
    for start in ("No ledger", "No signatures", "Participation not evidenced", "No epsilon is stated", "SFM-501"):
        assert start in said


def test_a_folder_of_ours_without_its_ledger(tmp_path, capsys):
    (tmp_path / "allow-list.toml").write_text("")
    assert main(["audit", str(tmp_path)]) == 5
    assert "No ledger" in capsys.readouterr().out


def test_a_folder_that_holds_runs(tmp_path, capsys):
    (tmp_path / "run").mkdir()
    for name in ("ledger.jsonl", "allow-list.toml", "disclosure.json"):
        (tmp_path / "run" / name).write_text("")
    assert main(["audit", str(tmp_path)]) == 5
    assert "give the folder that holds ledger.jsonl" in capsys.readouterr().out
    assert main(["audit", str(tmp_path / "absent")]) == 1
