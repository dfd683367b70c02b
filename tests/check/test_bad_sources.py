"""Files that cannot be checked: numbered, bounded, never "clean", never run."""

import json

import pytest

from secure_fedmeta.check import check_paths, sources
from secure_fedmeta.cli import main


def problems(path):
    checked = check_paths([path])
    assert not checked.clean
    return [p.code for p in checked.problems]


def written(tmp_path, name, content):
    file = tmp_path / name
    file.write_bytes(content)
    return file


BROKEN = {
    "syntax.py": (b"def f(:\n", "SFM-127"),
    "nulls.py": (b"a = 1\x00\n", "SFM-127"),
    "latin.py": (b"# caf\xe9\n", "SFM-127"),
    "deep.py": (b"x = " + b"(" * 5000 + b"1" + b")" * 5000, "SFM-12"),
    "long_sum.py": (b"import opacus\nx = " + b" + ".join([b"1"] * 20000) + b"\n", "SFM-126"),
    "huge.py": (b"#" * (sources.MOST_BYTES + 1), "SFM-126"),
    "cells.ipynb": (b'{"cells": [{"cell_type": "code"}]}', "SFM-127"),
    "not.ipynb": (b"import opacus\n", "SFM-127"),
    "broken.toml": (b"pilot = \n", "SFM-127"),
    "other.toml": (b"a = 1\n", "SFM-101"),
    "plan.toml": (b'pilot = "hospital"\nround = 3\n', "SFM-101"),
    "missing.py": (None, "SFM-125"),
    "picture.png": (b"", "SFM-125"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_cannot_be_read_is_numbered(tmp_path, name):
    content, code = BROKEN[name]
    file = tmp_path / name if content is None else written(tmp_path, name, content)
    assert [c[: len(code)] for c in problems(file)] == [code]


def test_one_broken_file_does_not_hide_the_others(tmp_path):
    written(tmp_path, "a.py", b"def f(:\n")
    written(tmp_path, "b.py", b"import opacus\nx.make_private(poisson_sampling=False)\n")
    checked = check_paths([tmp_path])
    assert [p.code for p in checked.problems] == ["SFM-127"] and {f.code for f in checked.findings} == {"SFM-511"}
    assert "a.py:1" in str(checked.problems[0])


def test_nothing_is_run(tmp_path):
    written(tmp_path, "trap.py", f"import opacus\nopen({str(tmp_path / 'run')!r}, 'w')\nraise SystemExit\n".encode())
    written(tmp_path, "opacus.py", f"open({str(tmp_path / 'imported')!r}, 'w')\n".encode())
    assert check_paths([tmp_path]).clean
    assert sorted(f.name for f in tmp_path.iterdir()) == ["opacus.py", "trap.py"]


def test_folders_are_bounded_and_links_not_followed(tmp_path, monkeypatch):
    monkeypatch.setattr(sources, "MOST_FILES", 3)
    for n in range(5):
        written(tmp_path, f"m{n}.py", b"x = 1\n")
    assert problems(tmp_path) == ["SFM-126"]
    loop = tmp_path / "sub"
    loop.mkdir()
    (loop / "again").symlink_to(tmp_path)
    assert len(check_paths([loop]).files) == 0


def test_environments_and_caches_are_skipped(tmp_path):
    for folder in (".venv", "env", "__pycache__", "node_modules"):
        (tmp_path / folder).mkdir()
        written(tmp_path / folder, "x.py", b"def f(:\n")
    written(tmp_path / "env", "pyvenv.cfg", b"")
    written(tmp_path, "pyproject.toml", b"[project]\nname = 'x'\n")
    assert check_paths([tmp_path]).files == () and check_paths([tmp_path]).clean


def test_notebooks_are_read_with_their_magics(tmp_path):
    cells = [
        {"cell_type": "markdown", "source": ["not python ("]},
        {"cell_type": "code", "source": ["%pip install opacus\n", "import opacus"]},
        {"cell_type": "code", "source": "!ls\nfor round in range(3):\n    engine = opacus.PrivacyEngine()\n"},
    ]
    file = written(tmp_path, "book.ipynb", json.dumps({"cells": cells}).encode())
    assert {f.code for f in check_paths([file]).findings} == {"SFM-501"}


def run(capsys, *arguments):
    status = main(["check", *map(str, arguments)])
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def test_exit_status_and_both_forms(tmp_path, capsys):
    clean = written(tmp_path, "clean.py", b"print(1)\n")
    leaky = written(tmp_path, "leaky.py", b"import opacus\nx.make_private(poisson_sampling=False)\n")
    broken = written(tmp_path, "broken.py", b"def f(:\n")
    status, out, err = run(capsys, clean)
    assert status == 0 and err == "" and "that is no guarantee" in out
    status, out, err = run(capsys, leaky)
    assert status == 1 and err == "" and f"{leaky}:2: leak SFM-511" in out
    assert "17.86" in out and "remedy" in out
    status, out, err = run(capsys, clean, broken)
    assert status == 1 and err.startswith("SFM-127: ") and "1 not checked" in out
    status, out, err = run(capsys, leaky, broken, "--format", "json")
    answer = json.loads(out)
    assert status == 1 and out.count("\n") == 1 and answer["format"] == "secure-fedmeta/check/1"
    assert answer["clean"] is False and answer["unchecked"][0]["code"] == "SFM-127"
    (found,) = answer["findings"]
    assert found["code"] == "SFM-511" and found["line"] == 2 and found["path"] == str(leaky)
    assert set(found) == {"code", "level", "path", "line", "what", "why", "remedy"}
    status, out, _ = run(capsys, clean, "--format", "json")
    assert status == 0 and json.loads(out)["clean"] is True


def test_check_without_a_path_is_bad_usage(capsys):
    status, _, err = run(capsys)
    assert status == 2 and err.startswith("SFM-102: ")
