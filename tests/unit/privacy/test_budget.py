import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedmeta_privacy.budget import GdpFilter
from fedmeta_privacy.errors import BudgetExceeded, JournalDamaged, JournalRolledBack, PlanError
from fedmeta_privacy.events import (
    CappedPoisson,
    ClientThenRecord,
    FixedSizeGaussian,
    Gaussian,
    PoissonGaussian,
    SkellamSum,
)
from fedmeta_privacy.filters import DominatingEventFilter, RdpFilter
from fedmeta_privacy.journal import LONGEST_LINE, Journal, Witness

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
    again = GdpFilter.replay(limit, journal, witness=budget.witness)
    assert again.spent == budget.spent and again.witness == budget.witness


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
    before = budget.witness
    with pytest.raises(BudgetExceeded) as caught:
        budget.charge(round=1, shift=shift)
    assert budget.spent == 0 and caught.value.limit == 1.0 and "SFM-304" in str(caught.value)
    assert budget.witness == before and budget.last_round == 0


def _lines(*entries):
    """Lines that are chained as they should be, whatever they say."""
    journal = Journal({"filter": "gdp", "limit": (1.0).hex()})
    return b"".join(journal.line({"round": 1, "shift": (0.5).hex(), "type": "charge"} | entry) for entry in entries)


def test_the_hand_made_lines_are_those_of_the_filter():
    assert _lines({}) == GdpFilter(1.0).charge(round=1, shift=0.5)


@pytest.mark.parametrize(
    "journal",
    [
        b"not json\n",
        b"[]\n",
        b"[" * 5000 + b"\n",
        b'"' + b"x" * LONGEST_LINE + b'"\n',
        GdpFilter(2.0).charge(round=1, shift=0.5),
        RdpFilter({2: 1.0}).charge(round=1, event=Gaussian(3.0)),
        _lines({"type": "refund"}),
        _lines({"round": "1"}),
        _lines({"round": True}),
        _lines({"shift": 0.5}),
        _lines({"shift": "nan"}),
        _lines({"shift": "0x1p9999999"}),
        _lines({"type": "settle"}),
        _lines({}, {}),
        _lines({}, {"type": "settle", "shift": (0.6).hex()}),
        _lines({"shift": (-0.5).hex()}),
        _lines({}, {"round": 2, "shift": (0.6).hex()}),  # beyond the budget: this filter never wrote it
        _lines({}, {"round": 2, "shift": (0.1).hex()}).split(b"\n", 1)[1],  # the first line is missing
        _lines({}) * 2,
        _lines({}, {"round": 2, "shift": (0.1).hex()}).replace(b'"round":1', b'"round":7'),
    ],
)
def test_damaged_journals_are_refused(journal):
    with pytest.raises(JournalDamaged, match="SFM-308"):
        GdpFilter.replay(1.0, journal)


def test_one_altered_byte_anywhere_is_noticed_by_the_chain_or_the_witness():
    budget = GdpFilter(1.0)
    journal = b"".join(budget.charge(round=n, shift=0.2) for n in (1, 2, 3))
    for at in range(len(journal)):
        altered = journal[:at] + bytes([journal[at] ^ 1]) + journal[at + 1 :]
        with pytest.raises((JournalDamaged, JournalRolledBack)):
            GdpFilter.replay(1.0, altered, witness=budget.witness)


def test_witnesses_are_forty_bytes():
    witness = GdpFilter(1.0).witness
    assert Witness.from_bytes(witness.to_bytes()) == witness and len(witness.to_bytes()) == 40
    for bad in (b"", bytes(39), bytes(41), b"\xff" * 40):
        with pytest.raises(PlanError):
            Witness.from_bytes(bad)


def test_renyi_budgets_hold_for_every_order():
    budget = RdpFilter({2: 1.0, 64: 1.0})
    with pytest.raises(BudgetExceeded, match="Renyi divergence") as caught:
        budget.charge(round=1, event=Gaussian(2.0))  # order 2 has room, order 64 has not
    assert caught.value.asked == pytest.approx(8.0) and budget.spent == {2: 0.0, 64: 0.0}
    line = budget.charge(round=1, event=Gaussian(10.0))
    again = RdpFilter.replay({2: 1.0, 64: 1.0}, line, witness=budget.witness)
    assert again.spent == budget.spent and again.last_round == 1
    with pytest.raises(PlanError):
        budget.charge(round=1, event=Gaussian(10.0))


