"""From a CSV file to a report in three commands; and what spoils it is said before anything is written."""

import json
import tomllib

import pytest

from secure_fedmeta.cli import main
from secure_fedmeta.report.facts import Facts
from tests.support.own_tables import HEAD, as_csv, made_rows

ROLES = ("--target", "died", "--site", "hospital", "--person", "patient")


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.csv").write_text(as_csv(made_rows(sites=4, persons=40)))
    return tmp_path


def new(*options):
    return main(["new", "pilot", "--data", "mine.csv", *ROLES, *options])


def test_three_commands(place, capsys):
    assert new() == 0
    text = (place / "pilot" / "pilot.toml").read_text()
    stated = tomllib.loads(text)
    assert stated["pilot"] == "table" and stated["data"]["confirmed"] is False and stated["clients"] == 4
    ages = next(f for f in stated["data"]["feature"] if f["column"] == "age")
    assert (ages["low"], ages["high"]) == (0, 120) and "FROM THE DATA" not in ages["origin"]
    assert "lactate, sex" in capsys.readouterr().out  # what is to be confirmed
    assert main(["run", "pilot/pilot.toml"]) == 1
    assert "nobody has confirmed" in capsys.readouterr().err and not (place / "runs").exists()
    (place / "pilot" / "pilot.toml").write_text(text.replace("confirmed = false", "confirmed = true"))
    assert main(["run", "pilot/pilot.toml", "--rounds", "3"]) == 0
    out = place / "runs" / "pilot-1"
    assert (out / "report.html").stat().st_size < 300_000
    facts = Facts.of(out)
    assert facts.record.epsilon["server"] <= 3.0 and facts.scores["rows"][0]["auroc"] is not None
    # What a run leaves runs again, from another folder too.
    assert main(["run", "runs/pilot-1/config.toml", "--rounds", "1", "--out", "again"]) == 0


def test_a_person_with_many_rows_is_one_unit(place, capsys):
    (place / "mine.csv").write_text(as_csv(made_rows(sites=4, persons=20, rows=6)))
    assert new("--format", "json") == 0
    said = json.loads(capsys.readouterr().out)
    assert any("unit task" in line for line in said["said"]) and said["to_confirm"] == ["lactate", "sex"]
    assert main(["run", "pilot/pilot.toml", "--confirm-ranges", "--rounds", "2", "--out", "out"]) == 0
    assert Facts.of(place / "out").record.unit == "task"
    assert "any one person with all their rows" in capsys.readouterr().out


def test_counted_as_records_they_are_refused(place, capsys):
    (place / "mine.csv").write_text(as_csv(made_rows(sites=4, persons=20, rows=2)))
    assert new() == 0
    path = place / "pilot" / "pilot.toml"
    kept = [
        line for line in path.read_text().splitlines() if not line.startswith(("unit", "mode", "algorithm", "task"))
    ]
    path.write_text("\n".join(kept).replace("confirmed = false", "confirmed = true"))
    assert main(["run", "pilot/pilot.toml", "--out", "out"]) == 1
    assert "would be unprotected" in capsys.readouterr().err and not (place / "out").exists()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["new", "p"], "no table is named"),
        (["new", "p", "--data", "mine.csv"], "--target, --site, --person: no column is named"),
        (["new", "p", "--data", "none.csv", *ROLES], "cannot read the file"),
        (["new", "p", "--data", "mine.csv", "--target", "age", *ROLES[2:]], "two classes can be learned"),
        (["new", "p", "--data", "mine.csv", "--target", "dead", *ROLES[2:]], "there is no column 'dead'"),
        (["new", "p", "--data", "mine.csv", *ROLES, "--positive", "2"], "is no value of 'died'"),
    ],
)
def test_what_is_missing_is_named(place, capsys, options, said):
    assert main(options) == 1
    error = capsys.readouterr().err
    assert error.startswith("SFM-1") and said in error and not (place / "p").exists()


def test_an_unclear_positive_is_asked_for(place, capsys):
    rows = [[*row[:5], {"0": "left", "1": "right"}[row[5]]] for row in made_rows(sites=3, persons=15)]
    (place / "mine.csv").write_text(as_csv(rows))
    assert new() == 1 and "--positive" in capsys.readouterr().err
    assert new("--positive", "right") == 0


def test_nothing_that_is_there_is_touched(place, capsys):
    (place / "pilot").mkdir()
    (place / "pilot" / "mine.txt").write_text("keep")
    assert new() == 1 and "something is there already" in capsys.readouterr().err
    assert [f.name for f in (place / "pilot").iterdir()] == ["mine.txt"]


def test_columns_that_no_one_should_learn_from_are_left_out(place, capsys):
    rows = [
        [*row, f"note {i}", str(1000 + i), "x", str(10 * int(row[5])), "1.5" if i % 9 else "high"]
        for i, row in enumerate(made_rows(sites=3, persons=20))
    ]
    head = (*HEAD, "note", "record_id", "same", "score_after", "mixed")
    (place / "mine.csv").write_text(as_csv(rows, head))
    assert new() == 0
    said = capsys.readouterr().out
    for column, why in {
        "note": "text of 60 different values",
        "record_id": "identifier",
        "same": "one value",
        "score_after": "tells the target by itself",
        "mixed": "text among numbers",
    }.items():
        assert any(line.startswith(f"left out: {column}") and why in line for line in said.splitlines()), column


def test_the_file_s_description_is_checked(place, capsys):
    assert new() == 0
    path = place / "pilot" / "pilot.toml"
    good = path.read_text()
    for wrong, said in (
        (good.replace("[data]", "[date]"), "no table is named"),
        (good.replace('file = "../mine.csv"', "file = 3"), "no table is named"),
        (good.replace('target = "died"', 'target = "hospital"'), "two uses"),
        (good.replace("confirmed = false", "confirmed = true\nhidden = -1"), "hidden = -1"),
        (good.replace('pilot = "table"', 'pilot = "tabel"'), "there is no pilot 'tabel'"),
    ):
        path.write_text(wrong)
        assert main(["run", "pilot/pilot.toml", "--out", "out"]) == 1
        assert said in capsys.readouterr().err and not (place / "out").exists()


def test_names_of_any_script_and_quotes_are_written_so_that_they_are_read_again(place):
    rows = [line.split(",") for line in (place / "mine.csv").read_text().splitlines()]
    rows[0][HEAD.index("lactate")] = '"a ""name"" \\ \U0001f600 Größe"'
    (place / "mine.csv").write_text("\n".join(",".join(row) for row in rows), encoding="utf-8")
    assert main(["new", "pi\nlot", "--data", "mine.csv", *ROLES]) == 0
    stated = tomllib.loads((place / "pi\nlot" / "pilot.toml").read_text(encoding="utf-8"))
    assert 'a "name" \\ \U0001f600 Größe' in [f["column"] for f in stated["data"]["feature"]]
