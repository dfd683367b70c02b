"""The whole claim table, combination by combination: what holds, and why the rest does not."""

import itertools

import pytest

from fedmeta_privacy.claims import Adjacency, Circumstances, Mode, Network, Sampling, Unit, View, claim
from fedmeta_privacy.errors import UnsupportedClaim

HELD = {
    (Unit.RECORD, Mode.BOUNDED_GLM): {Adjacency.SLOT, Adjacency.REPLACE_ONE},
    (Unit.RECORD, Mode.NOISY_INNER): {Adjacency.SLOT, Adjacency.REPLACE_ONE},
    (Unit.TASK, Mode.TASK_IS_PERSON): {Adjacency.SLOT, Adjacency.REPLACE_ONE},
    (Unit.CLIENT, Mode.CLIENT_VECTOR): {Adjacency.ZERO_OUT, Adjacency.REPLACE_ONE},
}


def expected(unit, view, adjacency, mode, given):
    """The table once more, written as a condition and not as a list of refusals."""
    return (
        adjacency in HELD.get((unit, mode), ())
        and (given.network is Network.GLM or mode is not Mode.BOUNDED_GLM)
        and (mode is not Mode.NOISY_INNER or given.private_hessian or not given.second_order)
        and (given.sampling is Sampling.NONE or (given.sampling is Sampling.SECRET and view is View.RELEASE))
        and (given.stated_factor in (None, 2) or adjacency is not Adjacency.REPLACE_ONE)
    )


def circumstances():
    for values in itertools.product(Network, (False, True), (False, True), Sampling, (None, 1, 2)):
        yield Circumstances(*values)


def reason_of(combination, given):
    try:
        claim(*combination, given)
    except UnsupportedClaim as refusal:
        assert refusal.code == "SFM-302"
        stated, _, reason = refusal.what.partition(": ")
        assert all(one.value in stated for one in combination)
        return reason
    return ""


def test_every_combination_is_held_or_refused_with_a_reason():
    held = refused = 0
    for combination in itertools.product(Unit, View, Adjacency, Mode):
        for given in circumstances():
            reason = reason_of(combination, given)
            assert (reason == "") == expected(*combination, given), (combination, given, reason)
            held, refused = held + (reason == ""), refused + (reason != "")
    assert held + refused == 3 * 3 * 3 * 4 * 72 and held > 0


def test_each_wrong_unit_mode_or_adjacency_has_a_reason_of_its_own():
    reasons = {
        (unit, mode): {reason_of((unit, view, adjacency, mode), Circumstances()) for view in View}
        for unit, mode in itertools.product(Unit, Mode)
        for adjacency in [Adjacency.REPLACE_ONE]
        if (unit, mode) not in HELD
    }
    assert all(len(texts) == 1 and "" not in texts for texts in reasons.values())
    own = [
        reason_of((unit, View.SERVER, adjacency, mode), Circumstances())
        for (unit, mode), adjacencies in HELD.items()
        for adjacency in Adjacency
        if adjacency not in adjacencies
    ]
    assert len(own) == 4 and len(set(own)) == 3  # both modes for records share one


@pytest.mark.parametrize(
    ("unit", "adjacency", "mode", "given", "why"),
    [
        (Unit.RECORD, "slot", Mode.BOUNDED_GLM, {"network": Network.ANY}, "no constant"),
        (Unit.RECORD, "slot", Mode.TASK_IS_PERSON, {"network": Network.ANY}, "no constant"),
        (Unit.RECORD, "slot", Mode.NOISY_INNER, {"second_order": True}, "through the Hessian"),
        (Unit.TASK, "slot", Mode.TASK_IS_PERSON, {"sampling": Sampling.KNOWN}, "server knows who takes part"),
        (Unit.CLIENT, "zero-out", Mode.CLIENT_VECTOR, {"sampling": Sampling.SECRET}, "secret no more"),
        (Unit.CLIENT, "replace-one", Mode.CLIENT_VECTOR, {"stated_factor": 1}, "2 clips apart"),
        (Unit.CLIENT, "slot", Mode.CLIENT_VECTOR, {}, "cohort is public"),
        (Unit.TASK, "slot", Mode.BOUNDED_GLM, {}, "g times"),
    ],
)
def test_refusals_that_matter(unit, adjacency, mode, given, why):
    assert why in reason_of((unit, View.SERVER, Adjacency(adjacency), mode), Circumstances(**given))


def test_replacing_costs_two_clips():
    for (unit, mode), adjacencies in HELD.items():
        factors = {adjacency: claim(unit, View.LOCAL, adjacency, mode).factor for adjacency in adjacencies}
        assert factors.pop(Adjacency.REPLACE_ONE) == 2
        assert set(factors.values()) == {1}
