# SPDX-License-Identifier: Apache-2.0
"""The page on homomorphic encryption: its program prints what stands below it, and its words are those of the code."""

import re
from pathlib import Path

from fedmeta_crypto.homomorphic.trust import TrustModel

PAGE = (Path(__file__).parents[2] / "docs" / "homomorphic.md").read_text(encoding="utf-8")


def test_the_program_prints_what_the_page_says(capsys):
    ((code, printed),) = re.findall(r"```python\n(.*?)```\n\n```text\n(.*?)```", PAGE, re.DOTALL)
    exec(compile(code, "docs/homomorphic.md", "exec"), {})
    assert capsys.readouterr().out == printed


def test_every_trust_model_is_in_the_table_with_its_epsilon():
    rows = {line.split("|")[1].strip(): line.split("|")[-2].strip() for line in PAGE.splitlines() if line[:1] == "|"}
    for trust in TrustModel:
        assert rows[trust.value] == ("server's" if trust.sum_only else "local"), trust
