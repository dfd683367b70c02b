"""Command lines: what cannot be read or run ends in one numbered line, an exit status, and no folder."""

import json
import subprocess
import sys

import pytest

from secure_fedmeta.cli import main


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(capsys, *arguments):
    status = main(list(arguments))
    captured = capsys.readouterr()
    return status, captured.out, captured.err


BAD_USAGE = [
    ["walk"],
    ["run"],
    ["run", "clinic"],
    ["run", "hospital", "--round", "3"],
    ["run", "hospital", "--rounds", "many"],
    ["run", "hospital", "--rounds", "2.5"],
    ["run", "hospital", "--format", "xml"],
    ["run", "hospital", "--delta", "tiny"],
    ["run", "hospital", "extra"],
    ["run", "hospital", "--out"],
    ["epsilon"],
    ["epsilon", "--events"],
    ["--nonsense"],
]


@pytest.mark.parametrize("arguments", BAD_USAGE, ids=" ".join)
def test_a_line_that_cannot_be_read(here, capsys, arguments):
    status, out, err = run(capsys, *arguments)
    assert status == (1 if arguments == ["run", "clinic"] else 2)
    assert out == "" and err.startswith("SFM-102: ") and err.count("\n") == 1 and "Remedy: " in err
    assert list(here.iterdir()) == []


BAD_SETTINGS = [
    (["--rounds", "0"], "SFM-101"),
    (["--epsilon", "0"], "SFM-101"),
    (["--epsilon", "-1"], "SFM-101"),
    (["--epsilon", "nan"], "SFM-101"),
    (["--epsilon", "inf"], "SFM-101"),
    (["--epsilon", "much"], "SFM-101"),
    (["--delta", "0"], "SFM-101"),
    (["--delta", "1"], "SFM-101"),
    (["--delta", "nan"], "SFM-101"),
    (["--delta", "0.00176"], "SFM-301"),
    (["--clients", "1"], "SFM-101"),
    (["--clients", "2"], "SFM-301"),
    (["--clients", "30"], "SFM-101"),
    (["--dropout", "1"], "SFM-101"),
    (["--dropout", "0.6"], "SFM-301"),
    (["--colluders", "8"], "SFM-301"),
    (["--colluders", "6", "--strength", "semi-honest"], "SFM-301"),
    (["--strength", "honest"], "SFM-101"),
    (["--corrupt-fraction", "1"], "SFM-101"),
    (["--corrupt-fraction", "0.9"], "SFM-301"),
    (["--dropout-fraction", "0.5"], "SFM-301"),
    (["--colluders", "-1"], "SFM-101"),
    (["--threshold", "6"], "SFM-301"),
    (["--threshold", "5", "--strength", "semi-honest"], "SFM-301"),
    (["--threshold", "10", "--strength", "semi-honest"], "SFM-301"),
    (["--planned-survivors", "11"], "SFM-301"),
    (["--planned-survivors", "6"], "SFM-301"),
    (["--algorithm", "ditto"], "SFM-101"),
    (["--algorithm", "meta-sgd"], "SFM-322"),
    (["--aggregation", "he"], "SFM-101"),
    (["--seed", "-1"], "SFM-101"),
]


@pytest.mark.parametrize(("options", "number"), BAD_SETTINGS, ids=lambda v: " ".join(v) if isinstance(v, list) else v)
def test_a_setting_that_cannot_be_run(here, capsys, options, number):
    status, out, err = run(capsys, "run", "hospital", *options, "--out", "runs/new")
    assert status == 1 and err.startswith(f"{number}: ") and err.count("\n") == 1 and "Remedy: " in err
    assert "Traceback" not in out + err
    assert list(here.iterdir()) == []


def test_delta_is_refused_before_any_record_is_read(here, capsys, monkeypatch):
    from secure_fedmeta.datasets import hospital

    def unread(**_):
        raise AssertionError("records were read")

    monkeypatch.setattr(hospital, "load_hospitals", unread)
    status, out, err = run(capsys, "run", "hospital", "--delta", "0.0018")
    assert status == 1 and err.startswith("SFM-301: delta=0.0018 is not below 1/N")
    assert "loading records" not in out
    with pytest.raises(AssertionError, match="records were read"):
        main(["run", "hospital", "--delta", "0.001"])
    assert list(here.iterdir()) == []


BAD_FILES = {
    "unknown key": 'pilot = "hospital"\nround = 3\n',
    "unknown value": 'pilot = "hospital"\nouter = "lamb"\n',
    "wrong type": 'pilot = "hospital"\nrounds = "many"\n',
    "table": 'pilot = "hospital"\n[rounds]\nn = 3\n',
    "no pilot": "rounds = 3\n",
    "unknown pilot": 'pilot = "clinic"\n',
    "not toml": "pilot: hospital\n",
    "empty": "",
}


@pytest.mark.parametrize("name", [*BAD_FILES, "missing", "folder", "binary"])
def test_a_settings_file_that_cannot_be_run(here, capsys, name):
    file = here / "plan.toml"
    if name in BAD_FILES:
        file.write_text(BAD_FILES[name])
    elif name == "folder":
        file.mkdir()
    elif name == "binary":
        file.write_bytes(b"\xff\xfe\x00")
    before = sorted(here.iterdir())
    status, _, err = run(capsys, "run", "plan.toml", "--out", "runs/new")
    assert status == 1 and err.startswith(("SFM-101: ", "SFM-103: ")) and "plan.toml" in err and "Remedy: " in err
    assert sorted(here.iterdir()) == before


def test_errors_in_json_are_one_line_with_the_number(here, capsys):
    status, out, err = run(capsys, "run", "hospital", "--rounds", "0", "--format", "json")
    assert status == 1 and out.count("\n") == 1
    error = json.loads(out)["error"]
    assert error["code"] == "SFM-101" and error["text"] + "\n" == err.splitlines(keepends=True)[-1]
    assert list(here.iterdir()) == []


def test_help_and_version(capsys):
    assert run(capsys, "--version")[1].startswith("secure-fedmeta ")
    for arguments in (["--help"], ["run", "--help"], ["epsilon", "--help"]):
        status, out, err = run(capsys, *arguments)
        assert status == 0 and "Usage" in out and err == ""
    assert "--insecure-reproducible" in run(capsys, "run", "--help")[1]
    status, out, _ = run(capsys)
    assert status == 2 and "Usage" in out


def modules_after(*arguments):
    code = (
        "import sys\nfrom secure_fedmeta.cli import main\nstatus = main(sys.argv[1:])\n"
        "print(status, [m for m in ('torch','opacus','tenseal','sklearn','scipy','matplotlib') if m in sys.modules])"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, timeout=60, check=True
    )
    return ended.stdout.splitlines()[-1]


@pytest.mark.parametrize("arguments", [["--help"], ["run", "--help"], ["epsilon", "--help"], ["--version"]])
def test_help_loads_nothing_heavy(arguments):
    assert modules_after(*arguments) == "0 []"


def test_a_refused_setting_loads_no_torch(tmp_path):
    assert "torch" not in modules_after("run", "hospital", "--rounds", "0", "--out", str(tmp_path / "x"))
    assert "torch" not in modules_after("run", "hospital", "--colluders", "8", "--out", str(tmp_path / "x"))
