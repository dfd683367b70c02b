"""Leaks in somebody's own table, and runs that add up: each is planted and found; a sound table is clean."""

import json

import pytest

from secure_fedmeta.check import check_paths
from secure_fedmeta.cli import main
from tests.support.own_tables import as_csv, made_rows

ROLES = ("--target", "died", "--site", "hospital", "--person", "patient")


@pytest.fixture
def place(tmp_path, monkeypatch, capsys):
    """A sound pilot of a table, its ranges confirmed and their origins stated."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.csv").write_text(as_csv(made_rows(sites=4, persons=30)))
    assert main(["new", "pilot", "--data", "mine.csv", *ROLES]) == 0
    capsys.readouterr()
    path = tmp_path / "pilot" / "pilot.toml"
    text = path.read_text().replace("confirmed = false", "confirmed = true")
    path.write_text(text.replace("FROM THE DATA: replace by what is known without it", "the analyser's range"))
    return tmp_path


def found(place):
    checked = check_paths([place / "pilot" / "pilot.toml"])
    assert checked.problems == ()
    return {finding.code: finding for finding in checked.findings}


def spoil(place, change):
    rows = made_rows(sites=4, persons=30)
    change(rows)
    (place / "mine.csv").write_text(as_csv(rows))


def test_a_sound_table_is_clean(place):
    assert found(place) == {}


def test_unconfirmed_ranges_are_a_leak_and_proposed_ones_a_note(place):
    path = place / "pilot" / "pilot.toml"
    path.write_text(path.read_text().replace("confirmed = true", "confirmed = false"))
    assert set(found(place)) == {"SFM-560"} and not check_paths([path]).clean
    path.write_text(
        path.read_text().replace("confirmed = false", "confirmed = true").replace("the analyser's", "FROM THE DATA")
    )
    assert set(found(place)) == {"SFM-565"} and check_paths([path]).clean


PLANTED = {
    "SFM-561": (lambda rows: rows[40].__setitem__(0, rows[0][0]), "1 persons"),
    "SFM-562": (lambda rows: rows[1].__setitem__(0, rows[0][0]), "1 rows beyond a person's first"),
    "SFM-563": (lambda rows: rows.__delitem__(slice(0, 25)), "1 of 4 sites: Clinic 0"),
    "SFM-564": (lambda rows: [row.__setitem__(2, str(30 + 40 * int(row[5]))) for row in rows], "age"),
}


@pytest.mark.parametrize("code", PLANTED)
def test_what_is_planted_in_the_table_is_found_and_tells_no_cell(place, code):
    change, said = PLANTED[code]
    spoil(place, change)
    findings = found(place)
    assert code in findings and findings[code].what.startswith(said)
    assert "p1" not in findings[code].what.split()


def test_a_table_that_cannot_be_read_is_a_problem_and_not_clean(place):
    (place / "mine.csv").unlink()
    checked = check_paths([place / "pilot" / "pilot.toml"])
    assert not checked.clean and checked.problems[0].code == "SFM-150"


def test_a_delta_beyond_one_over_the_slots(place):
    path = place / "pilot" / "pilot.toml"
    path.write_text(
        "\n".join("delta = 0.02" if line.startswith("delta") else line for line in path.read_text().splitlines())
    )
    assert "SFM-550" in found(place)


def run_folder(place, name, *, epsilon="1.5", seed=0, pilot="table"):
    folder = place / "runs" / name
    folder.mkdir(parents=True)
    data = '\n[data]\nfile = "../../mine.csv"\n' if pilot == "table" else ""
    (folder / "config.toml").write_text(f'pilot = "{pilot}"\nseed = {seed}\n{data}')
    (folder / "ledger.jsonl").write_text(json.dumps({"body": {"epsilon": {"server": epsilon}}}) + "\n")


def runs_found(place):
    return [f for f in check_paths([place / "runs"]).findings if f.code == "SFM-570"]


def test_runs_on_the_same_persons_add_up(place):
    run_folder(place, "a")
    assert runs_found(place) == []
    run_folder(place, "b", epsilon="2.25")
    (finding,) = runs_found(place)
    assert finding.what == "2 runs (a, b): epsilon at most 3.75 together, deltas too"
    run_folder(place, "c", epsilon="none")
    assert "without a bound together" in runs_found(place)[0].what


def test_other_seeds_and_generated_persons_do_not(place):
    run_folder(place, "a")
    run_folder(place, "b", seed=1)
    run_folder(place, "c", pilot="credit")
    run_folder(place, "d", pilot="credit")
    assert runs_found(place) == []
    run_folder(place, "e", pilot="hospital")
    run_folder(place, "f", pilot="hospital")
    assert len(runs_found(place)) == 1


def test_plans_of_the_population_pilot_are_checked(tmp_path):
    (tmp_path / "p.toml").write_text('pilot = "wearables"\nepsilon = "none"\ndelta = 0.01\n')
    assert {f.code for f in check_paths([tmp_path / "p.toml"]).findings} == {"SFM-550", "SFM-554"}
