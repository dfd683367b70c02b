"""Programs on the pages about engines and populations run as they stand, and files that pages name are there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted((ROOT / "docs").glob("*.md"))


def program(page):
    (code,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / page).read_text(encoding="utf-8"), re.DOTALL)
    return compile(code, f"docs/{page}", "exec")


def test_engines(capsys):
    known = {}
    exec(program("engines.md"), known)
    assert known["rows"].shape == (32, 4485)
    assert re.match(r"engine \w+ for 32 tasks \(loop: ", capsys.readouterr().out)


def test_population(capsys):
    known = {}
    exec(program("population.md"), known)
    said = capsys.readouterr().out
    assert known["result"].rounds == 20 and said.startswith("20 charged rounds: this run protects nobody")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_files_that_a_page_names_are_there(page):
    text = page.read_text(encoding="utf-8")
    for path in re.findall(r"(?<![\w/])((?:tests|secure_fedmeta|benchmarks|privacy|crypto)/[\w/]+\.(?:py|json))", text):
        assert (ROOT / path).exists(), path
    for link in re.findall(r"\]\(([\w./]+\.md)\)", text):
        assert (page.parent / link).exists(), link
