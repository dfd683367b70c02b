# SPDX-License-Identifier: Apache-2.0
"""Clipping rules from the command line and from files, and what rounding costs where people read it."""

import json
import re

import pytest

from fedmeta_privacy.ledger import verify
from secure_fedmeta.cli import main
from secure_fedmeta.cli.pilots import plan_lines
from secure_fedmeta.guarantee import rounding_line
from secure_fedmeta.pilots.hospital import PILOT, plan_with, schedule_for


@pytest.mark.parametrize(
    ("rule", "why"),
    [
        ("adaptive", "SFM-302.*support record"),
        ("per-layer", "SFM-301.*one layer"),
        ("wide", "SFM-101.*clipping"),
    ],
)
def test_rules_that_the_pilot_s_model_has_no_proof_for(rule, why, tmp_path, capsys):
    assert main(["run", "hospital", "--clipping", rule, "--out", str(tmp_path / "run")]) != 0
    said = " ".join(capsys.readouterr().err.split())
    assert re.search(why, said), said
    assert not (tmp_path / "run").exists()


def test_flat_may_be_stated():
    assert plan_with({"clipping": "flat"}) == plan_with({})


def test_a_narrow_ring_s_cost_on_the_terminal_in_the_report_and_in_the_ledger(tmp_path, capsys):
    out = tmp_path / "run"
    settings = tmp_path / "narrow.toml"
    settings.write_text('pilot = "hospital"\nmodulus_bits = 18\nrounds = 2\n', encoding="utf-8")
    assert main(["run", str(settings), "--out", str(out)]) == 0
    schedule = schedule_for(plan_with({"modulus_bits": 18, "rounds": 2}))
    line = rounding_line(schedule)
    assert "fits 18 bits" in line and 0.001 < schedule.rounding_cost < 0.1
    assert line in " ".join(capsys.readouterr().out.split())
    assert line in (out / "report.html").read_text(encoding="utf-8")
    rounds = [entry for entry in verify((out / "ledger.jsonl").read_bytes()) if entry["type"] == "round"]
    costs = {json.dumps(entry["body"]["terms"]["mechanism"]["rounding"]) for entry in rounds}
    assert len(costs) == 1 and float(json.loads(costs.pop())["cost"]) == schedule.rounding_cost


def test_nothing_is_said_where_it_costs_a_thousandth_at_most():
    plan = plan_with({})
    assert not any("rounding" in line for line in plan_lines(PILOT, plan, schedule_for(plan)))


def test_a_ring_too_narrow_is_refused_with_the_numbers(tmp_path, capsys):
    settings = tmp_path / "narrow.toml"
    settings.write_text('pilot = "hospital"\nmodulus_bits = 14\n', encoding="utf-8")
    assert main(["run", str(settings), "--out", str(tmp_path / "run")]) != 0
    said = " ".join(capsys.readouterr().err.split())
    assert "SFM-305" in said and "ring 2^14" in said and "the limit is 10%" in said
