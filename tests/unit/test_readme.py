"""The README is true: its code runs, its commands exist, its table is the stored one."""

import json
import re
from importlib import resources
from pathlib import Path

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
KEYS = ("auroc", "shared_worst", "calibrated", "unseen_5")  # as in benchmarks/hospital.py


def test_the_api_example_runs_and_is_short(capsys):
    (code,) = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
    assert len([line for line in code.splitlines() if line.strip()]) <= 15
    exec(compile(code, "README.md", "exec"), {})
    assert "changes the probability" in capsys.readouterr().out


def test_the_table_is_the_stored_one():
    stored = json.loads(resources.files("secure_fedmeta.report").joinpath("tables", "hospital.json").read_text("utf-8"))
    rows = {row["name"]: row["cells"] for row in stored["rows"]}
    quoted = [line for line in README.splitlines() if line.startswith("| ") and "±" in line]
    assert len(quoted) >= 5
    for line in quoted:
        name, *cells = [cell.strip() for cell in line.strip("|").split("|")]
        assert cells == [rows[name][key] for key in KEYS], name
    assert f"--seeds {stored['seeds']}" in README


def test_commands_and_links_exist():
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)
    for command in re.findall(r"^    make ([a-z-]+)", README, flags=re.MULTILINE):
        assert command in targets
    for link in re.findall(r"\]\(([^)#]+)\)", README):
        assert (ROOT / link).exists(), link


def test_two_screens():
    assert len(README.splitlines()) <= 100


def test_room_readme_examples():
    import doctest

    for room in ("privacy", "crypto"):
        text = (ROOT / room / "README.md").read_text(encoding="utf-8")
        examples = doctest.DocTestParser().get_doctest(text, {}, room, None, 0)
        assert doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(examples).failed == 0
