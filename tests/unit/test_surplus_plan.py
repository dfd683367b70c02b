# SPDX-License-Identifier: Apache-2.0
"""Plans with removable noise: what they promise, what they refuse, and what a site demands of an announcement."""

import math
import re
from unittest import mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_runs import Courier, announced, announcement, kind_of, local_site, small_plan, small_run, tasks_for

from fedmeta_crypto.errors import PlanRefused
from fedmeta_crypto.wire import MessageType
from fedmeta_privacy.errors import EncodingOverflow, PrivacyError, SurplusRefused
from secure_fedmeta.federation.dropouts import PHASES
from secure_fedmeta.guarantee import guarantee_sentence, protocol_line, worst_case_lines
from secure_fedmeta.noise_plan import Counted
from secure_fedmeta.schedule import make_schedule

IDS = tuple(range(1, 11))


def schedule(clients=10, dimension=5, **changes):
    return make_schedule(small_plan(**{"dropout_noise": "surplus"} | changes), clients=clients, dimension=dimension)


@pytest.mark.parametrize("strength", ["malicious", "semi-malicious", "semi-honest"])
def test_floor_plan_and_outcome_cost_the_same(strength):
    made = schedule(strength=strength, colluders=1)
    dropped = made.hiding.graph.dropped
    assert made.surplus_parts == dropped == 3 and made.surplus.corrupt == 1
    prices = {made.shift(*made.counted(10 - d)) for d in range(dropped + 1)}
    assert prices == {made.floor_shift} == {made.planned_shift}
    assert made.plan.rounds * made.floor_shift <= made.limit < (made.plan.rounds + 1e-3) * made.floor_shift
    assert 2.999 < made.epsilon(made.plan.rounds * made.floor_shift) <= 3.0


def test_the_total_variation_counts_every_draw():
    """n (D + 1) draws a round enter the delta that is set aside."""
    made, other = schedule(), schedule(dropout_noise="over-provision")
    assert made.release.parties == 10 * 4 and other.release.parties == 10
    assert made.release.variation(4) == pytest.approx(4 * other.release.variation(4), rel=1e-12)


def test_the_room_of_the_ring_counts_every_part():
    """Bits that hold over-provisioned noise of the base's scale, and do not hold the parts beside it."""
    enough = next(bits for bits in range(8, 33) if _fits(modulus_bits=bits))
    made = schedule(modulus_bits=enough)
    assert made.surplus.reach == sum(math.ceil(13.3 * scale) for scale in made.surplus.scales)
    assert made.surplus.reach > math.ceil(13.3 * made.scale)
    whole = 10 * (math.floor(8 * made.sensitivity.query / made.encoding.step) + 1 + made.surplus.reach)
    assert 2 ** (enough - 2) <= whole < 2 ** (enough - 1)


def _fits(**changes):
    try:
        schedule(**changes)
    except EncodingOverflow:
        return False
    return True


REFUSED = {
    "no masks": ({"aggregation": "none"}, 10, "masks none"),
    "a ring": ({"dropout_fraction": 0.1, "delta": 1e-4}, 200, "circulant graph"),
    "a drawn ring": (
        {"dropout_fraction": 0.1, "delta": 1e-4, "strength": "semi-malicious"},
        200,
        "random Harary graph",
    ),
    "parts too small": (
        {"dropout_fraction": 0.1, "rounds": 1, "epsilon": 40.0, "delta": 1e-4, "dimension": 1},
        120,
        "below 3.2",
    ),
    "too much noise": ({"epsilon": 1e-8, "delta": 1e-7, "rounds": 100_000}, 10, "beyond"),
}


@pytest.mark.parametrize(("changes", "clients", "why"), REFUSED.values(), ids=REFUSED)
def test_refused_with_the_reason(changes, clients, why):
    with pytest.raises(SurplusRefused, match=why) as caught:
        schedule(clients, **changes)
    assert "SFM-320" in str(caught.value) and caught.value.remedy


def test_without_dropouts_to_fear_there_are_no_parts():
    made = schedule(dropout_fraction=0.0)
    assert made.surplus_parts == 0 and len(made.surplus.scales) == 1
    run, _ = small_run(5, dropout_noise="surplus", dropout_fraction=0.0, rounds=2)
    assert [len(report.closed.survivors) for report in run.rounds()] == [5, 5]


def test_without_noise_there_is_nothing_to_remove():
    made = schedule(epsilon="none")
    assert made.surplus is None and made.surplus_parts == 0 and math.isinf(made.floor_shift)
    assert schedule(epsilon="none", aggregation="none").surplus is None


def test_the_behaviour_binds_every_scale():
    body = schedule().behaviour()
    assert body["dropout_noise"] == "surplus" and len(body["surplus"]["scales"]) == 4
    assert all(isinstance(text, str) and float(text) > 3.2 for text in body["surplus"]["scales"])
    assert "surplus" not in schedule(dropout_noise="over-provision").behaviour()
    assert schedule().behaviour_digest != schedule(dropout_noise="over-provision").behaviour_digest


