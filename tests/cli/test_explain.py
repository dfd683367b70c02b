"""`secure-fedmeta explain`: one entry, all of them, as JSON, and nothing heavy loaded for it."""

import json
import subprocess
import sys

import pytest

from secure_fedmeta.catalogue import catalogue
from secure_fedmeta.cli import main


def run(capsys, *arguments):
    status = main(["explain", *arguments])
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def test_one_number(capsys):
    status, out, err = run(capsys, "sfm-304")
    assert (status, err) == (0, "")
    assert out.startswith(
        "SFM-304 BudgetExceeded (privacy): The filter refuses a charge; nothing was charged.\n    cause "
    )
    assert out.count("\n") == 3 and "\n    remedy  End the run" in out


def test_an_exit_status_is_two_words(capsys):
    assert run(capsys, "exit", "4")[1].startswith("exit 4 claim too small (audit): What is stated is less")


def test_all(capsys):
    status, out, _ = run(capsys)
    assert status == 0 and out.count("\n") == len(catalogue())
    assert [line.split("  ")[0].strip() for line in out.splitlines()] == list(catalogue())


@pytest.mark.parametrize(("arguments", "codes"), [(["135"], ["SFM-135"]), ([], list(catalogue()))])
def test_json(capsys, arguments, codes):
    status, out, _ = run(capsys, *arguments, "--format", "json")
    body = json.loads(out)
    assert status == 0 and body["format"] == "secure-fedmeta/explain/1"
    assert [entry["code"] for entry in body["entries"]] == codes
    assert set(body["entries"][0]) == {"code", "name", "room", "meaning", "cause", "remedy"}


def test_an_unknown_one_is_a_numbered_error(capsys):
    status, out, err = run(capsys, "SFM-999")
    assert (status, out) == (1, "") and err.startswith("SFM-102: nothing is called 'SFM-999'") and err.count("\n") == 1
    status, out, _ = run(capsys, "SFM-999", "--format", "json")
    assert status == 1 and json.loads(out)["error"]["code"] == "SFM-102"


def test_nothing_heavy_is_loaded():
    code = (
        "import sys\nfrom secure_fedmeta.cli import main\nstatus = main(['explain', 'SFM-128'])\n"
        "heavy = ('torch', 'opacus', 'tenseal', 'sklearn', 'matplotlib', 'scipy')\n"
        "print(status, [m for m in heavy if m in sys.modules])"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert ended.stdout.splitlines()[-1] == "0 []"
