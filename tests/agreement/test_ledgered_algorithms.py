"""Whole runs of the algorithms beside MAML through masking, with a ledger: exact sums, and audits that say ok."""

import shutil

import numpy as np
import pytest
from mode_runs import ALGORITHM_MODES, FEATURES, network, sites_of
from small_runs import small_book, small_plan

from secure_fedmeta.cli import main
from secure_fedmeta.federation.client import SiteClient
from secure_fedmeta.federation.server import Server
from secure_fedmeta.plan import Plan
from secure_fedmeta.run import federate

LEDGERED = ("person-reptile", "site-meta-sgd", "site-meta-sgd-layers", "person-anil", "glm-reptile", "site-squared")


@pytest.fixture
def tapped(monkeypatch):
    """What each site put under the masks, and what the server opened: [(site, steps)], [sum]."""
    sent, opened = [], []
    upload, books = SiteClient._upload, Server._open

    def uploads(self, session, *seeds):
        release = self._release

        def recorded(rows, words):
            steps = release(rows, words)
            sent.append((self.client_id, steps.copy()))
            return steps

        self._release = recorded
        try:
            return upload(self, session, *seeds)
        finally:
            self._release = release

    def opens(self, total, survivors):
        step = books(self, total, survivors)
        opened.append((survivors, self.last_sum.copy()))
        return step

    monkeypatch.setattr(SiteClient, "_upload", uploads)
    monkeypatch.setattr(Server, "_open", opens)
    return sent, opened


@pytest.mark.parametrize(
    ("name", "aggregation"),
    [(name, "mask") for name in LEDGERED]
    + [("person-reptile", "rlwe32"), ("person-reptile", "bfv"), ("glm-reptile", "rlwe64")],
)
def test_the_opened_sum_is_the_integer_sum_and_the_audit_says_ok(name, aggregation, tmp_path, tapped, capsys):
    sent, opened = tapped
    settings = {"rounds": 2, "support_slots": 20, "query_slots": 20, "aggregation": aggregation}
    plan = small_plan(**settings | ALGORITHM_MODES[name])
    model = None if plan.mode == "bounded-glm" else (lambda: network(plan.outputs))
    run = federate(plan, sites_of(plan), small_book(FEATURES), model=model, out=tmp_path / "run")

    assert len(opened) == 2 and not run.stopped
    for number, (survivors, total) in enumerate(opened):
        own = dict(sent[4 * number : 4 * number + 4])
        assert survivors == (1, 2, 3, 4) == tuple(sorted(own))
        exact = [sum(int(own[site][i]) for site in survivors) for i in range(len(total))]
        assert total.tolist() == exact  # in Python's integers, so no machine word can wrap
        assert np.abs(total).max() > 0

    assert run.schedule.dimension == len(run.theta)
    assert run.schedule.private and np.isfinite(run.spent.server) and run.spent.server <= plan.epsilon
    shutil.copy(tmp_path / "run" / "allow-list.toml", tmp_path / "roster.toml")
    given = ["--roster", str(tmp_path / "roster.toml"), "--heads", str(tmp_path / "run-sites")]
    status = main(["audit", str(tmp_path / "run"), *given])
    said = capsys.readouterr().out
    assert (status, said.splitlines()[0]) == (0, "verdict: ok"), said


def test_meta_sgd_by_the_verb_as_in_the_readme():
    net = network()
    plan = Plan(algorithm="meta-sgd", unit="client", mode="client-vector", adjacency="zero-out", rounds=3)
    run = federate(plan, sites_of(plan, n=10), small_book(FEATURES), model=net)
    size = sum(p.numel() for p in net.parameters())
    assert run.theta.shape == (2 * size,) and "Emptying any one site" in run.guarantee
    module = run.module()
    assert sum(p.numel() for p in module.parameters()) == size
    flat = np.concatenate([p.detach().numpy().ravel() for p in module.parameters()])
    assert np.array_equal(flat, run.theta[:size])
    shares = run.predict(np.full((2, FEATURES), 5.0))
    assert shares.shape == (2,) and ((shares > 0) & (shares < 1)).all()
    rates = plan.changed(rates="per-tensor")
    assert federate(rates, sites_of(plan, n=10), small_book(FEATURES), model=net).theta.shape == (size + 4,)


def test_regression_predicts_numbers():
    plan = Plan(loss="squared", unit="client", mode="client-vector", adjacency="zero-out", rounds=2)
    run = federate(plan, sites_of(plan, n=10), small_book(FEATURES), model=network())
    rows = np.full((3, FEATURES), 5.0)
    import torch

    with torch.no_grad():
        expected = run.module()(torch.from_numpy(run.codebook.encode(rows)[:, :-1])).numpy()[:, 0]
    np.testing.assert_allclose(run.predict(rows), expected, atol=1e-15)
