"""The page on prompt tuning: its program runs as it stands there, with less training and one round."""

import re
import textwrap
from pathlib import Path

import pytest
from small_prompts import text_sites

from secure_fedmeta.prompts.transformer import Size

PAGE = (Path(__file__).parents[3] / "docs" / "prompt_tuning.md").read_text()


@pytest.mark.long
def test_the_program_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    lines = [line for line in PAGE.splitlines() if line.startswith("    ") and not line.startswith("    python ")]
    program = textwrap.dedent("\n".join(lines[: next(i for i, x in enumerate(lines) if "federate(plan" in x) + 1]))
    for said, short in (("Training()", "Training(steps=2, plays=2)"), ("delta=1e-5", "delta=1e-5, rounds=1")):
        assert said in program
        program = program.replace(said, short)
    known = {"sites": text_sites(4, windows=6, size=Size())}
    exec(program, known)
    assert known["run"].theta.shape == (256,) and (tmp_path / "runs" / "prompt" / "ledger.jsonl").exists()


def test_its_numbers_are_the_codes():
    assert re.search(r"has 256\s+numbers and not 115 536", PAGE)
    assert 4 * Size().width == 256 and round((115_536 / 256) ** 0.5) == 21
