"""The server's odometer against the sites' own filters."""

import itertools
import math
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_runs import Courier, kind_of, small_plan, small_run

from fedmeta_crypto import SERVER
from fedmeta_crypto.wire import MessageType
from fedmeta_privacy import accountant
from secure_fedmeta.federation.accounts import Accounts
from secure_fedmeta.federation.dropouts import PHASES
from secure_fedmeta.schedule import make_schedule

IDS = (1, 2, 3, 4, 5, 6)
PATTERN = st.dictionaries(st.sampled_from(IDS), st.sampled_from(PHASES), max_size=4)


@settings(max_examples=25, deadline=None)
@given(
    st.lists(PATTERN, min_size=1, max_size=4),
    st.sampled_from([0, 1]),
    st.sampled_from(["malicious", "semi-malicious", "semi-honest"]),
)
def test_the_odometer_is_the_largest_filter(patterns, colluders, strength):
    run, sites = small_run(ids=IDS, rounds=len(patterns), epsilon=8.0, colluders=colluders, strength=strength)
    signed, unmask_failed = run.schedule.hiding.signed, False
    for pattern in patterns:
        if not run.affords_round():
            break
        with mock.patch("secure_fedmeta.federation.simulation.dropout_pattern", return_value=pattern):
            closed = run.run_round().closed
        unmask_failed |= closed.aborted is not None and "UNMASK" in closed.aborted
        # A site that fell silent with its last message has lowered its charge; the server cannot know.
        unmask_failed |= signed and "unmask" in pattern.values()
        assert closed.spent == run.server.accounts.spent()
    filters = max(site.client.budget.spent for site in sites.values())
    books = run.server.accounts.server_shift(colluders)
    # Where the answers were too few, sites have heard of survivors whose sum was never opened: the books keep the
    # floor.
    if unmask_failed:
        assert books >= filters * (1 - 1e-12)
    else:
        assert books == pytest.approx(filters, rel=1e-12)
    assert filters <= run.schedule.limit
    spent = run.server.accounts.spent()
    assert spent.server == pytest.approx(run.schedule.epsilon(books), rel=1e-9)
    assert spent.release <= spent.server <= spent.local or colluders == 0
    assert 0 <= spent.budget_left <= 1


def schedule(n=6, **changes):
    return make_schedule(small_plan(**changes), clients=n, dimension=5)


def test_a_site_that_uploaded_and_was_lost_is_booked_at_the_floor():
    books = Accounts(schedule(), IDS)
    books.record(uploaded=frozenset(IDS), survivors=frozenset(IDS[:5]))
    expected = books._schedule.floor_shift
    assert books.server_shift(0) == pytest.approx(expected)
    books.record(uploaded=frozenset(IDS[:5]), survivors=frozenset(IDS[:5]))
    assert books.server_shift(0) == pytest.approx(max(expected, 2 * books._schedule.shift(5)))


def test_a_site_that_was_never_asked_pays_nothing():
    books = Accounts(schedule(), IDS)
    books.record(uploaded=frozenset(), survivors=frozenset())
    spent = books.spent()
    assert (spent.server, spent.release, spent.local, spent.budget_left) == (0.0, 0.0, 0.0, 1.0)
    assert books.events() == []


def test_views_are_ordered_and_colluders_only_raise():
    books = Accounts(schedule(epsilon=20.0), IDS)
    for _ in range(3):
        books.record(uploaded=frozenset(IDS), survivors=frozenset(IDS))
    spent = books.spent()
    assert spent.release == spent.server < spent.local
    shifts = [books.server_shift(c) for c in range(6)]
    assert all(a < b for a, b in itertools.pairwise(shifts))
    assert math.isinf(books.server_shift(6))


def test_events_repeat_the_books_to_another_accountant():
    plan = schedule(epsilon=8.0)
    books = Accounts(plan, IDS)
    for survivors in (IDS, IDS[:5], IDS[:5]):
        books.record(uploaded=frozenset(IDS), survivors=frozenset(survivors))
    events = books.events()
    assert len(events) == 3
    ours = books.spent().server
    assert accountant.epsilon(events, plan.plan.delta).upper == pytest.approx(ours, rel=1e-6)


def test_without_noise_everything_is_infinite_and_every_round_goes():
    books = Accounts(schedule(epsilon="none"), IDS)
    assert books.affords_round()
    books.record(uploaded=frozenset(IDS), survivors=frozenset(IDS))
    assert math.isinf(books.spent().server) and math.isinf(books.spent().local)
    assert math.isinf(accountant.epsilon(books.events(), 1e-3).upper)
    assert books.affords_round()


@pytest.mark.parametrize("phase", ["advertise", "share", "mask", "unmask"])
def test_the_server_gives_a_round_up_and_goes_on(phase):
    run, _ = small_run(ids=IDS, rounds=3, epsilon=8.0)
    most = dict.fromkeys(IDS[:4], phase)
    with mock.patch("secure_fedmeta.federation.simulation.dropout_pattern", return_value=most):
        lost = run.run_round().closed
    assert lost.survivors == () and "SFM-251" in lost.aborted and run.server.last_sum is None
    assert not run.server.outer.theta.any()
    asked = phase in ("mask", "unmask")
    assert (lost.spent.server > 0) == asked
    good = run.run_round().closed
    assert good.round == 2 and good.survivors == IDS and good.aborted is None
    assert good.spent.server > lost.spent.server


def test_an_operator_may_end_a_round_at_any_message():
    """What was asked for stays charged; the next round works; nothing of the lost one is accepted any more."""
    kinds = (MessageType.ADVERTISEMENT, MessageType.SHARES, MessageType.MASKED_INPUT, MessageType.UNMASKING)
    run, sites = small_run(4, rounds=10, epsilon=8.0)
    for kind in kinds:
        courier = Courier(run.server, sites).announce()
        courier.run(until=lambda _, to, message, kind=kind: to == SERVER and kind_of(message) is kind)
        before = run.server.accounts.spent().server
        run.server.abort("stopped")
        after = run.server.accounts.spent().server
        assert (after > before) == (kind in kinds[2:])
        assert run.server.closed.aborted == "stopped" and run.server.closed.survivors == ()
        for site in sites.values():
            site.abort()
    assert run.run_round().closed.survivors == (1, 2, 3, 4)
    run.server.abort("nothing is open")
    assert run.server.closed.survivors == (1, 2, 3, 4)
