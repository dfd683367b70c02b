"""docs/data.md is true: its figures are the models', its code runs."""

import re
from pathlib import Path

import numpy as np
import pytest

from secure_fedmeta.datasets.leaf import models

DOCS = (Path(__file__).parents[3] / "docs" / "data.md").read_text(encoding="utf-8")


def test_sizes_of_models():
    rows = re.findall(r"^\| `(\w+\([^`]*\))` \| ([0-9 ]+)", DOCS, flags=re.MULTILINE)
    assert len(rows) == 6
    for call, figure in rows:
        net = eval(f"models.{call}", {"models": models, "vocabulary": [0]})  # the table's own text
        words = 100 if "sent140" in call else 0
        assert sum(p.numel() for p in net.parameters()) - words == int(figure.replace(" ", "")), call


@pytest.mark.long
def test_code_that_needs_no_files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    sections = {section.split("\n")[0]: section for section in DOCS.split("\n## ")}
    for title in ("Generators", "Few-shot"):
        code = [line[4:] for line in sections[title].splitlines() if line.startswith("    ")]
        assert len(code) >= 3
        exec("\n".join(code), {"np": np})
    assert (tmp_path / "data" / "train" / "data.json").stat().st_size > 10**8
