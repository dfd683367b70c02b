"""The pages say what the code does."""

import subprocess
import sys
import tomllib
from dataclasses import fields
from pathlib import Path

import pytest

from fedmeta_privacy.statements import Statements
from secure_fedmeta.check import RULES

DOCS = Path(__file__).parents[2] / "docs"


def test_the_page_lists_every_rule_as_it_is():
    rows = [line for line in (DOCS / "check.md").read_text().splitlines() if line.startswith("| SFM-")]
    assert rows == [f"| {r.code} | {r.level.value} | {r.title} | {r.why} | {r.remedy} |" for r in RULES.values()]


def test_the_operator_s_file_of_the_page_is_accepted_and_all_words_are_named():
    page = (DOCS / "disclosure.md").read_text()
    table = tomllib.loads(page.split("```toml\n")[1].split("```")[0])
    assert Statements.from_table(table).curators == ("Clinic A", "Clinic B")
    assert [each.name for each in fields(Statements) if each.name not in page] == []


@pytest.mark.parametrize("arguments", [["check", "--help"], ["check", "script.py"]])
def test_checking_loads_nothing_heavy_and_no_checked_package(tmp_path, arguments):
    (tmp_path / "script.py").write_text("import opacus\nopacus.PrivacyEngine()\n")
    code = (
        "import sys\nfrom secure_fedmeta.cli import main\nstatus = main(sys.argv[1:])\n"
        "print(status, [m for m in ('torch','opacus','tenseal','sklearn','matplotlib') if m in sys.modules])"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, timeout=60, check=True, cwd=tmp_path
    )
    assert ended.stdout.splitlines()[-1] == "0 []"
