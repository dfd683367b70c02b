# SPDX-License-Identifier: Apache-2.0
"""Ledgers of runs that clip per layer or adaptively: an auditor without the network accepts them, and sees edits."""

import io

import numpy as np
import pytest
from mode_runs import FEATURES, MODES, mode_run, network
from planted_ledgers import Forger, found
from small_runs import small_book, small_plan

from fedmeta_privacy.ledger import read
from secure_fedmeta.audit import Verdict
from secure_fedmeta.audit.signatures import body_of
from secure_fedmeta.audit.terms import _check_clip_norms
from secure_fedmeta.audit.verdict import Findings
from secure_fedmeta.datasets.records import SiteRecords
from secure_fedmeta.errors import AuditRefused
from secure_fedmeta.run import federate

RULES = {
    "per-layer": ("person", {"clipping": "per-layer", "layer_weights": (1.0, 2.0, 3.0, 0.5)}),
    "evenly": ("noisy-inner", {"clipping": "per-layer"}),
    "adaptive": ("person", {"clipping": "adaptive", "count_weight": 0.7, "clip_lr": 0.5}),
    "adaptive-sites": ("site", {"clipping": "adaptive", "rounding": "conditional", "modulus_bits": 16}),
}


def records(n=5, persons=5, rows=2, *, repeat):
    rng = np.random.default_rng(0)
    made = []
    for site in range(1, n + 1):
        ids = tuple(f"p-{site}-{i // rows if repeat else i}" for i in range(persons * rows))
        features = rng.uniform(0, 10, (len(ids), FEATURES))
        labels = rng.integers(0, 2, len(ids)).astype(float)
        made.append(SiteRecords(f"clinic-{site}", features, labels, ids, 2, rows_repeat=repeat))
    return made


@pytest.fixture(scope="module", params=RULES)
def run(request, tmp_path_factory):
    name, changes = RULES[request.param]
    out = tmp_path_factory.mktemp(request.param) / "run"
    plan = small_plan(**MODES[name] | changes, rounds=3, support_slots=20, query_slots=20, dropout_fraction=0.2)
    sites = records(repeat=plan.unit == "task")
    return request.param, federate(plan, sites, small_book(FEATURES), model=network, out=out), out


@pytest.fixture
def forger(run, tmp_path):
    return Forger(run[2], tmp_path)


def test_an_honest_run_is_accepted_without_its_network(run, forger):
    name, made, _ = run
    audit = forger.audit(heads=True)
    assert audit.findings.verdict is Verdict.OK, audit.findings.found
    assert float(audit.epsilon["server"]) == pytest.approx(made.spent.server, rel=1e-6)
    stated = [body.get("clip_norm") for body in forger.bodies()]
    if name.startswith("adaptive"):
        assert stated[0] == "0.3" and stated[0] != stated[1] != stated[2]
        assert "sums that move C_t are not in the ledger" in audit.findings.checks["clip norms"]
    else:
        assert stated == [None] * 3 and "clip norms" not in audit.findings.checks
    disclosed = (run[2] / "disclosure.json").read_text(encoding="utf-8")
    assert ("multiples of it" in disclosed) == name.startswith("adaptive")
    assert ("each layer to its own norm" in disclosed) == (made.plan.clipping == "per-layer")
    assert {body["terms"]["clip"]["how"] for body in forger.bodies()} == {made.plan.clipping}


def test_a_line_says_nothing_of_counts_but_the_norm(run, forger, honest):
    """An adaptive round's line has the fields of any other's, and C_t: no count, no fraction."""
    usual = Forger(honest, forger.run.parent / "flat").bodies()[0].keys()
    assert all(body.keys() - {"clip_norm"} == usual for body in forger.bodies())
    assert all(("clip_norm" in body) == run[0].startswith("adaptive") for body in forger.bodies())


@pytest.mark.parametrize("norm", ["nan", "inf", "-0.3", "0", "0.31", "1e9", 1, None])
def test_a_first_norm_that_no_site_would_have_taken(forger, norm):
    forger.bodies()[0]["clip_norm"] = norm
    audit = forger.signed(all_keys=True).audit()
    assert found(audit, "clip norms", line=2)
    assert audit.findings.verdict is Verdict.TAMPERED


def test_a_round_without_a_sum_leaves_the_norm_where_it_was():
    run, _, _ = mode_run("person", clipping="adaptive")
    run.run_round()
    run.server.announce()
    run.server.abort("nobody came")
    run.run_round()
    lines = list(read(io.BytesIO(run.server.ledger_lines())))
    norms = [body_of(line)["clip_norm"] for line in lines]
    assert norms[0] != norms[1] == norms[2]
    honest, bent = Findings(), Findings()
    _check_clip_norms(lines, run.schedule, honest)
    assert not honest.found
    lines[2].statement.entry["body"]["clip_norm"] = repr(float(norms[1]) * 1.0001)
    _check_clip_norms(lines, run.schedule, bent)
    assert [(one.verdict, one.line) for one in bent.found] == [(Verdict.TAMPERED, lines[2].number)]


def test_a_norm_that_jumps(run, forger):
    if not run[0].startswith("adaptive"):
        forger.bodies()[1]["clip_norm"] = "0.3"
    else:
        forger.bodies()[2]["clip_norm"] = str(float(forger.bodies()[1]["clip_norm"]) * 1.8)
    assert forger.signed(all_keys=True).audit().findings.verdict is Verdict.TAMPERED


def test_a_rule_that_is_not_the_behaviour_s(forger):
    for body in forger.bodies():
        body["terms"]["clip"] = {"how": "flat", "norm": "0.3"}
    audit = forger.signed(all_keys=True).audit()
    assert found(audit, "terms") and audit.findings.verdict is Verdict.CLAIM_TOO_SMALL


@pytest.mark.parametrize("run", ["adaptive"], indirect=True)
def test_a_joint_sensitivity_without_the_count(forger):
    """The weight is taken for smaller than it was; noise and sensitivity then follow from another plan."""
    forger.lines[0]["body"]["behaviour"]["count_weight"] = "0.1"
    assert forger.signed(all_keys=True).audit().findings.verdict is Verdict.CLAIM_TOO_SMALL


@pytest.mark.parametrize("run", ["evenly"], indirect=True)
def test_layers_of_another_network(forger):
    forger.lines[0]["body"]["behaviour"]["layers"] = [20, 1]
    assert forger.signed(all_keys=True).audit().findings.verdict is Verdict.CLAIM_TOO_SMALL


@pytest.mark.parametrize("run", ["per-layer"], indirect=True)
@pytest.mark.parametrize("layers", [[20, 1], [12, 4, 4], [12, 4, 4, 0, 1], [True], "12", ["21"]])
def test_layers_that_cannot_be(forger, layers):
    forger.lines[0]["body"]["behaviour"]["layers"] = layers
    with pytest.raises(AuditRefused, match="no guarantee follows"):
        forger.signed(all_keys=True).audit()
