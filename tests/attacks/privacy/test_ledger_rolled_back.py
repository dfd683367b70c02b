"""A machine restored from a snapshot, a journal put back or cut, a process killed at any byte."""

import pytest

from fedmeta_privacy.budget import GdpFilter
from fedmeta_privacy.errors import BudgetExceeded, JournalDamaged, JournalRolledBack, NotDominated
from fedmeta_privacy.events import PoissonGaussian
from fedmeta_privacy.filters import DominatingEventFilter, RdpFilter

EVENT = PoissonGaussian(1.0, 0.05)
CHARGED = {
    "gdp": (lambda: GdpFilter(1.0), lambda f, n: f.charge(round=n, shift=0.15)),
    "rdp": (lambda: RdpFilter.for_rounds(EVENT, 6), lambda f, n: f.charge(round=n, event=EVENT)),
    "dominating": (lambda: DominatingEventFilter(EVENT, 6), lambda f, n: f.charge(round=n, event=EVENT)),
}


def replay(kind, journal, witness=None):
    match kind:
        case "gdp":
            return GdpFilter.replay(1.0, journal, witness=witness)
        case "rdp":
            made = RdpFilter.for_rounds(EVENT, 6)
            return RdpFilter.replay(made.budgets, journal, variation=made.variation, witness=witness)
    return DominatingEventFilter.replay(EVENT, 6, journal, witness=witness)


@pytest.fixture(params=CHARGED)
def used(request):
    make, charge = CHARGED[request.param]
    budget, lines, witnesses = make(), [], []
    for number in range(1, 5):
        lines.append(charge(budget, number))
        witnesses.append(budget.witness)
    return request.param, lines, witnesses


def test_an_older_journal_is_refused_by_its_witness(used):
    kind, lines, witnesses = used
    for kept in range(len(lines)):
        old = b"".join(lines[:kept])
        assert replay(kind, old) is not None  # nothing in the journal itself tells
        with pytest.raises(JournalRolledBack, match="SFM-310"):
            replay(kind, old, witnesses[-1])


def test_a_torn_last_line_that_was_witnessed_is_a_rollback_too(used):
    kind, lines, witnesses = used
    with pytest.raises(JournalRolledBack):
        replay(kind, b"".join(lines)[:-1], witnesses[-1])


def test_killed_between_line_and_witness_the_journal_is_ahead_and_counts(used):
    kind, lines, witnesses = used
    for seen in witnesses:
        assert replay(kind, b"".join(lines), seen).witness == witnesses[-1]


def test_rolled_back_and_charged_anew_is_not_the_witnessed_journal(used):
    kind, _, witnesses = used
    make, charge = CHARGED[kind]
    other = make()
    forged = b"".join(charge(other, number) for number in (11, 12, 13, 14))
    with pytest.raises(JournalRolledBack, match="not the one witnessed"):
        replay(kind, forged, witnesses[-1])


def test_lines_left_out_doubled_or_swapped_do_not_follow(used):
    kind, lines, _ = used
    for broken in (lines[1:], [lines[0], *lines[2:]], [*lines, lines[-1]], [lines[1], lines[0], *lines[2:]]):
        with pytest.raises(JournalDamaged):
            replay(kind, b"".join(broken))


def test_killed_at_any_byte_the_budget_still_ends_where_it_should(used):
    """Cut anywhere; what was complete is charged, the rest can be charged again, and never more than the budget."""
    kind, lines, _ = used
    _, charge = CHARGED[kind]
    whole = b"".join(lines)
    for cut in range(0, len(whole) + 1, 1 if kind == "gdp" else 499):
        restored = replay(kind, whole[:cut])
        complete = whole[:cut].count(b"\n")
        assert restored.last_round == complete
        admitted = complete
        for number in range(100, 110):
            try:
                charge(restored, number)
                admitted += 1
            except (BudgetExceeded, NotDominated):
                break
        assert admitted == 6
