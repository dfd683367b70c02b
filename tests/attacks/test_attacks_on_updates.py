"""The attacks that users can run: they work where nothing protects, and not where something does."""

import hashlib
import json
import math
from dataclasses import replace

import numpy as np
import pytest

from fedmeta_crypto import Keystream
from secure_fedmeta.attacks.figures import (
    BARE,
    MASKED,
    NOISED,
    OWN_NOISE,
    auc,
    auc_limit,
    true_positives_at,
    true_positives_limit,
)
from secure_fedmeta.attacks.inversion import LONE, invert_gradients, row_from_gradient
from secure_fedmeta.attacks.inversion_mlp import find_row, gradient_of, invert_network, network
from secure_fedmeta.attacks.membership import ALL_KNOWING, INSIDER, infer_membership
from secure_fedmeta.attacks.planned import NothingToAudit, audit_plan
from secure_fedmeta.attacks.target import NotAttackable, Target, load_target
from secure_fedmeta.cli import main
from secure_fedmeta.cli.attack import _audit_lines
from secure_fedmeta.errors import FileError
from secure_fedmeta.pilots.hospital import HospitalPilot, plan_with
from secure_fedmeta.schedule import make_schedule


def seeded(number=0):
    return Keystream(hashlib.sha256(number.to_bytes(8, "big")).digest()[:16]).bytes


@pytest.fixture(scope="module")
def hospital():
    return load_target("hospital")


def replanned(target: Target, **changes):
    plan = target.plan.changed(**changes)
    schedule = make_schedule(plan, clients=target.schedule.clients, dimension=target.schedule.dimension)
    return replace(target, plan=plan, schedule=schedule)


def by_line(report):
    return {(figure.observed, figure.attacker): figure for figure in report.figures}


def test_membership_is_read_off_a_lone_update_and_not_off_a_sum(hospital):
    lines = by_line(infer_membership(hospital, entropy=seeded(), draws=4))
    assert lines[BARE, INSIDER].measures["AUC"] > 0.99 and lines[BARE, INSIDER].succeeded
    assert lines[MASKED, INSIDER].measures["AUC"] < 0.65 and not lines[MASKED, INSIDER].succeeded
    assert lines[NOISED, INSIDER].measures["AUC"] < 0.6 and not lines[NOISED, INSIDER].succeeded


def test_masks_alone_do_not_stop_an_attacker_who_knows_everybody_else_and_noise_does(hospital):
    lines = by_line(infer_membership(hospital, entropy=seeded(1), draws=10))
    assert lines[MASKED, ALL_KNOWING].measures["AUC"] > 0.99
    noised = lines[NOISED, ALL_KNOWING]
    slack = 4 * math.sqrt(1 / (6 * noised.trials))  # deviations of an AUC near 1/2
    assert noised.measures["AUC"] <= noised.limits["AUC"] + slack
    assert not noised.succeeded


@pytest.mark.long
def test_the_strongest_attacker_comes_close_to_what_epsilon_allows_and_not_beyond(hospital):
    """Little noise, so that there is something to see; the canary-like score is optimal, so the limit is almost met."""
    loud = replanned(hospital, epsilon=60.0, rounds=1, clip_norm=0.3)
    noised = by_line(infer_membership(loud, entropy=seeded(2), draws=40))[NOISED, ALL_KNOWING]
    assert noised.limits["AUC"] > 0.9
    assert noised.measures["AUC"] <= noised.limits["AUC"] + 4 * math.sqrt(1 / (6 * noised.trials))
    assert noised.measures["AUC"] > 0.6


def test_a_plan_without_noise_has_no_noised_line_and_no_limit(hospital):
    bare = replanned(hospital, epsilon="none")
    report = infer_membership(bare, entropy=seeded())
    assert NOISED not in {figure.observed for figure in report.figures}
    assert all(not figure.limits for figure in report.figures)


def test_an_unmasked_plan_has_no_line_about_masks(hospital):
    unmasked = replanned(hospital, aggregation="none")
    seen = {f.observed for f in infer_membership(unmasked, entropy=seeded(), draws=2).figures}
    seen |= {f.observed for f in invert_gradients(unmasked, entropy=seeded()).figures}
    assert {BARE, OWN_NOISE} <= seen
    assert not seen & {MASKED, NOISED}


def test_a_sites_own_noise_limits_the_local_view(hospital):
    local = by_line(infer_membership(hospital, entropy=seeded(6), draws=8))[OWN_NOISE, INSIDER]
    assert 0.5 < local.measures["AUC"] <= local.limits["AUC"] + 4 * math.sqrt(1 / (6 * local.trials))
    assert not local.succeeded


def test_reproducible_keys_have_no_limit(hospital):
    report = infer_membership(replanned(hospital, insecure_reproducible=True), entropy=seeded(), draws=1)
    assert all(not figure.limits for figure in report.figures)


