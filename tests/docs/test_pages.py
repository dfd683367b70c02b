"""Programs on the pages run, command lines can be read, names exist, and generated pages are current."""

import contextlib
import importlib
import io
import re
import shlex
from pathlib import Path

import pytest
import typer

from secure_fedmeta.aggregation import EXPOSED, SUM_ONLY, WORDS
from secure_fedmeta.catalogue import as_page
from secure_fedmeta.cli import app, main
from secure_fedmeta.hiding import STRENGTHS
from secure_fedmeta.plan import Plan

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.glob("*.md"))
RUN_ELSEWHERE = {
    "engines.md",
    "population.md",
    "meta_learning.md",
    "homomorphic.md",
}  # their own tests look at results too


def programs(page):
    return re.findall(r"^```python\n(.*?)^```", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize(
    "page", [p for p in PAGES if p.name not in RUN_ELSEWHERE and programs(p)], ids=lambda p: p.name
)
def test_programs_run_from_top_to_bottom(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    known = {}
    for code in programs(page):
        exec(compile(code, str(page), "exec"), known)
    assert list(tmp_path.iterdir()) == []


def test_pages_that_are_run_elsewhere_are():
    tests = "".join(file.read_text(encoding="utf-8") for file in (ROOT / "tests" / "unit").rglob("test_*page*.py"))
    assert [name for name in RUN_ELSEWHERE if name not in tests or not programs(DOCS / name)] == []


def command_lines():
    """Each command of this program on a page: alone on an indented line, or in backticks."""
    for page in [*PAGES, ROOT / "README.md", ROOT / "SECURITY.md"]:
        text = page.read_text(encoding="utf-8")
        found = re.findall(r"^    (?:\.venv/bin/)?(secure-fedmeta [^\n·]*)$", text, re.MULTILINE)
        found += [" ".join(line.split()) for line in re.findall(r"`(secure-fedmeta [^`]*)`", text)]
        for line in found:
            yield pytest.param(line, id=f"{page.name}: {line[:60]}")


@pytest.fixture(scope="module")
def command():
    with contextlib.redirect_stdout(io.StringIO()):
        main([])  # registers the verbs
    return typer.main.get_command(app)


@pytest.mark.parametrize("line", list(command_lines()))
def test_a_command_line_can_be_read(line, command):
    words = shlex.split(line.split("#")[0].split(" | source")[0])[1:]
    if words[0] == "--show-completion":
        assert words[1] in {"bash", "zsh", "fish"}
        return
    if words[0] == "VERB":
        return
    verb = command.commands[words[0]]
    if len(words) == 1 or "--help" in words:
        return  # a verb by its name, or its help
    given = [{"RUN|PILOT": "hospital"}.get(word, word) for word in words[1:]]
    verb.make_context(words[0], given).close()


def test_a_line_that_cannot_be_read_is_found(command):
    with pytest.raises(Exception, match=r"(?i)no such option"):
        command.commands["run"].make_context("run", ["hospital", "--round", "3"])
    assert len(list(command_lines())) > 30


def test_the_page_of_numbers_is_current():
    assert (DOCS / "errors.md").read_text(encoding="utf-8") == as_page(), "run python tools/write_error_page.py"


def test_every_page_is_in_one_class():
    index = (DOCS / "index.md").read_text(encoding="utf-8")
    classes = re.findall(r":caption: (.+?)\n.*?\n\n(.*?)\n```", index, re.DOTALL)
    assert [name for name, _ in classes] == ["Tutorial", "How to", "Reference", "Explanation"]
    listed = [page for _, pages in classes for page in pages.split()]
    assert sorted(listed) == sorted(page.stem for page in PAGES if page.stem != "index")


def exists(name):
    """Whether a dotted name can be imported."""
    parts = name.split(".")
    for cut in range(len(parts), 0, -1):
        try:
            found = importlib.import_module(".".join(parts[:cut]))
        except ImportError:
            continue
        for part in parts[cut:]:
            if not hasattr(found, part):
                return False
            found = getattr(found, part)
        return True
    return False


def rows_here():
    for line in (DOCS / "coming_from.md").read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split(" | ")]
        if line.startswith("| ") and cells[-1] != "here |" and len(cells) == 2 and cells[1] != "here":
            yield pytest.param(cells[1], id=cells[0][:50])


@pytest.mark.parametrize("cell", list(rows_here()))
def test_what_it_is_called_here_exists(cell, command):
    names = re.findall(r"`([^`]+)`", cell)
    for name in names:
        if name.startswith("Plan."):
            assert name.removeprefix("Plan.") in Plan.model_fields, name
        elif name.startswith("--"):
            assert any(name in option.opts for option in command.commands["run"].params), name
        elif name.startswith("secure-fedmeta "):
            assert name.split()[1] in command.commands, name
        else:
            assert re.match(r"(secure_fedmeta|fedmeta_privacy|fedmeta_crypto)\.", name) and exists(name), name
    assert names or "no counterpart" in cell or "TOML" in cell or "site's journal" in cell, cell


def test_a_name_that_is_gone_is_found():
    assert not exists("secure_fedmeta.federation.pipes.Nothing") and not exists("secure_fedmeta.nowhere.Nothing")
    assert exists("secure_fedmeta.Plan") and len(list(rows_here())) > 55


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_names_of_opacus_exist():
    import opacus
    from opacus.accountants import GaussianAccountant, PRVAccountant, RDPAccountant
    from opacus.data_loader import DPDataLoader
    from opacus.validators import ModuleValidator

    assert hasattr(opacus.PrivacyEngine, "make_private_with_epsilon") and hasattr(opacus.PrivacyEngine, "get_epsilon")
    assert all((GaussianAccountant, PRVAccountant, RDPAccountant, DPDataLoader, ModuleValidator))


def table(heading):
    text = (DOCS / "threat_model.md").read_text(encoding="utf-8").split(heading)[1].split("\n## ")[0]
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("| `")
    ]
    return {row[0].split("`")[1]: row[1:] for row in rows}


def test_the_threat_model_names_every_strength_and_aggregation():
    assert list(table("## What the server may do")) == list(STRENGTHS)
    rows = table("## How uploads are added")
    assert set(rows) == set(WORDS)
    assert {word for word, cells in rows.items() if cells[-1] == "server"} == SUM_ONLY
    assert {word for word, cells in rows.items() if cells[-1] == "local"} == EXPOSED


def test_all_notebooks_are_named():
    named = set(re.findall(r"`(\d\d_\w+)`", (DOCS / "teaching.md").read_text(encoding="utf-8")))
    assert named == {path.stem for path in (ROOT / "notebooks").glob("*.ipynb")}
