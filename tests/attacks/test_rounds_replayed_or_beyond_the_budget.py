"""A round is released once, and only while the site's own filter has room for its floor."""

import pytest
from small_runs import Courier, announced, announcement, kind_of, small_run

from fedmeta_crypto import SERVER
from fedmeta_crypto.errors import OutOfOrder, ProtocolError, WrongRound
from fedmeta_crypto.wire import MessageType
from fedmeta_privacy.errors import BudgetExceeded
from secure_fedmeta.federation.simulation import Simulation

COHORT = (1, 2, 3, 4, 5)


def after_one_round(**changes):
    run, sites = small_run(5, **changes)
    courier = Courier(run.server, sites).announce().run()
    return run, sites, courier


@pytest.mark.parametrize("aggregation", ["mask", "none"])
def test_the_same_announcement_again(aggregation):
    run, sites, courier = after_one_round(aggregation=aggregation, epsilon=20.0)
    first = courier.delivered[0][2]
    for party in sites.values():
        spent = party.client.budget.spent
        with pytest.raises(WrongRound, match="SFM-226"):
            party.receive(first)
        assert party.client.budget.spent == spent
    assert run.run_round().closed.survivors == COHORT


@pytest.mark.parametrize("aggregation", ["mask", "none"])
def test_an_old_round_with_a_fresh_nonce(aggregation):
    run, sites, _ = after_one_round(aggregation=aggregation, epsilon=20.0)
    again = announcement(run.schedule, COHORT, number=1, server_nonce=b"\x07" * 32)
    for party in sites.values():
        spent = party.client.budget.spent
        with pytest.raises(WrongRound):
            party.receive(again)
        assert party.client.budget.spent == spent


def test_a_round_announced_a_second_time_before_its_upload():
    """Keys were advertised; the same number with other parameters must not make new ones."""
    run, sites = small_run(5)
    assert sites[1].receive(announcement(run.schedule, COHORT)).send
    with pytest.raises(WrongRound):
        sites[1].receive(announcement(run.schedule, COHORT, server_nonce=b"\x01" * 32))


@pytest.mark.parametrize(("strength", "messages"), [("malicious", 25), ("semi-honest", 15)])
def test_every_message_of_the_server_twice(strength, messages):
    run, sites = small_run(5, strength=strength)
    refused = []

    def before(_, receiver, message):
        if receiver != SERVER and kind_of(message) is not MessageType.PARAMETERS:
            party = sites[receiver]
            answer = party.receive(message)
            charged = party.client.budget.spent
            with pytest.raises(ProtocolError) as caught:
                party.receive(message)
            refused.append(caught.value.code)
            assert party.client.budget.spent == charged
            courier._post(receiver, answer)
            return False
        return True

    courier = Courier(run.server, sites, before)
    courier.announce().run()
    assert run.server.closed.survivors == COHORT
    assert refused == messages * ["SFM-229"]


def test_messages_of_the_last_round_in_the_next():
    run, sites, courier = after_one_round(epsilon=20.0)
    old = [(to, m) for _, to, m in courier.delivered if to != SERVER]
    run.server.announce()
    fresh = announced(run)
    for party in sites.values():
        party.receive(fresh)
    for to, message in old:
        spent = sites[to].client.budget.spent
        with pytest.raises(ProtocolError):
            sites[to].receive(message)
        assert sites[to].client.budget.spent == spent
    with pytest.raises(OutOfOrder):
        small_run(5)[1][1].receive(old[-1][1])


@pytest.mark.parametrize("aggregation", ["mask", "none"])
def test_a_round_beyond_the_budget_gets_nothing(aggregation):
    """The server ignores the stop and announces on: each site stops by itself, at the last floor that fits."""
    run, sites = small_run(5, aggregation=aggregation, rounds=3, epsilon=2.0)
    released = 0
    for _ in range(12):
        report = run.run_round()
        if report.closed.survivors:
            released += 1
            assert not report.rejected
        else:
            assert report.bytes_sent == 5 * len(announced(run))
            # Beyond the plan, or beyond the budget: the site says which.
            assert len(report.rejected) == 5
            assert all("SFM-304" in text or "SFM-205" in text for text in report.rejected)
    assert released == 3
    for party in sites.values():
        assert party.client.budget.spent <= run.schedule.limit
        assert len(party.client.budget._charges) == released
        party.client._last_round = 0  # were a round of the plan left, the filter alone would still refuse
        with pytest.raises(BudgetExceeded):
            party.client.budget.charge(round=100, shift=run.schedule.limit - party.client.budget.spent * 0.999)
    if aggregation == "mask":  # without masks the books charge whoever was asked, refused or not
        assert run.server.accounts.spent().server <= 2.0


def test_one_site_out_of_budget_does_not_stop_the_others_but_gives_nothing():
    run, sites = small_run(5, rounds=2)
    sites[4].client.budget.charge(round=1000, shift=run.schedule.limit * 0.999)
    assert not run.affords_round()
    sites[4].client._last_round = 0
    report = run.run_round()
    assert report.closed.survivors == (1, 2, 3, 5)
    assert any("SFM-304" in text for text in report.rejected)


def test_the_error_says_what_is_left():
    run, sites = small_run(5)
    sites[1].client.budget.charge(round=1, shift=run.schedule.limit * 0.9)
    with pytest.raises(BudgetExceeded) as caught:
        sites[1].receive(announcement(run.schedule, COHORT, number=2))
    assert (caught.value.limit, caught.value.asked) == (run.schedule.limit, run.schedule.floor_shift)
    assert caught.value.spent == pytest.approx(run.schedule.limit * 0.9)


def test_rounds_end_by_themselves_within_the_budget():
    run, _ = small_run(5, rounds=3)
    reports = list(Simulation.rounds(run))
    assert len(reports) == 3 and reports[-1].closed.spent.server <= 3.0


def test_many_dropouts_use_the_budget_up_before_the_plan_ends():
    """Within the plan's rounds, it is the filter that refuses, whatever the server announces."""
    run, sites = small_run(8, rounds=40, dropout=0.12, planned_survivors=8, seed=3)
    refused = []
    for _ in range(40):
        refused += run.run_round().rejected
    assert refused and all("SFM-304" in text for text in refused)
    assert all(party.client.budget.spent <= run.schedule.limit for party in sites.values())
