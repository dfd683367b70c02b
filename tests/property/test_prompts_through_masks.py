"""Prompt tuning as a federation runs it: masked, with integer noise, in a ledger that an auditor calls ok.

Two rounds of four sites with a tiny transformer. The sum that the server decodes is the integer sum of what the sites
rounded and blurred, bit for bit. (The sums are masked; encrypted sums are not part of the protocol yet.)
"""

import shutil

import numpy as np
import pytest
from small_prompts import LETTERS, TINY, book, text_sites, tiny_prompt
from small_runs import small_plan, tap

from secure_fedmeta import run as runs
from secure_fedmeta.audit import Verdict, audit_run
from secure_fedmeta.run import federate

SITES, ROUNDS = 4, 2


def plan(**changes):
    settings = {
        "unit": "client",
        "mode": "client-vector",
        "adjacency": "zero-out",
        "loss": "cross-entropy",
        "classes": LETTERS,
        "rounds": ROUNDS,
        "epsilon": 8.0,
        "clip_norm": 0.5,
        "inner_lr": 1.0,
        "support_slots": 20,
        "query_slots": 20,
    }
    return small_plan(**(settings | changes))


@pytest.fixture
def tapped(monkeypatch):
    """What each site handed over, and each round's decoded sum, of a run that makes its own parties."""
    held = {}

    def simulation(schedule, parties, **more):
        held["vectors"], held["schedule"] = tap(parties), schedule
        held["simulation"] = made(schedule, parties, **more)
        return held["simulation"]

    made = runs.Simulation
    monkeypatch.setattr(runs, "Simulation", simulation)
    return held


@pytest.mark.parametrize(
    ("algorithm", "aggregation"), [("maml", "mask"), ("fomaml", "mask"), ("maml", "rlwe32"), ("maml", "bfv")]
)
def test_masked_sums_are_exact_and_the_ledger_is_ok(algorithm, aggregation, tapped, tmp_path):
    sums = []

    def watch(report, theta):
        assert report.closed.aborted is None and len(report.closed.survivors) == SITES
        sums.append([int(x) for x in tapped["simulation"].server.last_sum])
        return {}

    out, module = tmp_path / "run", tiny_prompt()
    run = federate(
        plan(algorithm=algorithm, aggregation=aggregation),
        text_sites(SITES),
        book(),
        model=module,
        out=out,
        watch=watch,
    )
    schedule, vectors = tapped["schedule"], tapped["vectors"]
    assert schedule.masked and schedule.private and schedule.dimension == 3 * TINY.width
    assert len(sums) == ROUNDS and len(vectors) == SITES
    for number, decoded in enumerate(sums):
        columns = zip(*([int(x) for x in vectors[site][number]] for site in vectors), strict=True)
        assert decoded == [sum(column) for column in columns]
        assert any(decoded)
    assert 0 < run.spent.as_views()["release"] <= 8.0
    assert run.theta.shape == (24,) and (run.theta != schedule.start).any()
    learned = run.module()
    np.testing.assert_array_equal(learned.prompt.detach().numpy().ravel(), run.theta)
    for name, values in module.transformer.state_dict().items():
        np.testing.assert_array_equal(learned.transformer.state_dict()[name].numpy(), values.double().numpy())
    shutil.copy(out / "allow-list.toml", tmp_path / "roster.toml")
    audit = audit_run(out, roster=tmp_path / "roster.toml", heads=tmp_path / "run-sites")
    assert audit.findings.verdict is Verdict.OK, audit


def test_signal_and_not_noise_alone_is_summed(tapped):
    """Without noise the sum is the sites' clipped meta-gradients, in steps."""
    sites = text_sites(SITES)
    run = federate(plan(epsilon=None, rounds=1), sites, book(), model=tiny_prompt())
    step = tapped["schedule"].encoding.step
    moved = run.theta - tapped["schedule"].start
    total = np.sum([vectors[0] for vectors in tapped["vectors"].values()], axis=0) * step
    np.testing.assert_allclose(moved, -total / SITES, rtol=1e-9, atol=1e-12)
    assert np.linalg.norm(total) > 100 * step
