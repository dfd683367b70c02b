"""Every pilot from its name: a plan, rounds, figures, a page; generated records are called so everywhere."""

import json

import pytest

from secure_fedmeta.cli import main
from secure_fedmeta.pilots import GENERATED, NAMES, pilot_named
from secure_fedmeta.report.facts import Facts
from tests.unit.datasets.generated.test_credit import german_line

SMALL = {"icu": ("--clients", "3"), "recommender": ("--clients", "3"), "credit": ("--clients", "4")}


@pytest.mark.parametrize("name", ["credit", *(pytest.param(n, marks=pytest.mark.long) for n in ("icu", "recommender"))])
def test_a_pilot_runs_from_its_name(tmp_path, capsys, name):
    out = tmp_path / "run"
    assert main(["run", name, "--rounds", "1", "--out", str(out), *SMALL[name]]) == 0
    text = capsys.readouterr().out
    assert "no real person is in it" in text and "guarantee" in text
    facts, pilot = Facts.of(out), pilot_named(name)
    assert facts.pilot == name and facts.record.epsilon["server"] <= 3.0
    page = (out / "report.html").read_text()
    assert "Generated data." in page and pilot.title in page
    first = facts.scores["rows"][0]
    missing = [c.key for c in pilot.columns if first.get(c.key) is None]
    assert missing == [] and facts.scores["generated"] is True
    assert main(["audit", str(out)]) == 5  # the keys come from the run itself
    # The settings that it leaves are those of the pilot, and run again.
    assert (
        pilot.plan_with({**facts.record.settings} and {"rounds": 1, "clients": 3 if name != "credit" else 4}).rounds
        == 1
    )


@pytest.mark.long
def test_wearables_are_a_population_simulation(tmp_path, capsys):
    out = tmp_path / "run"
    assert main(["run", "wearables", "--clients", "60", "--rounds", "1", "--format", "json", "--out", str(out)]) == 0
    captured = capsys.readouterr()
    said = json.loads(captured.out)
    assert said["generated"] and said["epsilon"]["server"] <= 3.0 and "population simulation" in captured.err
    page = (out / "report.html").read_text()
    assert "nothing to audit" in page and "<script" not in page
    before = (out / "report.html").read_bytes()
    assert main(["report", str(out)]) == 0 and (out / "report.html").read_bytes() == before
    assert main(["run", str(out / "config.toml"), "--out", str(tmp_path / "again")]) == 0
    assert main(["audit", str(out)]) == 5


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["wearables", "--strength", "malicious"], "--strength means nothing to a population simulation"),
        (["wearables", "--data", "x"], "--data and --operator mean nothing"),
        (["wearables", "--clients", "3"], "users = 3"),
        (["icu", "--data", "x"], "pilot icu reads no file"),
        (["credit", "--data", "none.data"], "SFM-150"),
        (["credit", "--clients", "99"], "clients = 99"),
        (["nobody"], "there is no pilot 'nobody'"),
    ],
)
def test_what_means_nothing_is_refused(tmp_path, capsys, arguments, said):
    assert main(["run", *arguments, "--out", str(tmp_path / "run")]) == 1
    assert said in capsys.readouterr().err and not (tmp_path / "run").exists()


def test_real_files_of_a_pilot(tmp_path, capsys):
    import numpy as np

    rng = np.random.default_rng(0)
    (tmp_path / "german.data").write_text("\n".join(german_line(rng) for _ in range(240)) + "\n")
    options = [
        "--data",
        str(tmp_path / "german.data"),
        "--clients",
        "4",
        "--rounds",
        "1",
        "--out",
        str(tmp_path / "run"),
    ]
    assert main(["run", "credit", *options]) == 0
    assert "no real person" not in capsys.readouterr().out
    assert "Generated data." not in (tmp_path / "run" / "report.html").read_text()
    again = ["run", str(tmp_path / "run" / "config.toml"), "--out", str(tmp_path / "again")]
    assert main(again) == 0 and Facts.of(tmp_path / "again").scores["generated"] is False


def test_generated_pilots_say_so_in_every_word_that_is_stated():
    for name in NAMES:
        pilot = pilot_named(name)
        assert pilot.generated is (name in GENERATED)
        if pilot.generated:
            assert "generated" in pilot.source and "generated" in str(pilot.statements["data_domain"])


def test_a_plan_is_forecast_and_no_record_is_read(capsys, monkeypatch):
    from secure_fedmeta.datasets.generated import credit

    monkeypatch.setattr(credit, "load_banks", lambda **_: pytest.fail("records were read"))
    assert main(["plan", "credit", "--clients", "3", "--rounds", "5", "--format", "json"]) == 0
    captured = capsys.readouterr()
    said = json.loads(captured.out)
    assert said["epsilon"]["server"] <= 3.0 and said["bytes"] > 0 and set(said["noise_for"]) == {"8", "1"}
    assert "no record is read" in captured.err
    assert main(["plan", "wearables"]) == 1 and "sends nothing" in capsys.readouterr().err
