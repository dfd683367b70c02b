"""Small real runs of every mode and kind of noise, audited with everything that an auditor may ask for: ok."""

import shutil

import pytest
from mode_runs import FEATURES, MODES, network, sites_of
from small_runs import small_book, small_plan

from secure_fedmeta.cli import main
from secure_fedmeta.run import federate

KINDS = {name: {} for name in MODES} | {
    "surplus": {"dropout_noise": "surplus", "dropout": 0.1},
    "surplus person": {"dropout_noise": "surplus"},
    "dropouts": {"rounds": 5, "dropout": 0.15},
    "colluders": {"colluders": 1, "dropout_fraction": 0.2},
    "tail average": {"tail_average": 0.5},
    "semi-malicious": {"strength": "semi-malicious"},
    "stateful": {"outer": "adam"},
}


def run_of(kind, out):
    mode = {"surplus person": "person"}.get(kind, kind)
    settings = MODES.get(mode, {}) | KINDS[kind]
    plan = small_plan(**({"rounds": 2, "support_slots": 20, "query_slots": 20} | settings))
    model = None if plan.mode == "bounded-glm" else (lambda: network(plan.outputs))
    federate(plan, sites_of(plan, n=5), small_book(FEATURES), model=model, out=out)
    shutil.copy(out / "allow-list.toml", out.parent / "roster.toml")


@pytest.mark.parametrize("kind", KINDS)
def test_an_honest_run_is_ok(kind, tmp_path, capsys):
    run_of(kind, tmp_path / "run")
    given = ["--roster", str(tmp_path / "roster.toml"), "--heads", str(tmp_path / "run-sites")]
    status = main(["audit", str(tmp_path / "run"), *given])
    assert (status, capsys.readouterr().out.splitlines()[0]) == (0, "verdict: ok"), capsys.readouterr().out
