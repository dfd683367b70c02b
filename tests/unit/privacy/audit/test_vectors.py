"""Every estimator against values that another implementation computed."""

import json
from pathlib import Path

import pytest

from fedmeta_privacy.audit import (
    AuditContext,
    Decisions,
    gaussian_bound,
    multi_run_bound,
    one_run_bound,
    one_run_gaussian_bound,
)
from fedmeta_privacy.claims import Unit, View

VECTORS = json.loads((Path(__file__).parents[3] / "vectors/privacy/audit_vectors.json").read_text())
WHERE = AuditContext(Unit.TASK, View.SERVER, colluders=0, survivors=7)


def name(case):
    return "-".join(str(value) for key, value in case.items() if not key.startswith("eps"))


@pytest.mark.parametrize("case", VECTORS["one_run_vectors"], ids=name)
def test_one_run_vectors(case):
    counts = {"canaries": case["m"], "guesses": case["guesses"], "correct": case["correct"]}
    rest = {"delta": case["delta"], "p": case["p"], "context": WHERE}
    found = one_run_bound(**counts, **rest)
    assert found.epsilon == pytest.approx(case["eps_lb_steinke"], abs=1e-6, rel=0)
    if case["eps_lb_fdp_gauss"] is not None:
        tight = one_run_gaussian_bound(**counts, **rest)
        assert tight.epsilon == pytest.approx(case["eps_lb_fdp_gauss"], abs=1e-6, rel=0)


@pytest.mark.parametrize("case", VECTORS["multi_run_vectors"], ids=name)
def test_multi_run_vectors(case):
    decisions = Decisions(case["fp"], case["n0"], case["fn"], case["n1"])
    rest = {"delta": case["delta"], "p": case["p"], "context": WHERE}
    assert multi_run_bound(decisions, **rest).epsilon == pytest.approx(case["eps_lb_cp"], abs=1e-6, rel=0)
    assert gaussian_bound(decisions, **rest).epsilon == pytest.approx(case["eps_lb_gdp"], abs=1e-6, rel=0)
