# SPDX-License-Identifier: Apache-2.0
"""A plan's clipping and rounding in numbers: norms, sensitivities, costs, what is refused and why."""

import math
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from mode_runs import MODES, mode_schedule
from small_runs import small_plan

from fedmeta_privacy.clipping import AdaptiveClip, FlatClip, PerLayerClip
from fedmeta_privacy.errors import EncodingOverflow, PlanError, UnsupportedClaim
from secure_fedmeta.clip_plan import clip_words, clipping_of, reachable, within_reach
from secure_fedmeta.errors import SettingError
from secure_fedmeta.federation.statements import terms
from secure_fedmeta.files import write_config
from secure_fedmeta.guarantee import rounding_line
from secure_fedmeta.parameters import bind
from secure_fedmeta.plan import Plan
from secure_fedmeta.schedule import make_schedule

ADAPTIVE = {"clipping": "adaptive"}
PER_LAYER = {"clipping": "per-layer"}


def test_flat_is_what_it_was():
    schedule = mode_schedule("person")
    assert schedule.clipping == FlatClip(0.3) and schedule.length == schedule.dimension
    added = {"clipping", "layer_weights", "layers", "rounding", "clip_quantile", "clip_lr", "count_weight", "clip_min"}
    assert not added & schedule.behaviour().keys()
    assert terms(schedule)["clip"] == {"how": "flat", "norm": "0.3"}


def test_an_even_split_over_the_named_parameters():
    schedule = mode_schedule("person", **PER_LAYER)
    rule = schedule.clipping
    assert rule.lengths == (12, 4, 4, 1) and set(rule.clip_norms) == {0.15}
    assert rule.row_bound == pytest.approx(0.3, rel=1e-15)
    assert schedule.sensitivity.worst == pytest.approx(mode_schedule("person").sensitivity.worst, rel=1e-15)
    assert schedule.behaviour()["layers"] == [12, 4, 4, 1]


def test_stated_weights_share_one_norm():
    weights = (3.0, 1.0, 2.0, 0.5)
    rule = mode_schedule("person", layer_weights=weights, **PER_LAYER).clipping
    assert rule.row_bound == pytest.approx(0.3, rel=1e-15)
    assert np.array(rule.clip_norms) / rule.clip_norms[0] * 3.0 == pytest.approx(weights)


@pytest.mark.parametrize("weight", [0.1, 0.5, 2.0])
@pytest.mark.parametrize("name", ["person", "person-replace", "site", "site-replace"])
def test_adaptive_noise_is_joint_and_knows_no_norm(name, weight):
    """Sum and count have one noise, at sqrt(1 + w^2/4) of the row's bound, twice that for a replacement."""
    small, large = (mode_schedule(name, clip_norm=c, count_weight=weight, **ADAPTIVE) for c in (0.01, 100.0))
    assert small.noise == large.noise and small.length == small.dimension + 1
    assert small.release.dimension == small.length
    factor = 2 if small.plan.adjacency == "replace-one" else 1
    assert small.sensitivity.worst == pytest.approx(factor * math.hypot(1, weight / 2), rel=2e-6)
    assert small.sensitivity.worst > factor * math.hypot(1, weight / 2)
    flat = mode_schedule(name, clip_norm=1.0)
    ratio = small.scale * small.encoding.step / (flat.scale * flat.encoding.step)
    assert ratio == pytest.approx(math.hypot(1, weight / 2), rel=2e-3)


@pytest.mark.parametrize("name", [n for n in MODES if n.startswith(("glm", "noisy"))])
def test_adaptive_for_records_is_refused_with_the_reason(name):
    with pytest.raises(UnsupportedClaim, match="support record moves all query rows and could flip"):
        mode_schedule(name, **ADAPTIVE)


@pytest.mark.parametrize("name", [n for n in MODES if n.startswith("glm")])
def test_per_layer_of_a_closed_form_is_refused(name):
    with pytest.raises(PlanError, match="one layer"):
        mode_schedule(name, **PER_LAYER)


@pytest.mark.parametrize(
    ("settings", "layers", "why"),
    [
        (PER_LAYER, (), "without layers"),
        (PER_LAYER | {"layer_weights": (1.0,)}, (3, 2), "1 layer_weights for 2"),
        (PER_LAYER | {"layer_weights": (1e6, 1e-6)}, (3, 2), "clipped to 3e-13"),
        (ADAPTIVE | {"clip_min": 0.4}, (), "outside"),
        (ADAPTIVE | {"clip_max": 0.2}, (), "outside"),
    ],
)
def test_rules_that_cannot_be(settings, layers, why):
    with pytest.raises(PlanError, match=why):
        clipping_of(small_plan(**settings), layers)


def test_layers_of_another_network_are_refused():
    plan = small_plan(**MODES["person"], **PER_LAYER)
    with pytest.raises(PlanError, match="layers of 5 parameters in a network of 6"):
        make_schedule(plan, clients=4, dimension=6, network=bytes(32), layers=(3, 2))


