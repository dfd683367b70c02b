"""The auditor's page: its commands run as they stand there, and its tables are the code's."""

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from planted_ledgers import honest_run

from secure_fedmeta.audit import Verdict, audit_run
from secure_fedmeta.cli import main

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "auditing.md").read_text()
COMMANDS = [line.strip() for line in PAGE.splitlines() if re.match(r"    (secure-fedmeta|python) ", line)]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """What the page says to ask for, and no more: of each site two files."""
    made, place = tmp_path_factory.mktemp("made"), tmp_path_factory.mktemp("auditor")
    honest_run(made / "run", rounds=2)
    shutil.copytree(made / "run", place / "run")
    shutil.copy(made / "run" / "allow-list.toml", place / "keys.toml")
    for site in sorted((made / "run-sites").iterdir()):
        (place / "sites" / site.name).mkdir(parents=True)
        for name in ("heads", "budget.jsonl"):
            shutil.copy(site / name, place / "sites" / site.name / name)
    shutil.copy(ROOT / "tools" / "verify_ledger.py", place / "verify_ledger.py")
    return place


def rows(heading):
    table = PAGE.split(f"## {heading}")[1].split("\n## ")[0]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines() if line[:1] == "|"]
    return cells[2:]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_of_the_page_says_ok(place, command, monkeypatch):
    monkeypatch.chdir(place)
    program, *arguments = shlex.split(command)
    if program == "secure-fedmeta":
        assert main(arguments) == 0
        assert (place / "run" / "verification.json").is_file()
    else:
        ended = subprocess.run([sys.executable, "-I", *arguments], capture_output=True, check=False, timeout=120)
        assert ended.returncode == 0, ended.stdout


def test_there_are_three_commands():
    assert len(COMMANDS) == 3


def test_every_status_is_explained():
    stated = {(int(status), words) for status, words, _ in rows("Exit status")}
    assert stated == {(int(verdict), verdict.words) for verdict in Verdict} | {(1, "")}


def test_every_check_is_explained(place):
    audit = audit_run(place / "run", roster=place / "keys.toml", heads=place / "sites")
    assert {row[0] for row in rows("The checks")} == set(audit.findings.checks)
