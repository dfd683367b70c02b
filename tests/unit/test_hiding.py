"""k, t, A, D, c, n_min and h of a plan at every strength, against formulas written down here once more."""

import math

import pytest

from fedmeta_crypto import RoundParameters, Strength
from fedmeta_privacy import gdp
from fedmeta_privacy.errors import PlanError
from secure_fedmeta.guarantee import downgrade_line, guarantee_sentence, protocol_line
from secure_fedmeta.hiding import STRENGTHS, hiding_for
from secure_fedmeta.plan import Plan
from secure_fedmeta.schedule import make_schedule

SIGNED = ("malicious", "semi-malicious")


def schedule_of(n, **settings):
    return make_schedule(Plan.make({"delta": 1e-6, "rounds": 10} | settings), clients=n, dimension=7)


def test_the_default_is_the_strongest():
    assert Plan().strength == "malicious" and Plan().colluders is None and Plan().dropout_fraction is None
    assert set(STRENGTHS.values()) == set(Strength)


@pytest.mark.parametrize("strength", SIGNED)
@pytest.mark.parametrize("n", [3, 5, 9, 10, 11, 29, 100, 128])
def test_numbers_on_the_complete_graph(strength, n):
    hiding = hiding_for(Plan(strength=strength), n)
    a = d = n // 10
    assert (hiding.graph.neighbours, hiding.graph.corrupt, hiding.graph.dropped) == (n - 1, a, d)
    t = hiding.graph.threshold
    assert 2 * t > n - 1 + a >= 2 * (t - 1)
    assert hiding.colluders == a and hiding.min_survivors == n - d and hiding.floor_honest == n - d - a
    assert hiding.quorum == (n + a) // 2 + 1 and hiding.graph_name == "complete graph"
    assert [hiding.honest(s) for s in range(n - d, n + 1)] == [s - a for s in range(n - d, n + 1)]


def test_the_circulant_graph_needs_no_luck():
    hiding = hiding_for(Plan(), 200)
    assert hiding.graph.neighbours > 40 and 2 * hiding.graph.threshold > hiding.graph.neighbours + 20
    assert hiding.graph_name == "circulant graph" and hiding.floor_honest == 160 and hiding.honest(200) == 180


@pytest.mark.parametrize("n", [130, 200, 500])
def test_on_a_random_graph_nothing_above_k_minus_t_plus_two_is_claimed(n):
    schedule = schedule_of(n, strength="semi-malicious", delta=1e-8)
    hiding, (k, t) = schedule.hiding, (schedule.hiding.graph.neighbours, schedule.hiding.graph.threshold)
    assert hiding.graph_name == "random Harary graph" and k < n - 1 and 2 * t > k
    a = d = n // 10
    assert hiding.floor_honest == min(n - d - a, k - t + 2) == k - t + 2
    assert {hiding.honest(s) for s in range(n - d, n + 1)} == {k - t + 2}
    assert schedule.planned_shift == schedule.floor_shift == schedule.shift(k - t + 2)