@pytest.mark.parametrize(
    "settings",
    [
        {"clipping": "per-record"},
        {"clip_quantile": 1.0},
        {"clip_lr": 0.0},
        {"count_weight": 0.0},
        {"layer_weights": [0.0]},
        {"layer_weights": [math.nan]},
        {"layer_weights": ["1"]},
        {"rounding": "up"},
    ],
)
def test_settings_out_of_range(settings):
    with pytest.raises(SettingError, match=f"SFM-101.*{next(iter(settings))}"):
        Plan.make(settings)


def test_settings_by_way_of_a_file(tmp_path: Path):
    plan = small_plan(**MODES["person"], layer_weights=(1.0, 2.5), **PER_LAYER)
    write_config(tmp_path / "config.toml", "mine", plan)
    assert Plan.from_toml(tmp_path / "config.toml") == ("mine", plan)


def test_where_a_norm_can_have_come_to():
    rule = AdaptiveClip(clip_norm=1.0, count_weight=0.5, target_quantile=0.25, learning_rate=0.4, largest=1.5)
    assert within_reach(rule, 1.0, 0) and not within_reach(rule, 1.001, 0)
    top, bottom = rule.after(-1e9, slots=1).clip_norm, rule.after(1e9, slots=1).clip_norm
    assert within_reach(rule, top, 1) and within_reach(rule, bottom, 1)
    assert reachable(rule, 1) == (pytest.approx(bottom), pytest.approx(top))
    assert not within_reach(rule, 1.01 * top, 1) and not within_reach(rule, 0.99 * bottom, 1)
    assert not within_reach(rule, math.nextafter(1.5, 2), 100_000) and within_reach(rule, 1.5, 100_000)
    assert not within_reach(rule, math.nan, 5)
    walked, rng = rule, np.random.default_rng(0)
    for sums in range(1, 2000):
        walked = walked.after(float(rng.normal()), slots=2)
        assert within_reach(rule, walked.clip_norm, sums)


def test_rules_in_words():
    assert clip_words(PerLayerClip((2, 1), (3.0, 4.0))) == "per layer, 2 of them, to norm 5 together"
    assert "0.5 quantile" in clip_words(AdaptiveClip(clip_norm=1.0, count_weight=0.5))


# -- what rounding costs -----------------------------------------------------------------------------


@pytest.mark.parametrize(("bits", "line"), [(32, ""), (20, ""), (16, r"fits 16 bits, .* by 0\.5[0-9] %")])
def test_a_cost_above_a_thousandth_is_said(bits, line):
    schedule = mode_schedule("glm-logistic", modulus_bits=bits)
    said = rounding_line(schedule)
    assert (said == "") == (line == "")
    assert pytest.approx(schedule.rounding_cost) == (
        schedule.release.l2_sensitivity * schedule.encoding.step / schedule.sensitivity.worst - 1
    )
    assert re.search(line, said)
    stated = terms(schedule)["mechanism"]["rounding"]
    assert stated["how"] == "nearest" and float(stated["cost"]) == schedule.rounding_cost


def test_fewer_bits_cost_more_up_to_a_tenth_and_are_refused_then():
    costs = [mode_schedule("glm-logistic", modulus_bits=bits).rounding_cost for bits in range(12, 19)]
    assert costs == sorted(costs, reverse=True) and 0.05 < costs[0] <= 0.1
    with pytest.raises(
        EncodingOverflow, match=r"ring 2\^11; rounding to steps of 0\.015625 costs 8\.95% .*limit is 10%"
    ):
        mode_schedule("glm-logistic", modulus_bits=11)


@pytest.mark.parametrize("bits", [14, 16, 18, 32])
@pytest.mark.parametrize("noise", ["over-provision", "surplus"])
def test_conditional_rounding_is_cheaper_for_a_whole_site(bits, noise):
    nearest, conditional = (
        mode_schedule("site", modulus_bits=bits, dropout_noise=noise, rounding=how)
        for how in ("nearest", "conditional")
    )
    assert conditional.rounding_cost <= min(nearest.rounding_cost, 0.001 if bits == 32 else 0.1)
    if bits < 20:
        assert conditional.scale * conditional.encoding.step < nearest.scale * nearest.encoding.step
    assert terms(conditional)["mechanism"]["rounding"]["how"] == "conditional"


@pytest.mark.parametrize("name", [n for n in MODES if n != "site"])
def test_conditional_rounding_of_anything_else_is_refused(name):
    with pytest.raises(UnsupportedClaim, match="conditional rounding bounds the norm of one rounded vector"):
        mode_schedule(name, rounding="conditional")


def test_conditional_rounding_without_noise_is_refused():
    with pytest.raises(PlanError, match="saves nothing"):
        mode_schedule("site", rounding="conditional", epsilon=None)


def test_a_network_of_scalars_is_clipped_per_layer_too():
    class Scaled(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.factor = torch.nn.Parameter(torch.tensor(1.0))
            self.linear = torch.nn.Linear(3, 1)

        def forward(self, rows):
            return self.factor * self.linear(rows)

    bound = bind(Scaled())
    plan = small_plan(**MODES["person"], **PER_LAYER)
    schedule = make_schedule(plan, clients=4, dimension=bound.dimension, architecture=bound)
    assert sorted(schedule.clipping.lengths) == [1, 1, 3]