@pytest.mark.parametrize("budgets", [{}, {1: 1.0}, {2: math.inf}, {2: -1.0}, {2: math.nan}])
def test_budgets_that_are_none(budgets):
    with pytest.raises(PlanError):
        RdpFilter(budgets)
    with pytest.raises(PlanError):
        RdpFilter.for_target(0.01, 1e-5, order=4)
    with pytest.raises(PlanError):
        DominatingEventFilter(Gaussian(1.0), rounds=0)


@pytest.mark.parametrize(
    ("declared", "rounds"),
    [(PoissonGaussian(1.0, 0.05), 7), (ClientThenRecord(1.0, 0.2, 0.1), 3), (SkellamSum(1e3, 1e2, 1e5), 4)],
)
def test_exactly_the_declared_rounds_fit(declared, rounds):
    for budget in (RdpFilter.for_rounds(declared, rounds), DominatingEventFilter(declared, rounds)):
        journal = b"".join(budget.charge(round=n, event=declared) for n in range(1, rounds + 1))
        assert not budget.affords(declared)
        fresh = (
            RdpFilter.replay(budget.budgets, journal, variation=budget.variation)
            if isinstance(budget, RdpFilter)
            else DominatingEventFilter.replay(declared, rounds, journal)
        )
        assert fresh.spent == budget.spent and not fresh.affords(declared)


@pytest.mark.parametrize(
    ("declared", "event", "covered"),
    [
        (PoissonGaussian(1.0, 0.1), PoissonGaussian(1.0, 0.1), True),
        (PoissonGaussian(1.0, 0.1), PoissonGaussian(0.999, 0.1), False),
        (PoissonGaussian(1.0, 0.1), PoissonGaussian(1.0, 0.101), False),
        (PoissonGaussian(1.0, 0.1), Gaussian(1.0), False),
        (Gaussian(1.0), PoissonGaussian(1.0, 0.5), True),
        (ClientThenRecord(1.0, 0.5, 0.1), PoissonGaussian(1.0, 0.049), True),
        (ClientThenRecord(1.0, 0.5, 0.1), PoissonGaussian(1.0, 0.1), False),
        (ClientThenRecord(1.0, 0.5, 0.1), ClientThenRecord(1.0, 0.25, 0.2), False),
        (FixedSizeGaussian(2.0, 100, 10), FixedSizeGaussian(2.1, 100, 10), True),
        (FixedSizeGaussian(2.0, 100, 10), FixedSizeGaussian(2.0, 100, 11), False),
        (FixedSizeGaussian(2.0, 100, 10), Gaussian(100.0), False),
        (CappedPoisson(1.0, 0.1, 100, 20), CappedPoisson(1.5, 0.1, 100, 20), True),
        (CappedPoisson(1.0, 0.1, 100, 20), CappedPoisson(1.0, 0.1, 100, 19), False),
        (SkellamSum(10.0, 5.0, 100.0), SkellamSum(10.0, 5.0, 99.0), False),
    ],
)
def test_what_a_declared_event_covers(declared, event, covered):
    assert DominatingEventFilter(declared, rounds=1).affords(event) is covered


def test_a_count_takes_as_many_rounds():
    budget = DominatingEventFilter(PoissonGaussian(1.0, 0.1), rounds=3)
    budget.charge(round=1, event=PoissonGaussian(1.0, 0.1, count=2))
    assert not budget.affords(PoissonGaussian(1.0, 0.1, count=2)) and budget.affords(PoissonGaussian(1.0, 0.1))


def test_no_line_holds_anything_but_public_numbers():
    line = json.loads(RdpFilter({2: 1.0}).charge(round=3, event=Gaussian(3.0)))
    assert set(line) == {"cost", "prev", "round", "seq", "type"}
