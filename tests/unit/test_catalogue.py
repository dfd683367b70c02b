"""Each number in the source has its entry, each entry has its number in the source, and entries say something."""

import ast
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from secure_fedmeta.audit import Verdict
from secure_fedmeta.catalogue import catalogue, explain
from secure_fedmeta.errors import UsageError
from secure_fedmeta.explained import AUDIT_CHECKS, DATA_CODES, EXITS

ROOT = Path(__file__).parents[2]
SOURCES = [
    file
    for folder in ("secure_fedmeta", "privacy/fedmeta_privacy", "crypto/fedmeta_crypto")
    for file in sorted((ROOT / folder).rglob("*.py"))
]
NUMBER = re.compile(r"SFM-\d{3}\b")
RANGE = {"SFM-200", "SFM-299"}  # the ends of the crypto room's numbers, in one docstring
BASES = {"SFM-100", "SFM-300"}  # never raised themselves


def strings_of(tree):
    """Numbers that stand as a string of their own."""
    nodes = (node for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str))
    return {node.value for node in nodes if NUMBER.fullmatch(node.value)}


@pytest.fixture(scope="module")
def trees():
    return {file: ast.parse(file.read_text(encoding="utf-8")) for file in SOURCES}


def test_every_number_of_the_source_has_an_entry(trees):
    assert set().union(*(strings_of(tree) for tree in trees.values())) - set(catalogue()) == set()
    words = set().union(*(NUMBER.findall(file.read_text(encoding="utf-8")) for file in SOURCES))
    assert len(words) > 120 and words - RANGE - set(catalogue()) == set()


def test_every_number_of_the_pages_has_an_entry():
    pages = [*(ROOT / "docs").glob("*.md"), ROOT / "README.md", ROOT / "SECURITY.md", ROOT / "CONTRIBUTING.md"]
    assert (
        set().union(*(NUMBER.findall(page.read_text(encoding="utf-8")) for page in pages)) - set(catalogue()) == set()
    )


def test_the_search_finds_a_number_without_an_entry():
    assert strings_of(ast.parse('raise TaskError("SFM-199", what, where, remedy)')) - set(catalogue()) == {"SFM-199"}


def test_every_entry_is_raised_somewhere(trees):
    """A class by its name in a call or a raise (or as base of one that is), a number by standing in a call."""
    used = set()
    for tree in trees.values():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call):
                used.add(ast.unparse(node.func).split(".")[-1])
                used |= {a.value for a in node.args if isinstance(a, ast.Constant) and isinstance(a.value, str)}
            elif isinstance(node, ast.Raise) and isinstance(node.exc, ast.Name):
                used.add(node.exc.id)
            elif isinstance(node, ast.Call | ast.Assign | ast.Return | ast.IfExp):
                used |= strings_of(node)
            elif isinstance(node, ast.ClassDef):
                used |= {ast.unparse(base).split(".")[-1] for base in node.bases}
    numbered = [entry for code, entry in catalogue().items() if code.startswith("SFM-") and code not in BASES]
    silent = [entry for entry in numbered if entry.code not in used and not used & set(entry.name.split(", "))]
    assert silent == []


@pytest.mark.long
def test_classes_are_found_as_python_sees_them():
    code = (
        "import importlib, pkgutil, json\nkinds = {}\n"
        "from secure_fedmeta.errors import UserError\nfrom fedmeta_privacy.errors import PrivacyError\n"
        "from fedmeta_crypto.errors import ProtocolError\n"
        "import secure_fedmeta.attacks.planned, secure_fedmeta.attacks.target, secure_fedmeta.check\n"
        "import fedmeta_privacy.audit, fedmeta_crypto.homomorphic.errors\n"
        "def walk(kind):\n    if 'code' in vars(kind): kinds[kind.code] = kind.__name__\n"
        "    [walk(sub) for sub in kind.__subclasses__()]\n"
        "[walk(kind) for kind in (UserError, PrivacyError, ProtocolError)]\nprint(json.dumps(kinds))"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    seen = json.loads(ended.stdout)
    ours = {
        c: e.name for c, e in catalogue().items() if c.startswith("SFM-") and e.room != "check" and c not in DATA_CODES
    }
    assert ours == seen and len(seen) > 80


@pytest.mark.parametrize("entry", catalogue().values(), ids=lambda entry: entry.code)
def test_an_entry_says_what_why_and_what_to_do(entry):
    assert min(len(entry.meaning), len(entry.cause), len(entry.remedy)) >= 8
    assert "\n" not in entry.meaning + entry.cause + entry.remedy


def test_exit_statuses_and_checks_are_those_of_the_audit():
    assert {status: row[0] for status, row in EXITS.items() if status != 1} == {int(v): v.words for v in Verdict}
    table = (ROOT / "docs" / "auditing.md").read_text(encoding="utf-8").split("## The checks")[1].split("\n## ")[0]
    rows = re.findall(r"^\| (\w+) \| .* \| (.*) \|$", table, re.MULTILINE)
    listed = {name: means for name, means in rows if name != "check"}
    assert {name: means.lower() for name, (_, means) in AUDIT_CHECKS.items()} == {
        name: means.lower() + "." for name, means in listed.items()
    }


@pytest.mark.parametrize("asked", ["135", "sfm-135", "SFM-135", "sfm135", " SFM 135 "])
def test_a_number_in_any_spelling(asked):
    assert explain(asked).code == "SFM-135"


@pytest.mark.parametrize(
    ("asked", "code"),
    [("exit 3", "exit 3"), ("EXIT5", "exit 5"), ("chain", "audit chain"), ("audit heads", "audit heads"),
     ("TooFewSurvivors", "SFM-251"), ("claim too small", "exit 4")],
)  # fmt: skip
def test_words(asked, code):
    assert explain(asked).code == code


@pytest.mark.parametrize(
    ("asked", "near"),
    [("134x", "SFM-134"), ("999", "SFM-564"), ("BudgetExeeded", "SFM-304"), ("TaskError", "SFM-133, SFM-134"),
     ("exit 9", "exit "), ("zzzz", "SFM-101"), ("", "SFM-101"), ("1" * 500, "SFM-111")],
)  # fmt: skip
def test_what_is_unknown_names_its_neighbours(asked, near):
    with pytest.raises(UsageError, match=f"SFM-102: nothing is called .*did you mean .*{near}") as caught:
        explain(asked)
    assert len(str(caught.value)) < 250