@pytest.mark.parametrize("algorithm", ["fomaml", "maml"])
def test_a_lone_record_is_read_in_closed_form_and_no_sum_is(hospital, algorithm):
    lines = {
        f.observed: f for f in invert_gradients(replanned(hospital, algorithm=algorithm), entropy=seeded(3)).figures
    }
    (value,) = lines[LONE].measures.values()
    assert value < (1e-3 if algorithm == "fomaml" else 0.1)  # what is left is rounding to encoding steps
    assert lines[LONE].succeeded
    for name in (BARE, MASKED, NOISED):
        assert not lines[name].succeeded
        assert next(iter(lines[name].measures.values())) > 0.5


def test_a_gradient_of_nothing_reads_as_nothing():
    assert not row_from_gradient(np.zeros(4), 0.4).any()
    assert not row_from_gradient(np.array([1.0, math.nan, 1.0]), 0.4).any()


def test_optimisation_finds_the_lone_record_and_not_one_of_a_sum(hospital):
    lines = {f.observed: f for f in invert_network(hospital, entropy=seeded(4)).figures}
    lone, masked, noised = lines.values()
    assert next(iter(lone.measures.values())) < 0.05 and lone.succeeded
    assert next(iter(masked.measures.values())) > 0.5 and not masked.succeeded
    assert next(iter(noised.measures.values())) > 0.5 and not noised.succeeded


def test_the_label_is_read_off_the_last_bias():
    import torch

    model = network(6, seed=1)
    rng = np.random.default_rng(0)
    for label in (0.0, 1.0):
        row = torch.tensor(rng.normal(size=(1, 6)) * 0.3)
        gradient = gradient_of(model, row, torch.tensor([label], dtype=torch.float64))
        assert (float(gradient[-1]) < 0) == bool(label)
        found, left = find_row(model, gradient, inputs=6, seed=2)
        assert left < 1e-6
        assert np.abs(found - row.numpy()[0]).max() < 1e-2


def test_attacking_does_not_disturb_torch():
    import torch

    before = torch.get_rng_state()
    network(6, seed=3)
    assert torch.equal(before, torch.get_rng_state())


def test_scores():
    rng = np.random.default_rng(0)
    mu = 1.3
    members, others = rng.normal(mu, 1, 40_000), rng.normal(0, 1, 40_000)
    assert auc(members, others) == pytest.approx(auc_limit(mu), abs=0.01)
    assert true_positives_at(members, others, 0.01) == pytest.approx(true_positives_limit(mu, 0.01), abs=0.01)
    assert auc(np.ones(3), np.ones(5)) == 0.5
    assert true_positives_at(np.ones(3), np.ones(5), 0.01) == 0.0


def test_only_pilots_can_be_attacked(tmp_path):
    with pytest.raises(FileError):
        load_target(str(tmp_path / "nowhere"))
    (tmp_path / "config.toml").write_text('pilot = "arrays"\n')
    with pytest.raises(NotAttackable) as refused:
        load_target(str(tmp_path))
    assert refused.value.code == "SFM-128"


def test_a_plan_without_a_claim_cannot_be_audited(hospital):
    for changes in ({"epsilon": "none"}, {"insecure_reproducible": True}, {"aggregation": "none"}):
        with pytest.raises(NothingToAudit) as refused:
            audit_plan(hospital.plan.changed(**changes))
        assert refused.value.code == "SFM-129"


def test_the_verb_says_what_was_attacked_what_was_known_and_what_it_does_not_mean(capsys):
    assert main(["attack", "hospital", "--kind", "membership"]) == 0
    shown = capsys.readouterr().out
    for part in (BARE, MASKED, NOISED, INSIDER, ALL_KNOWING, "SUCCEEDS", "fails", "epsilon allows at most", "Mind:"):
        assert part in shown


def test_the_verb_on_a_finished_run_as_json(tmp_path, capsys):
    out = str(tmp_path / "run")
    HospitalPilot(plan_with({"rounds": 1})).execute(out=tmp_path / "run")
    assert main(["attack", out, "--kind", "inversion", "--format", "json"]) == 0
    body = json.loads(capsys.readouterr().out)
    assert [attack["kind"] for attack in body["attacks"]] == ["inversion", "inversion of a network"]
    assert "run, a round at its last model" in body["attacks"][0]["target"]
    assert body["attacks"][0]["figures"][0]["succeeded"] is True
    (tmp_path / "run" / "model.safetensors").write_bytes(b"nothing")
    assert main(["attack", out]) == 1
    assert "SFM-103" in capsys.readouterr().err


@pytest.mark.long
def test_the_verb_audits_a_plan_with_all_three_labels(capsys):
    assert main(["attack", "hospital", "--kind", "canary", "--format", "json"]) == 0
    audit = json.loads(capsys.readouterr().out)["audit"]
    assert not audit["refuted"] and audit["found"] == []
    assert {bound["kind"] for bound in audit["bounds"]} == {"mechanism test", "one-run bound", "multi-run bound"}
    assert audit["bounds"][0]["epsilon"] > 0.8 * audit["claim"]
    shown = "\n".join(_audit_lines(audit_plan(load_target("hospital").plan, trials=500, rounds=2)))
    assert "(a) test of this mechanism" in shown and "(b) lower bound" in shown and "(c) lower bound" in shown
