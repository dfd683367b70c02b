# SPDX-License-Identifier: Apache-2.0
"""Whatever `choose_encoding` accepts cannot wrap around, and costs what it says."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from noise_words import words

from fedmeta_privacy.claims import Adjacency, Unit
from fedmeta_privacy.encoding import IntegerEncoding, choose_encoding
from fedmeta_privacy.errors import EncodingOverflow, PlanError
from fedmeta_privacy.noise import DiscreteGaussian
from fedmeta_privacy.rounding import ConditionalRounding, rounded_norm_bound

settings = {
    "sensitivity": st.floats(1e-3, 1e3),
    "dimension": st.integers(1, 10**6),
    "parties": st.integers(1, 1000),
    "spread": st.floats(0.01, 1000),
    "multiplier": st.none() | st.floats(1e-3, 30),
    "bits": st.sampled_from([8, 12, 16, 20, 24, 32]),
    "client": st.booleans(),
}


def chosen(sensitivity, dimension, parties, spread, multiplier, bits, client, **more):
    return choose_encoding(
        sensitivity=sensitivity,
        dimension=dimension,
        parties=parties,
        largest_coordinate=spread * sensitivity,
        noise_scale=None if multiplier is None else lambda steps: multiplier * steps,
        modulus_bits=bits,
        unit=Unit.CLIENT if client else Unit.RECORD,
        adjacency=Adjacency.ZERO_OUT if client else Adjacency.SLOT,
        **more,
    )


@given(**settings)
def test_an_accepted_plan_cannot_wrap_and_its_cost_is_real(**drawn):
    try:
        plan = chosen(**drawn)
    except EncodingOverflow as refusal:
        assert str(2 ** (drawn["bits"] - 1)) in refusal.what and "%" in refusal.what
        return
    step, half = plan.encoding.step, 2 ** (drawn["bits"] - 1)
    # The extreme that can happen, by hand: all parties at the largest coordinate, all noise at its reach.
    coordinate = math.floor(drawn["spread"] * drawn["sensitivity"] / step) + 1
    reach = 0
    if drawn["multiplier"] is not None:
        assert 3.2 <= plan.noise_scale <= 2**24
        assert plan.noise_scale == drawn["multiplier"] * plan.l2_sensitivity
        reach = math.ceil(13.3 * plan.noise_scale)
    assert drawn["parties"] * (coordinate + reach) == plan.largest_sum < half
    for sign in (1, -1):
        total = np.array([sign * plan.largest_sum])
        one = IntegerEncoding(step, 1, drawn["bits"])
        assert (one.from_ring(one.to_ring(total)) == total).all()
    # The cost, from the definition of either rounding.
    if drawn["client"]:
        real = rounded_norm_bound(drawn["sensitivity"] / step, drawn["dimension"])
    else:
        real = drawn["sensitivity"] / step + math.sqrt(drawn["dimension"])
    assert plan.conditional is drawn["client"]
    assert plan.l2_sensitivity == pytest.approx(real, rel=1e-12) and plan.l2_sensitivity >= real
    assert plan.cost == pytest.approx(real * step / drawn["sensitivity"] - 1, rel=1e-6, abs=1e-12)
    assert plan.cost <= (0.001 if drawn["bits"] == 32 else 0.1) + 1e-12


@given(**settings)
def test_a_refusal_is_not_idle(**drawn):
    """No power of two within the limit would have fitted."""
    try:
        chosen(**drawn)
    except EncodingOverflow:
        pass
    else:
        return
    limit, half = 0.001 if drawn["bits"] == 32 else 0.1, 2 ** (drawn["bits"] - 1)
    for exponent in range(-60, 20):
        step = 2.0**exponent
        root = math.sqrt(drawn["dimension"])
        steps = drawn["sensitivity"] / step + root
        if drawn["client"]:
            steps = rounded_norm_bound(drawn["sensitivity"] / step, drawn["dimension"])
        if steps * step / drawn["sensitivity"] - 1 > limit * (1 - 1e-9):
            continue
        scale = (drawn["multiplier"] or 0) * steps
        each = math.floor(drawn["spread"] * drawn["sensitivity"] / step) + 1 + math.ceil(13.3 * scale)
        noise_ok = drawn["multiplier"] is None or 3.2 <= scale <= 2**24
        steps_ok = not drawn["client"] or steps <= 2**29
        assert drawn["parties"] * each >= half or not noise_ok or not steps_ok


def test_sixteen_bits_cost_and_refuse():
    easy = chosen(1.0, 100, 5, 1.0, 0.5, 16, False)
    assert 0.001 < easy.cost < 0.1
    with pytest.raises(EncodingOverflow, match=r"SFM-305.*2\^16.*limit is 10.00%"):
        chosen(1.0, 100_000, 100, 1.0, 0.5, 16, False)
    accepted = chosen(1.0, 100_000, 10, 1.0, 0.05, 16, True)  # the client's smaller bound lets it through
    with pytest.raises(EncodingOverflow):
        chosen(1.0, 100_000, 10, 1.0, 0.05, 16, False)
    assert accepted.conditional and accepted.cost <= 0.1


def test_a_larger_cost_must_be_asked_for():
    with pytest.raises(EncodingOverflow):
        chosen(1.0, 10**6, 100, 50.0, 3.0, 32, False)
    assert chosen(1.0, 10**6, 100, 50.0, 3.0, 32, False, cost_limit=0.01).cost <= 0.01


def test_little_noise_takes_finer_steps_rather_than_an_unproved_sampler():
    plan = chosen(1.0, 4, 2, 1.0, 1e-3, 32, False)
    assert 3.2 <= plan.noise_scale < 6.4
    DiscreteGaussian(plan.noise_scale)


def test_a_whole_plan_end_to_end():
    # 16 bits, clients, conditional rounding, real noise, real ring: decoded sum within noise of the true one.
    plan = chosen(1.0, 256, 6, 1.0, 0.4, 16, True)
    rounding = ConditionalRounding(plan.encoding.step, 256, 1.0, Unit.CLIENT, Adjacency.ZERO_OUT)
    assert rounding.l2_sensitivity <= plan.l2_sensitivity
    noise, vectors = DiscreteGaussian(plan.noise_scale), np.random.default_rng(0).normal(size=(6, 256)) / 20
    vectors /= np.maximum(1, np.linalg.norm(vectors, axis=1, keepdims=True))
    total = np.zeros(256, np.uint32)
    for seed, vector in enumerate(vectors):
        steps = rounding.round(vector, words(seed)) + noise.sample(256, words(100 + seed))
        total = (total + plan.encoding.to_ring(steps)) & np.uint32(0xFFFF)
    error = plan.encoding.decode(plan.encoding.from_ring(total)) - vectors.sum(axis=0)
    assert np.abs(error).max() < 6 * math.sqrt(6) * (plan.noise_scale + 1) * plan.encoding.step


@pytest.mark.parametrize("change", [{"sensitivity": 0.0}, {"sensitivity": math.nan}, {"parties": 0}, {"dimension": 0}])
def test_refused_numbers(change):
    plan = {"sensitivity": 1.0, "dimension": 3, "parties": 2, "spread": 1.0, "multiplier": 1.0, "bits": 32}
    with pytest.raises(PlanError):
        chosen(**(plan | {"client": False} | change))
