"""What `--format json` prints is one line that the shipped schema describes, for every verb and for errors."""

import json

import jsonschema
import pytest

from secure_fedmeta.cli import main
from secure_fedmeta.cli.envelope import schema
from tests.support.own_tables import as_csv, made_rows


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "hospital"
    assert main(["run", "hospital", "--rounds", "1", "--out", str(out)]) == 0
    return out


def said(capsys, *arguments):
    capsys.readouterr()
    main([*arguments, "--format", "json"])
    text = capsys.readouterr().out
    assert text.count("\n") == 1
    body = json.loads(text, parse_constant=pytest.fail)
    jsonschema.validate(body, schema())
    verb = body["format"].split("/")[1]
    jsonschema.validate(body, {"$ref": f"#/$defs/{verb}", "$defs": schema()["$defs"]})
    return verb, body


def test_the_schema_is_a_schema():
    jsonschema.Draft202012Validator.check_schema(schema())


def test_verbs_on_a_run(run, capsys, tmp_path):
    assert said(capsys, "audit", str(run))[0] == "audit"
    assert said(capsys, "report", str(run))[0] == "report"
    assert said(capsys, "compare", str(run), str(run), "--out", str(tmp_path / "c.html"))[0] == "compare"
    assert said(capsys, "attack", str(run), "--kind", "inversion")[0] == "attack"
    assert said(capsys, "check", str(run))[0] == "check"
    assert said(capsys, "audit", str(tmp_path))[1]["status"] == 5


def test_verbs_without_a_run(capsys, tmp_path):
    (tmp_path / "t.csv").write_text(as_csv(made_rows(sites=3, persons=14)))
    roles = ("--target", "died", "--site", "hospital", "--person", "patient")
    assert said(capsys, "new", str(tmp_path / "p"), "--data", str(tmp_path / "t.csv"), *roles)[0] == "new"
    (tmp_path / "e.json").write_text('[{"delta": 1e-5, "events": [{"type": "gaussian", "sigma": 2}]}]')
    assert said(capsys, "epsilon", "--events", str(tmp_path / "e.json"))[0] == "epsilon"
    assert said(capsys, "explain", "SFM-135")[0] == "explain" and said(capsys, "explain")[0] == "explain"
    assert said(capsys, "doctor")[0] == "doctor"
    assert said(capsys, "plan", "hospital", "--clients", "3", "--rounds", "1")[0] == "plan"
    assert said(capsys, "run", "hospital", "--rounds", "1", "--out", str(tmp_path / "r"))[0] == "run"


@pytest.mark.parametrize(
    "arguments", [["run", "nobody"], ["audit", "nowhere"], ["report", "nowhere"], ["plan", "x.toml"]]
)
def test_errors_have_number_cause_place_and_remedy(capsys, arguments):
    verb, body = said(capsys, *arguments)
    assert verb == "error" and {"code", "text", "what", "where", "remedy"} <= set(body["error"])
