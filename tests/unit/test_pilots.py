"""What all pilots share: the plan that is shown is the one that runs, and shots without records are told."""

import math

import numpy as np
import pytest

from secure_fedmeta.errors import SettingError
from secure_fedmeta.evaluation import evaluate_unseen
from secure_fedmeta.pilots import pilot_named, pilot_reading
from secure_fedmeta.pilots.own import own_pilot
from tests.support.own_tables import as_csv, made_rows
from tests.unit.datasets.generated.test_credit import german_line

DATA = {
    "file": "mine.csv",
    "target": "died",
    "positive": "1",
    "site": "hospital",
    "person": "patient",
    "confirmed": True,
    "feature": [{"column": "age", "low": 0, "high": 120}],
}


def test_a_plan_for_another_number_of_sites_does_not_run(tmp_path):
    (tmp_path / "mine.csv").write_text(as_csv(made_rows(sites=4, persons=30)))
    settings = {"clients": 4, "support_slots": 40, "query_slots": 60, "delta": 1e-4, "rounds": 1}
    pilot = own_pilot({**DATA, "later": ["Clinic 3"]}, settings, tmp_path / "pilot.toml")
    with pytest.raises(SettingError, match="clients = 4, and the records are of 3 member sites"):
        pilot.study_of(pilot.plan_with(settings)).execute(out=tmp_path / "run")
    assert not (tmp_path / "run").exists()
    run = pilot.study_of(pilot.plan_with({**settings, "clients": 3})).execute(out=None).run
    assert run.schedule.clients == 3


def test_shots_are_those_of_the_evaluation():
    pilot = pilot_named("hospital")
    study = pilot.study_of(pilot.plan_with({"rounds": 1}))
    theta = np.linspace(-1, 1, study.codebook.width)
    row, found = study.row("x", theta, adapted=True), evaluate_unseen(theta, study.unseen, seed=0, shots=(1, 5, 10, 16))
    assert [row[f"unseen_{k}"] for k in (1, 5, 10, 16)] == [found[k].mean_auroc for k in (1, 5, 10, 16)]


def test_more_shots_than_records_are_not_a_number(tmp_path):
    rng = np.random.default_rng(0)
    (tmp_path / "german.data").write_text("\n".join(german_line(rng) for _ in range(240)) + "\n")
    pilot = pilot_reading("credit", tmp_path / "german.data")
    study = pilot.study_of(pilot.plan_with({"clients": 4, "rounds": 1}))
    row = study.row("x", np.zeros(study.codebook.width), adapted=True)
    assert math.isnan(row["unseen_50"]) and not math.isnan(row["unseen_10"])