@pytest.mark.parametrize(("n", "settings"), [(3, {}), (10, {}), (10, {"colluders": 2}), (10, {"threshold": 8})])
def test_semi_honest_is_as_it_was(n, settings):
    hiding = hiding_for(Plan(strength="semi-honest", **settings), n)
    t, c = settings.get("threshold", n // 2 + 1), settings.get("colluders", 0)
    assert (hiding.graph.threshold, hiding.colluders, hiding.floor_honest) == (t, c, t - c)
    assert hiding.min_survivors == t + 1 and hiding.honest(n) == n - c and hiding.quorum == 0


@pytest.mark.parametrize(
    ("settings", "a", "d"),
    [
        ({"colluders": 0}, 1, 1),
        ({"colluders": 2}, 2, 1),
        ({"corrupt_fraction": 0.3}, 3, 1),
        ({"corrupt_fraction": 0.0}, 0, 1),
        ({"corrupt_fraction": 0.3, "colluders": 2}, 3, 1),
        ({"dropout": 0.25}, 1, 2),
        ({"dropout": 0.25, "dropout_fraction": 0.1}, 1, 1),
        ({"dropout_fraction": 0.0}, 1, 0),
        ({"dropout_fraction": 0.3}, 1, 3),
    ],
)
@pytest.mark.parametrize("strength", SIGNED)
def test_a_and_d_follow_the_plan(strength, settings, a, d):
    hiding = hiding_for(Plan(strength=strength, **settings), 10)
    assert (hiding.graph.corrupt, hiding.colluders, hiding.graph.dropped) == (a, a, d)


@pytest.mark.parametrize("n", [3, 10, 40, 128, 130, 200])
@pytest.mark.parametrize("strength", list(STRENGTHS))
def test_the_room_announces_and_promises_the_same(strength, n):
    hiding = hiding_for(Plan(strength=strength), n)
    graph = hiding.graph
    parameters = RoundParameters(
        round=1,
        cohort=tuple(range(1, n + 1)),
        threshold=graph.threshold,
        min_survivors=hiding.min_survivors,
        modulus_bits=32,
        length=1,
        behaviour_hash=bytes(32),
        server_nonce=bytes(32),
        body=b"",
        strength=hiding.strength,
        neighbours=graph.neighbours,
        corrupt=graph.corrupt,
        identities=bytes(32) if hiding.signed else b"",
    )
    assert parameters.numbers == graph
    if hiding.signed:
        assert parameters.fewest_votes == hiding.quorum
        for survivors in range(hiding.min_survivors, n + 1):
            for votes in range(parameters.fewest_votes, survivors + 1):
                assert parameters.honest_among(survivors, votes) == hiding.honest(survivors, votes)
            assert parameters.honest_among(survivors, survivors) == hiding.honest(survivors)


@pytest.mark.parametrize("settings", [{}, {"colluders": 3}, {"dropout_fraction": 0.2}, {"epsilon": 0.7}])
@pytest.mark.parametrize("strength", SIGNED)
def test_floor_and_claim_are_at_c_equal_to_a(strength, settings):
    """(Delta_2 / sqrt(S - 9))-GDP with S = h s^2 over the honest noises alone, recomputed from the formula."""
    schedule = schedule_of(10, strength=strength, **settings)
    plan, release = schedule.plan, schedule.release
    a, d = max(plan.colluders or 0, 1), max(1, math.floor(10 * plan.dropout_assumed + 1e-9))
    for survivors, shift in ((10, schedule.planned_shift), (10 - d, schedule.floor_shift)):
        honest = survivors - a
        assert shift == pytest.approx(release.l2_sensitivity**2 / (honest * schedule.scale**2 - 9), rel=1e-12)
    assert schedule.floor_shift > schedule.shift(10 - d)  # every site counted would promise too much
    total = (plan.rounds - 1) * schedule.planned_shift + schedule.floor_shift
    assert total <= schedule.limit and gdp.epsilon_upper(math.sqrt(schedule.limit), plan.delta) <= plan.epsilon


def test_for_the_same_noise_epsilon_is_never_lower_than_without_signatures():
    signed, before = schedule_of(10), schedule_of(10, strength="semi-honest")
    for survivors in (9, 10):
        same = signed.release.shift(before.scale, signed.honest(survivors))
        assert same >= before.shift(before.honest(survivors))
    assert signed.scale > before.scale


@pytest.mark.parametrize("aggregation_only", [{}, {"threshold": 7}, {"corrupt_fraction": 0.9}])
def test_without_masks_strength_is_ignored(aggregation_only):
    hidings = {hiding_for(Plan(aggregation="none", strength=s, **aggregation_only), 10) for s in STRENGTHS}
    assert len(hidings) == 1 and hidings.pop().name == "none"


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"threshold": 6}, "semi-honest"),
        ({"threshold": 6, "strength": "semi-malicious"}, "downgrade"),
        ({"corrupt_fraction": 0.8, "dropout_fraction": 0.1}, "t = 9"),
        ({"dropout_fraction": 0.5}, "a survivor has 4 others"),
        ({"corrupt_fraction": 0.6, "dropout_fraction": 0.4}, "nobody honest"),
        ({"colluders": 10}, "10 colluders among 10"),
    ],
)
def test_what_cannot_be_withstood_is_refused_with_the_reason(settings, why):
    with pytest.raises(PlanError, match=r"^SFM-301: ") as caught:
        hiding_for(Plan.make(settings), 10)
    assert why in str(caught.value) and "Remedy: " in str(caught.value)


def test_the_downgrade_is_said():
    for strength in STRENGTHS:
        schedule = schedule_of(10, strength=strength)
        assert bool(downgrade_line(schedule)) == (strength != "malicious")
        assert f" {strength}, " in protocol_line(schedule)
    from secure_fedmeta.federation.accounts import Spent

    spent = Spent(1.0, 1.0, 2.0, 0.5)
    said = {s: guarantee_sentence(schedule_of(10, strength=s), spent) for s in STRENGTHS}
    assert "downgrade" not in said["malicious"] and "A = 1 of 10 sites corrupt" in said["malicious"]
    assert "strength semi-honest, a downgrade" in said["semi-honest"]
    large = schedule_of(200, strength="semi-malicious", delta=1e-8)
    assert "strength semi-malicious, a downgrade" in guarantee_sentence(large, spent)
    assert "a sum over at least 21 sites, 21 of them honest," in guarantee_sentence(large, spent)
    assert "left to chance" in said["semi-malicious"] + downgrade_line(schedule_of(10, strength="semi-malicious"))
