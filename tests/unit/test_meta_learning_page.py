"""docs/meta_learning.md: its example runs, and its tables name what a plan takes and nothing else."""

import re
from pathlib import Path
from typing import get_args

from secure_fedmeta.plan import Plan

PAGE = (Path(__file__).parents[2] / "docs" / "meta_learning.md").read_text(encoding="utf-8")


def test_the_example_runs(capsys):
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    exec(compile(code, "docs/meta_learning.md", "exec"), {})
    assert capsys.readouterr().out.startswith("66 Sequential")


def test_every_algorithm_has_its_row_and_every_setting_exists():
    rows = re.findall(r"^\| `([a-z-]+)` \|", PAGE, re.MULTILINE)
    assert set(rows) - {"inner_max_norm"} >= set(get_args(Plan.model_fields["algorithm"].annotation))
    named = {"head", "rates", "inner_rule", "inner_max_norm", "cg_steps", "local_steps", "local_lr", "label_bound"}
    assert all(f"`{name}" in PAGE for name in named) and named <= Plan.model_fields.keys()


def test_files_that_the_page_names_are_there():
    root = Path(__file__).parents[2]
    for path in re.findall(r"`((?:tests|secure_fedmeta)/[\w/.]+)`", PAGE):
        assert (root / path).exists(), path
