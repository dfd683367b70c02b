"""Rules of the house that no checker knows."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = [
    file
    for folder in ("secure_fedmeta", "privacy/fedmeta_privacy", "crypto/fedmeta_crypto")
    for file in sorted((ROOT / folder).rglob("*.py"))
]
TESTS = sorted((ROOT / "tests").rglob("*.py"))
ROOMS = [file for file in SOURCES if "secure_fedmeta" not in file.parts]


def test_there_are_sources():
    assert len(SOURCES) > 50 and len(ROOMS) > 20 and len(TESTS) > 40


def test_no_file_is_longer_than_four_hundred_lines():
    assert [f for f in SOURCES + TESTS if len(f.read_text().splitlines()) > 400] == []


def test_every_source_states_its_licence():
    assert [f for f in SOURCES if not f.read_text().startswith("# SPDX-License-Identifier: Apache-2.0\n")] == []


def names_used(file):
    """Dotted names and imported modules of a file."""
    tree = ast.parse(file.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield str(node.module)
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Attribute):
            yield ast.unparse(node)


WEAK = re.compile(
    r"^(random(\..*)?|np\.random(\..*)?|numpy\.random(\..*)?|torch\.(rand|randn|randint|normal|manual_seed|Generator)"
    r"|pickle(\..*)?|marshal(\..*)?|shelve(\..*)?|time\.time|uuid(\..*)?)$"
)


@pytest.mark.parametrize("file", ROOMS, ids=lambda f: f.name)
def test_no_weak_randomness_and_no_pickle_in_the_rooms(file):
    assert [name for name in names_used(file) if WEAK.match(name)] == []


def test_no_pickle_anywhere():
    used = {name for file in SOURCES for name in names_used(file)}
    assert not {name for name in used if name.split(".")[0] in {"pickle", "marshal", "shelve", "dill", "joblib"}}
    assert "numpy" in used and "hashlib.sha256" in used  # the search works


@pytest.mark.parametrize(
    "planted", ["import random", "from numpy import random", "import numpy as np\nnp.random.rand(3)"]
)
def test_the_search_finds_what_it_looks_for(tmp_path, planted):
    file = tmp_path / "planted.py"
    file.write_text(planted + "\n")
    assert any(WEAK.match(name) for name in names_used(file))


def test_error_numbers_belong_to_one_class_each():
    owners = {}
    for file in SOURCES:
        for node in ast.walk(ast.parse(file.read_text())):
            if not isinstance(node, ast.ClassDef):
                continue
            for line in node.body:
                target = getattr(line, "target", None) or (getattr(line, "targets", None) or [None])[0]
                if isinstance(target, ast.Name) and target.id == "code" and isinstance(line.value, ast.Constant):
                    owners.setdefault(line.value.value, set()).add(f"{file.name}:{node.name}")
    assert len(owners) > 30
    assert {number: names for number, names in owners.items() if len(names) > 1} == {}
    assert all(re.fullmatch(r"SFM-[123]\d\d", number) for number in owners)
    rooms = {"2": "fedmeta_crypto", "3": "fedmeta_privacy"}
    for file in ROOMS:
        digit = "2" if rooms["2"] in file.parts else "3"
        assert set(re.findall(r'code(?:: \S+)? = "SFM-(\d)', file.read_text())) <= {digit}


def test_data_error_numbers_are_not_reused_by_other_classes():
    literal = {file: set(re.findall(r'"(SFM-1[3-9]\d)"', file.read_text())) for file in SOURCES}
    used = {number for numbers in literal.values() for number in numbers}
    population, training = {f"SFM-14{i}" for i in range(4)}, {"SFM-146", "SFM-147", "SFM-148"}
    others = {"SFM-144", "SFM-145", "SFM-149", "SFM-150", "SFM-151"}
    assert used and used <= {f"SFM-13{i}" for i in range(10)} | population | training | others


@pytest.mark.parametrize("module", ["secure_fedmeta", "secure_fedmeta.cli", "secure_fedmeta.plan", "fedmeta_crypto"])
def test_light_imports_stay_light(module):
    code = f"import sys, {module}; print([m for m in ('torch', 'opacus', 'tenseal', 'sklearn') if m in sys.modules])"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert ended.stdout == "[]\n"


def test_only_the_adapter_knows_torch_in_the_privacy_room():
    heavy = {
        file.name
        for file in ROOMS
        if any(name.split(".")[0] in {"torch", "opacus"} for name in names_used(file) if "." in name or name == "torch")
    }
    assert heavy == {"dp_sgd.py"}
