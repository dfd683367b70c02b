"""One unit may be replaced, removed, poisoned or broken: no bit of any other unit's row moves in a batched engine.

A sum of clipped rows moves by one clip norm only if the other rows stay as they are. Whoever could move them (a batch
whose shape follows its longest task, an exception that takes the whole batch along, a NaN that spreads) would break the
sensitivity, not merely the numbers.
"""

import numpy as np
import pytest
from networks import CLASSES, KINDS, MAML, NETS

from secure_fedmeta.engines.loop import LoopEngine
from secure_fedmeta.engines.slots import SlottedEngine
from secure_fedmeta.engines.stacked import StackedEngine
from secure_fedmeta.tasks import Task

SIZES = [(4, 5), (2, 6), (0, 3), (6, 6), (1, 1)]
UNITS, ROWS = 6, (6, 6)


def slotted(net, chunk=None):
    bound = net.bound()
    fast = StackedEngine(bound, MAML, loss="cross-entropy", chunk=chunk)
    slow = LoopEngine(bound, MAML, loss="cross-entropy")
    shape = (net.width,)
    return bound, SlottedEngine(fast, slow, units=UNITS, rows=ROWS, shape=shape, classes=CLASSES)


def evil_tasks(net, rng):
    """What an adversary may register, by name."""
    usual = net.task(rng, 3, 4)
    zeros = np.zeros(3)
    spoilt = np.full((3, net.width), np.nan)
    huge = np.full((3, net.width), 1e300)
    return {
        "another": usual,
        "full": net.task(rng, *ROWS),
        "too many rows": net.task(rng, ROWS[0] + 30, 4),
        "not a number": Task(spoilt, zeros, spoilt, zeros),
        "infinite": Task(huge * np.inf, zeros, usual.query_rows, usual.query_labels),
        "overflowing": Task(huge, zeros, huge, zeros),
        "no such class": Task(usual.support_rows, np.full(3, float(CLASSES)), usual.query_rows, usual.query_labels),
        "no class at all": Task(usual.support_rows, np.full(3, np.nan), usual.query_rows, usual.query_labels),
        "no such index": Task(np.full((3, net.width), KINDS + 90.0), zeros, usual.query_rows, usual.query_labels),
        "negative index": Task(np.full((3, net.width), -7.0), zeros, usual.query_rows, usual.query_labels),
        "other columns": Task(np.ones((2, net.width + 1)), np.zeros(2), np.ones((1, net.width + 1)), np.zeros(1)),
        "nobody": Task(np.zeros((0, net.width)), np.zeros(0), np.zeros((0, net.width)), np.zeros(0)),
    }


@pytest.mark.parametrize("chunk", [None, 4])
@pytest.mark.parametrize("name", NETS)
def test_no_bit_of_another_unit_moves(name, chunk):
    net, rng = NETS[name], np.random.default_rng(0)
    bound, engine = slotted(net, chunk)
    tasks = [net.task(rng, *size) for size in SIZES]
    before = engine.contributions(bound.start, tasks)
    assert np.isfinite(before).all() and all(np.abs(row).max() > 1e-6 for row in before)
    place = 2
    others = [one for one in range(len(tasks)) if one != place]
    for what, evil in evil_tasks(net, rng).items():
        after = engine.contributions(bound.start, [*tasks[:place], evil, *tasks[place + 1 :]])
        assert (after[others] == before[others]).all(), what
    fewer = engine.contributions(bound.start, tasks[:-1])  # the last slot was never filled
    assert (fewer == before[:-1]).all()


def test_a_row_is_a_function_of_its_unit_in_what_it_is_too():
    """Alone in its slot or among others, evil ones included: the same bits, and NaN exactly where the loop has it."""
    net, rng = NETS["lstm"], np.random.default_rng(1)
    bound, engine = slotted(net)
    slow = LoopEngine(bound, MAML, loss="cross-entropy")
    everyone = [*evil_tasks(net, rng).values()]
    nobody = everyone[-1]
    for start in range(0, len(everyone), UNITS):
        some = everyone[start : start + UNITS]
        together = engine.contributions(bound.start, some)
        for place, one in enumerate(some):
            alone = engine.contributions(bound.start, [*[nobody] * place, one])[place]
            np.testing.assert_array_equal(alone, together[place])
        expected = slow.contributions(bound.start, some)
        broken = [not np.isfinite(row).all() for row in expected]
        assert [not np.isfinite(row).all() for row in together] == broken
        np.testing.assert_allclose(together[np.invert(broken)], expected[np.invert(broken)], rtol=0, atol=1e-10)


@pytest.mark.parametrize("name", ["linear", "embedding"])
def test_rows_of_a_noisy_adaptation(name):
    """There a unit is one record: gradients and Hessian products of a table whose other rows are evil."""
    net, rng = NETS[name], np.random.default_rng(2)
    bound, engine = slotted(net)
    rows, labels = net.rows(rng, 4), rng.integers(0, CLASSES, 4).astype(float)
    vector = rng.normal(size=bound.dimension)

    def both(some, marks):
        return np.concatenate(
            [
                engine.example_gradients(bound.start, some, marks),
                engine.example_products(bound.start, some, marks, vector),
            ],
            axis=1,
        )

    before = both(rows, labels)
    assert np.isfinite(before).all()
    for value, label in ((np.nan, 0.0), (1e300, 0.0), (-3.0, 1.0), (99.0, 7.0), (1.0, np.nan), (2.0, 0.5)):
        evil, marks = rows.copy(), labels.copy()
        evil[1], marks[1] = value, label
        after = both(evil, marks)
        assert (after[[0, 2, 3]] == before[[0, 2, 3]]).all()
    assert (both(rows[:3], labels[:3]) == before[:3]).all()