@pytest.mark.parametrize(("strength", "words"), [("malicious", "proof of"), ("semi-honest", "the server's word on")])
def test_the_sentences_say_so(strength, words):
    run, _ = small_run(ids=IDS, dropout_noise="surplus", strength=strength, colluders=1, rounds=2)
    for _ in run.rounds():
        pass
    said = guarantee_sentence(run.schedule, run.server.accounts.spent())
    assert "costs the same whether none or 3 of the sites drop out" in said and words in said
    assert protocol_line(run.schedule).endswith("surplus=3")
    other, _ = small_run(ids=IDS, strength=strength, colluders=1, rounds=2)
    assert "costs the same" not in guarantee_sentence(other.schedule, other.server.accounts.spent())
    assert "surplus" not in protocol_line(other.schedule)
    (*_, last) = worst_case_lines(run.schedule, run.server.accounts)
    assert re.search(r"2 rounds would cost epsilon 3\.000; .* after 2 rounds", last)


@pytest.mark.parametrize("stated", [0, 1, 2])
def test_a_site_refuses_another_number_of_parts(stated):
    made = make_schedule(small_plan(dropout_noise="surplus"), clients=10, dimension=5)
    site = local_site(3, tasks_for(IDS)[3], made, IDS)
    with pytest.raises(PlanRefused, match=f"{stated} surplus secrets, 3 wanted"):
        site.receive(announcement(made, IDS, surplus=stated))
    plain = make_schedule(small_plan(), clients=10, dimension=5)
    other = local_site(3, tasks_for(IDS)[3], plain, IDS)
    with pytest.raises(PlanRefused, match="3 surplus secrets, 0 wanted"):
        other.receive(announcement(plain, IDS, surplus=3))


PATTERN = st.dictionaries(st.sampled_from(IDS), st.sampled_from([*PHASES, "vote"]), max_size=5)


@given(st.lists(PATTERN, min_size=1, max_size=4), st.sampled_from(["malicious", "semi-honest"]), st.integers(0, 2))
@settings(max_examples=12, deadline=None)
def test_no_pattern_of_dropouts_costs_more_than_the_plan(patterns, strength, colluders):
    """30 % of ten may drop out; rounds that lose more are aborted, and cost what they were charged."""
    run, sites = small_run(
        ids=IDS, rounds=len(patterns), dropout_noise="surplus", strength=strength, colluders=colluders
    )
    floor = run.schedule.floor_shift
    for number, pattern in enumerate(patterns, start=1):
        with mock.patch("secure_fedmeta.federation.simulation.dropout_pattern", return_value=pattern):
            closed = run.run_round().closed
        # Whoever counts fewer corrupt survivors than assumed pays less, never more.
        spent = [site.client.budget.spent for site in sites.values()]
        assert max(spent) <= number * floor * (1 + 1e-12) <= run.schedule.limit
        assert closed.spent.server <= 3.0 and run.server.accounts.server_shift(run.schedule.colluders) >= max(spent) * (
            1 - 1e-12
        )


def test_the_books_know_how_many_dropped_out():
    run, _ = small_run(ids=IDS, dropout_noise="surplus", colluders=1, rounds=2)
    pattern = {4: "mask", 5: "share"}
    with mock.patch("secure_fedmeta.federation.simulation.dropout_pattern", return_value=pattern):
        run.run_round()
    books = run.server.accounts
    assert books._server[1] == {Counted(7, 2): 1} and books._release[1] == {Counted(7, 2): 1}
    assert books._local[1] == {Counted(1, 2): 1}
    # Whoever was asked and left may have been opened by others: the floor, and alone with the base of its noise only.
    assert books._server[4] == {run.schedule.floor: 1} == {Counted(6, 3): 1} and books._local[4] == {Counted(1): 1}
    assert books._server[5] == {}
    exact = run.schedule.surplus.variance(honest=7, dropped=2)
    (event,) = books.events()
    assert event.noise_variance == exact == run.schedule.surplus.honest_scale**2 and event.parties in (7 * 3, 6 * 4)


def test_a_holder_that_gives_a_wrong_surplus_share_is_named():
    """One wrong share of one seed: the sum is opened, and the pair is in the findings and in the ledger."""
    run, sites = small_run(ids=IDS, dropout_noise="surplus", colluders=1, rounds=2)

    def bend(sender, receiver, message):
        if kind_of(message) is MessageType.SURVIVORS and receiver == 2:
            held = sites[2].client._session._secrets.shares
            seed = bytearray(held[1][2])
            seed[8] ^= 1
            held[1] = (*held[1][:2], bytes(seed), *held[1][3:])
        return True

    Courier(run.server, sites, bend).announce().run()
    closed = run.server.closed
    assert closed.aborted is None and closed.survivors == IDS
    assert closed.findings == ("pair (dealer 1, holder 2): one of the two lied",)


def test_records_and_seeds_are_not_shown():
    run, sites = small_run(ids=IDS, dropout_noise="surplus", rounds=2)
    run.run_round()
    text = repr(run.server) + repr(run.schedule.surplus) + repr(sites[1].client) + run.server.ledger_lines().decode()
    assert "seed" not in text.replace('"seed"', "")
    assert announced(run)  # the round's M0 can be made again, and holds no secret


def test_every_refusal_is_a_privacy_error():
    assert issubclass(SurplusRefused, PrivacyError) and np.isfinite(schedule().surplus.honest_scale)
