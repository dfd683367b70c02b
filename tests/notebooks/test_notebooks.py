"""The notebooks are those of their sources, in a form a class can follow, and print what they printed when stored."""

import importlib.util
import re
import sys
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).parents[2]
QUICK = {"03_fixed_point", "05_someone_leaves"}


def tool():
    if "notebooks_tool" not in sys.modules:
        spec = importlib.util.spec_from_file_location("notebooks_tool", ROOT / "tools" / "notebooks.py")
        module = importlib.util.module_from_spec(spec)
        sys.modules["notebooks_tool"] = module
        spec.loader.exec_module(module)
    return sys.modules["notebooks_tool"]


NAMES = sorted(path.stem for path in (ROOT / "notebooks" / "source").glob("*.py"))


def stored(name, teacher):
    folder = ROOT / "notebooks" / "instructor" if teacher else ROOT / "notebooks"
    return nbformat.read(folder / f"{name}.ipynb", as_version=4)


def test_the_sequence_is_whole():
    assert [int(name[:2]) for name in NAMES] == list(range(15))
    for folder in (ROOT / "notebooks", ROOT / "notebooks" / "instructor"):
        assert sorted(path.stem for path in folder.glob("*.ipynb")) == NAMES


@pytest.mark.parametrize("teacher", [False, True], ids=["student", "teacher"])
@pytest.mark.parametrize("name", NAMES)
def test_it_is_what_its_source_makes(name, teacher):
    made = tool().notebook_of(name, teacher=teacher)
    assert [cell.source for cell in made.cells] == [cell.source for cell in stored(name, teacher).cells]
    nbformat.validate(stored(name, teacher))


@pytest.mark.parametrize("name", NAMES)
def test_form(name):
    notebook, told = stored(name, teacher=False), stored(name, teacher=True)
    words = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert tool().text_of(code[0]).strip(), "the first cell shows a result"
    assert all(cell.source.count("\n") < 15 for cell in code), "a cell is longer than 15 lines"
    exercises = [cell for cell in code if "exercise" in tool().tags(cell)]
    assert 3 <= len(exercises) <= 5 and all("..." in cell.source for cell in exercises)
    assert "## Break it" in words and "## What this does not protect" in words
    assert "answer_1 = ..." not in "".join(cell.source for cell in told.cells)
    for cell in (cell for cell in code if "check" in tool().tags(cell)):
        assert tool().text_of(cell).startswith("Not yet: There is no answer yet")
    for cell in (cell for cell in told.cells if "check" in tool().tags(cell)):
        assert tool().text_of(cell).startswith("Right: ")
    assert not re.search(r"\$[^$\n]+\$", words), "formulas are plain text: nothing renders them offline"
    for cell in notebook.cells + told.cells:
        assert not re.search(
            r"/(tmp|home|work|root)/", cell.source + tool().text_of(cell) if cell.cell_type == "code" else ""
        )


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in QUICK else pytest.mark.long) for name in NAMES]
)
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::RuntimeWarning", "ignore::ResourceWarning")
def test_it_prints_what_is_stored(name, tmp_path):
    assert tool().check(name, tmp_path) == []


def test_changed_outputs_are_found():
    old, new = stored("03_fixed_point", True), stored("03_fixed_point", True)
    assert tool().differences(old, new) == []
    new.cells[1].outputs[0].text = "steps: [0]\n"
    assert tool().differences(old, new)[0].startswith("cell-01")
    new.cells.pop()
    assert "build it again" in tool().differences(old, new)[0]


def test_noisy_numbers_have_a_tolerance_and_words_none():
    close = tool()._close
    assert close("AUROC 0.99 in 3 rounds", "AUROC 0.97 in 3 rounds")
    assert not close("AUROC 0.99", "AUROC 0.09") and not close("refuted: False", "refuted: True")
    assert not close("1 2", "1 2 3")
