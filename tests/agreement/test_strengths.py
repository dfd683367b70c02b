"""A run at each strength, end to end: the sum, the claim at c = A, dropouts up to D and one more."""

import json
import math
from unittest import mock

import numpy as np
import pytest
from small_runs import arrays_plan, small_book, small_records, small_run, tap

from fedmeta_privacy import accountant, gdp
from fedmeta_privacy.ledger import verify
from secure_fedmeta.run import federate

STRENGTHS = ("malicious", "semi-malicious", "semi-honest")


def with_silent(run, pattern):
    with mock.patch("secure_fedmeta.federation.simulation.dropout_pattern", return_value=pattern):
        return run.run_round().closed


@pytest.mark.parametrize("strength", STRENGTHS)
def test_a_run(tmp_path, strength):
    plan = arrays_plan(strength=strength, epsilon=8.0, rounds=3)
    run = federate(plan, small_records(10), small_book(), out=tmp_path / "run")
    assert run.stopped == "" and [len(r.closed.survivors) for r in run.rounds] == [10] * 3
    lines = [entry["body"] for entry in verify((tmp_path / "run" / "ledger.jsonl").read_bytes())]
    assert f" {strength}, complete graph, " in lines[0]["protocol"]
    assert (lines[0]["allow_list"] is None) == (strength == "semi-honest")
    # The claim, from the ledger's numbers and the formula alone.
    honest = 10 - (0 if strength == "semi-honest" else 1)
    assert {line["honest"] for line in lines[1:4]} == {honest}
    delta_2, scale = float(lines[0]["sensitivity"]["steps"]), float(lines[0]["behaviour"]["scale"])
    mu = math.sqrt(3 * delta_2**2 / (honest * scale**2 - 9))
    assert float(lines[4]["epsilon"]["server"]) == pytest.approx(gdp.epsilon_upper(mu, plan.delta), rel=1e-6)
    assert run.spent.server <= 8.0 and run.spent.server <= run.second_opinion * (1 + 1e-3) + 5e-4
    if strength != "semi-honest":
        assert (
            run.spent.server == run.spent.member == run.spent.release
        )  # any A sites may keep their noise to themselves
    assert ("downgrade" in run.guarantee + "".join(run.beside).lower()) == (strength != "malicious")


@pytest.mark.parametrize("strength", STRENGTHS[:2])
@pytest.mark.parametrize("phase", ["advertise", "share", "mask", "vote", "unmask"])
def test_d_dropouts_are_survived_and_one_more_ends_the_round_by_name(strength, phase):
    run, sites = small_run(10, strength=strength, epsilon=30.0, rounds=6, dropout_fraction=0.2)
    seen = tap(sites)
    assert (run.schedule.hiding.graph.corrupt, run.schedule.hiding.graph.dropped) == (1, 2)
    closed = with_silent(run, dict.fromkeys((4, 7), phase))
    late = phase in ("vote", "unmask")  # their uploads are in the sum
    assert closed.aborted is None and len(closed.survivors) == (10 if late else 8)
    assert run.server.last_sum.tolist() == np.sum([seen[i][-1] for i in closed.survivors], axis=0).tolist()
    before = {i: site.client.budget.spent for i, site in sites.items()}
    # A vote or an answer needs its quorum only: 6 votes, 7 answers.
    most = {"vote": 4, "unmask": 4}.get(phase, 3)
    lost = with_silent(run, dict.fromkeys(range(1, most + 1), phase))
    assert lost.survivors == () and "SFM-251 TooFewSurvivors" in lost.aborted
    asked = phase in ("mask", "vote", "unmask")
    for i, site in sites.items():
        cost = site.client.budget.spent - before[i]
        if not asked:
            assert cost == 0
        elif phase == "unmask":
            assert cost <= run.schedule.floor_shift * (1 + 1e-9)  # the proof was shown: the charge may be lowered
        else:
            assert cost == pytest.approx(run.schedule.floor_shift)
        assert site.client.budget.spent <= run.schedule.limit
    assert run.server.accounts.server_shift(1) >= max(s.client.budget.spent for s in sites.values()) * (1 - 1e-12)
    assert with_silent(run, {}).survivors == tuple(range(1, 11))


def test_a_random_graph_claims_its_part_only():
    run, sites = small_run(130, strength="semi-malicious", epsilon=30.0, delta=1e-6, rounds=1, dropout_fraction=0.1)
    hiding = run.schedule.hiding
    assert hiding.graph_name == "random Harary graph"
    closed = run.run_round().closed
    assert closed.aborted is None and len(closed.survivors) == 130
    part = hiding.graph.neighbours - hiding.graph.threshold + 2
    body = json.loads(run.server.ledger_lines().splitlines()[-1])["body"]
    assert body["honest"] == part < 130 - 13
    for site in sites.values():
        assert site.client.budget.spent == pytest.approx(run.schedule.shift(part))
    events = run.server.accounts.events()
    upper = accountant.epsilon(events, run.schedule.plan.delta).upper
    assert upper == pytest.approx(closed.spent.server, rel=1e-6)
    assert closed.spent.server == closed.spent.release == closed.spent.member


def test_a_circulant_graph_claims_all_proved_survivors():
    run, sites = small_run(130, epsilon=30.0, delta=1e-6, rounds=1, dropout_fraction=0.05)
    assert run.schedule.hiding.graph_name == "circulant graph"
    closed = with_silent(run, {5: "mask"})
    assert len(closed.survivors) == 129
    assert sites[1].client.budget.spent == pytest.approx(run.schedule.shift(129 - 13))
    assert sites[5].client.budget.spent == pytest.approx(run.schedule.floor_shift)
