"""Sine curves and episodes: their law, their disjointness, and what is refused."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from secure_fedmeta.datasets.clients import TaskError
from secure_fedmeta.datasets.few_shot import LARGEST, episodes, sine_episodes, sine_tasks
from secure_fedmeta.datasets.labelled import Labelled, bundled


def test_sine_curves_follow_the_law_of_the_paper():
    curves = sine_tasks(20_000, rng=np.random.default_rng(5))
    x, _ = curves.sample(1, rng=np.random.default_rng(6))
    for drawn, low, high in ((curves.amplitude, 0.1, 5.0), (curves.phase, 0.0, np.pi), (x.ravel(), -5.0, 5.0)):
        assert stats.kstest(drawn, stats.uniform(low, high - low).cdf).pvalue > 0.01
        assert low <= drawn.min() and drawn.max() <= high


def test_sine_values_are_the_formula_task_by_task():
    curves = sine_tasks(7, rng=np.random.default_rng(0))
    for x, y in (curves.sample(4, rng=np.random.default_rng(1)), curves.grid(9)):
        for t in range(7):
            expected = [curves.amplitude[t] * np.sin(v - curves.phase[t]) for v in x[t, :, 0]]
            assert np.allclose(y[t, :, 0], expected, rtol=1e-15, atol=1e-15)
    assert curves.grid(3)[0][0, :, 0].tolist() == [-5.0, 0.0, 5.0]


def test_sine_episodes_share_the_curve_and_not_the_samples():
    made = sine_episodes(50, support=6, query=8, rng=np.random.default_rng(2))
    again = sine_episodes(50, support=6, query=8, rng=np.random.default_rng(2))
    assert np.array_equal(made.query_y, again.query_y) and not np.array_equal(
        made.support_x[:, :6], made.query_x[:, :6]
    )
    for task in made:  # amplitude and phase solved from the support predict the query
        basis = np.hstack([np.sin(task.support_rows), np.cos(task.support_rows)])
        weights = np.linalg.lstsq(basis, task.support_labels, rcond=None)[0]
        predicted = np.hstack([np.sin(task.query_rows), np.cos(task.query_rows)]) @ weights
        assert np.allclose(predicted, task.query_labels, atol=1e-6)


@settings(max_examples=30, deadline=None)
@given(ways=st.integers(2, 5), shots=st.integers(1, 4), queries=st.integers(1, 5), seed=st.integers(0, 2**32))
def test_episodes_are_disjoint_balanced_and_repeatable(ways, shots, queries, seed):
    n = 60
    data = Labelled("rows", np.arange(float(n))[:, None], np.arange(n) % 6)
    made = episodes(data, ways=ways, shots=shots, queries=queries, tasks=3, seed=seed)
    again = episodes(data, ways=ways, shots=shots, queries=queries, tasks=3, seed=seed)
    assert np.array_equal(made.support_x, again.support_x) and np.array_equal(made.query_x, again.query_x)
    for sx, sy, qx, qy in zip(made.support_x, made.support_y, made.query_x, made.query_y, strict=True):
        assert not set(sx.ravel()) & set(qx.ravel())
        assert len(set(sx.ravel())) == ways * shots and len(set(qx.ravel())) == ways * queries
        names = {}
        for value, label in zip(np.concatenate([sx, qx]).ravel(), np.concatenate([sy, qy]), strict=True):
            names.setdefault(int(label), set()).add(int(value) % 6)
        assert sorted(names) == list(range(ways)) and all(len(true) == 1 for true in names.values())
        assert len(set.union(*names.values())) == ways
        assert np.bincount(sy).tolist() == [shots] * ways and np.bincount(qy).tolist() == [queries] * ways


def test_numbering_and_classes_change_from_task_to_task():
    made = episodes(bundled("digits"), ways=2, shots=1, queries=1, tasks=40, seed=0)
    assert len(np.unique(made.support_x.reshape(40, -1), axis=0)) > 35


def test_unseen_classes_are_unseen():
    digits = bundled("digits")
    train, test = digits.split_classes(3, seed=4)
    assert not set(train.places()) & set(test.places()) and len(test.places()) == 3
    assert len(train) + len(test) == len(digits)


@pytest.mark.parametrize(
    ("change", "code", "says"),
    [
        ({"ways": 1}, "SFM-137", "1 ways"),
        ({"shots": 0}, "SFM-137", "0 shots"),
        ({"tasks": 0}, "SFM-137", "0 tasks"),
        ({"seed": -1}, "SFM-137", "seed -1"),
        ({"ways": 4}, "SFM-138", "3 classes for 4 ways"),
        ({"shots": 4}, "SFM-138", "class 2 has 4 samples for 4 shots and 1 queries"),
        ({"tasks": LARGEST}, "SFM-137", "numbers are more than"),
    ],
)
def test_episodes_that_cannot_be_made(change, code, says):
    data = Labelled("mine", np.zeros((14, 1)), np.array([0] * 5 + [1] * 5 + [2] * 4))
    settings_ = {"ways": 2, "shots": 1, "queries": 1, "tasks": 1, "seed": 0} | change
    with pytest.raises(TaskError, match=says) as caught:
        episodes(data, **settings_)
    assert caught.value.code == code and "'mine'" in caught.value.where


def test_small_classes_are_dropped_only_when_asked():
    data = Labelled("mine", np.zeros((14, 1)), np.array([0] * 5 + [1] * 5 + [2] * 4))
    assert sorted(data.without_small_classes(5).places()) == [0, 1]
    with pytest.raises(TaskError, match="no class has 6"):
        data.without_small_classes(6)


@pytest.mark.parametrize("make", [lambda: sine_tasks(0, rng=np.random.default_rng(0)),
                                  lambda: sine_tasks(2, rng=np.random.default_rng(0)).sample(0, rng=None),
                                  lambda: sine_tasks(2, rng=np.random.default_rng(0)).grid(LARGEST)])  # fmt: skip
def test_sine_counts_out_of_bounds(make):
    with pytest.raises(TaskError, match="SFM-137"):
        make()
