# SPDX-License-Identifier: Apache-2.0
"""Notebooks from their sources: python tools/notebooks.py build [NAME ...], or check [NAME ...].

A source is `notebooks/source/NAME.py` in the percent format. A cell tagged `solution` is for teachers; students get
the one tagged `exercise` in its place. `build` executes both and stores their text outputs (pictures are
left to the reader's own run); `check` executes the teacher's again and compares its text with the stored one, but for
cells tagged `noisy` (numbers within a factor of two) and `timing` or `random` (not compared).
"""

import logging
import re
import sys
from pathlib import Path

import jupytext
import nbformat
from nbclient import NotebookClient

ROOT = Path(__file__).parents[1] / "notebooks"
SOURCES = ROOT / "source"
SECONDS = 180  # of a cell, on a busy machine


def names() -> list[str]:
    return sorted(path.stem for path in SOURCES.glob("*.py"))


def notebook_of(name: str, *, teacher: bool) -> nbformat.NotebookNode:
    """The student's or the teacher's notebook, without outputs."""
    notebook = jupytext.read(SOURCES / f"{name}.py")
    dropped = "exercise" if teacher else "solution"
    notebook.cells = [cell for cell in notebook.cells if dropped not in tags(cell)]
    for number, cell in enumerate(notebook.cells):
        cell.id = f"cell-{number:02d}"
    notebook.metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    return notebook


def tags(cell: nbformat.NotebookNode) -> set[str]:
    return set(cell.metadata.get("tags", ()))


def executed(notebook: nbformat.NotebookNode, folder: Path) -> nbformat.NotebookNode:
    """Run all cells in a folder of their own; outputs are kept as text alone."""
    logging.getLogger("traitlets").setLevel(logging.ERROR)  # it reports a plain local socket as a fault
    NotebookClient(
        notebook, timeout=SECONDS, kernel_name="python3", resources={"metadata": {"path": str(folder)}}
    ).execute()
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = [plain for output in cell.outputs if (plain := _plain(output)) is not None]
            cell.metadata.pop("execution", None)
    return notebook


def _plain(output: nbformat.NotebookNode) -> nbformat.NotebookNode | None:
    if output.output_type == "stream":
        return None if output.name == "stderr" else nbformat.v4.new_output("stream", name="stdout", text=output.text)
    if output.output_type in ("execute_result", "display_data") and "text/plain" in output.data:
        return nbformat.v4.new_output("stream", name="stdout", text=output.data["text/plain"] + "\n")
    return None


def text_of(cell: nbformat.NotebookNode) -> str:
    return "".join(output.get("text", "") for output in cell.get("outputs", ()))


def differences(stored: nbformat.NotebookNode, again: nbformat.NotebookNode) -> list[str]:
    """What a second execution printed otherwise, cell by cell."""
    found = []
    if [cell.source for cell in stored.cells] != [cell.source for cell in again.cells]:
        return ["the cells are not those of the source: build it again"]
    for old, new in zip(stored.cells, again.cells, strict=True):
        if old.cell_type != "code" or tags(new) & {"timing", "random"}:
            continue
        before, after = text_of(old), text_of(new)
        if not (_close(before, after) if "noisy" in tags(new) else before == after):
            found.append(f"{old.id}: stored {before[:120]!r}, now {after[:120]!r}")
    return found


_NUMBER = re.compile(r"[-+]?\d+(?:\.\d+)?(?:e[-+]?\d+)?")


def _close(before: str, after: str) -> bool:
    """The same words, and numbers within a factor of two of each other (or both below 0.1)."""
    if re.sub(r"\s+", " ", _NUMBER.sub("#", before)) != re.sub(r"\s+", " ", _NUMBER.sub("#", after)):
        return False
    pairs = zip(map(float, _NUMBER.findall(before)), map(float, _NUMBER.findall(after)), strict=True)
    return all(abs(a - b) <= 0.5 * max(abs(a), abs(b)) + 0.1 for a, b in pairs)


def build(name: str, folder: Path) -> None:
    for teacher in (False, True):
        where = ROOT / "instructor" if teacher else ROOT
        own = folder / where.name  # a run's folder is taken once
        own.mkdir()
        where.mkdir(exist_ok=True)
        nbformat.write(executed(notebook_of(name, teacher=teacher), own), where / f"{name}.ipynb")


def check(name: str, folder: Path) -> list[str]:
    stored = nbformat.read(ROOT / "instructor" / f"{name}.ipynb", as_version=4)
    return differences(stored, executed(notebook_of(name, teacher=True), folder))


def main(arguments: list[str]) -> int:
    import tempfile
    import time

    what, chosen = arguments[0], arguments[1:] or names()
    status = 0
    for name in chosen:
        start = time.perf_counter()
        with tempfile.TemporaryDirectory() as folder:
            found = build(name, Path(folder)) if what == "build" else check(name, Path(folder))
        print(f"{name}: {time.perf_counter() - start:.1f} s")
        for line in found or ():
            print(f"  {line}")
            status = 1
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
