import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedmeta_privacy.budget import GdpFilter
from fedmeta_privacy.errors import BudgetExceeded, JournalDamaged, PlanError

shifts = st.floats(1e-9, 1.0, allow_nan=False)


@given(st.lists(st.tuples(shifts, shifts), max_size=40), st.floats(0.1, 5))
def test_never_above_the_limit_and_replayable(rounds, limit):
    budget, journal = GdpFilter(limit), b""
    for number, (floor, realised) in enumerate(rounds, start=1):
        try:
            journal += budget.charge(round=number, shift=floor)
        except BudgetExceeded:
            continue
        assert budget.spent <= limit
        before = budget.spent
        journal += budget.settle(round=number, shift=realised)
        assert budget.spent <= before
    assert GdpFilter.replay(limit, journal).spent == budget.spent


@given(st.lists(shifts, min_size=1, max_size=10), st.data())
def test_a_torn_journal_never_lowers_what_was_durable(charges, data):
    budget, lines = GdpFilter(100.0), []
    for number, shift in enumerate(charges, start=1):
        lines.append(budget.charge(round=number, shift=shift))
    whole = b"".join(lines)
    cut = data.draw(st.integers(0, len(whole)))
    restored = GdpFilter.replay(100.0, whole[:cut])
    complete = whole[:cut].count(b"\n")
    assert restored.spent == pytest.approx(math.fsum(charges[:complete]))


def test_lost_settlement_is_only_conservative():
    budget = GdpFilter(1.0)
    charge = budget.charge(round=1, shift=0.5)
    budget.settle(round=1, shift=0.1)
    assert GdpFilter.replay(1.0, charge).spent >= budget.spent


def test_settle_never_raises_a_charge():
    budget = GdpFilter(1.0)
    budget.charge(round=1, shift=0.5)
    assert budget.settle(round=1, shift=0.6) == b""
    assert budget.settle(round=1, shift=math.nan) == b""
    assert budget.settle(round=1, shift=-1.0) == b""
    assert budget.spent == pytest.approx(0.5)


def test_repeats_and_strangers():
    budget = GdpFilter(1.0)
    budget.charge(round=1, shift=0.1)
    with pytest.raises(PlanError):
        budget.charge(round=1, shift=0.1)
    with pytest.raises(PlanError):
        budget.settle(round=2, shift=0.1)
    with pytest.raises(PlanError):
        GdpFilter(math.nan)


@pytest.mark.parametrize("shift", [math.nan, math.inf, -0.1, 2.0])
def test_unaffordable_charges_change_nothing(shift):
    budget = GdpFilter(1.0)
    with pytest.raises(BudgetExceeded) as caught:
        budget.charge(round=1, shift=shift)
    assert budget.spent == 0 and caught.value.limit == 1.0 and "SFM-304" in str(caught.value)


def _line(**changes):
    entry = {"limit": (1.0).hex(), "round": 1, "shift": (0.5).hex(), "type": "charge"} | changes
    return json.dumps(entry).encode() + b"\n"


@pytest.mark.parametrize(
    "journal",
    [
        b"not json\n",
        b"[]\n",
        _line(limit=(2.0).hex()),
        _line(type="refund"),
        _line(round="1"),
        _line(shift=0.5),
        _line(type="settle"),
        _line() + _line(),
        _line() + _line(type="settle", shift=(0.6).hex()),
        _line(shift=(-0.5).hex()),
    ],
)
def test_damaged_journals_are_refused(journal):
    with pytest.raises(JournalDamaged, match="SFM-308"):
        GdpFilter.replay(1.0, journal)
