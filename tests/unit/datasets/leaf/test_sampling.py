"""LEAF's preparation steps: what is kept adds up, and parts are disjoint."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from secure_fedmeta.datasets.clients import ClientData, TaskError
from secure_fedmeta.datasets.leaf.sampling import (
    SHAKESPEARE_GAP,
    remove_users,
    sample_iid,
    sample_niid,
    split_samples,
    split_users,
)

COUNTS = st.dictionaries(st.text("abcdef", min_size=1, max_size=3), st.integers(1, 200), min_size=1, max_size=12)


@settings(max_examples=80, deadline=None)
@given(counts=COUNTS, fraction=st.floats(0.05, 1.0), seed=st.integers(0, 10**6))
def test_niid_takes_whole_users_and_one_part(counts, fraction, seed):
    wanted = int(fraction * sum(counts.values()))
    if wanted < 1:
        with pytest.raises(TaskError, match="SFM-138"):
            sample_niid(counts, fraction=fraction, seed=seed)
        return
    taken = sample_niid(counts, fraction=fraction, seed=seed)
    assert sum(map(len, taken.values())) == wanted
    assert sum(len(index) < counts[name] for name, index in taken.items()) <= 1
    assert all(len(set(i.tolist())) == len(i) and i.min() >= 0 and i.max() < counts[n] for n, i in taken.items())
    again = sample_niid(counts, fraction=fraction, seed=seed)
    assert list(again) == list(taken) and all(np.array_equal(again[name], taken[name]) for name in taken)


@settings(max_examples=80, deadline=None)
@given(counts=COUNTS, fraction=st.floats(0.3, 1.0), users=st.floats(0.0, 1.0), seed=st.integers(0, 10**6))
def test_iid_deals_distinct_samples_in_nearly_equal_groups(counts, fraction, users, seed):
    wanted = int(fraction * sum(counts.values()))
    groups = max(1, round(users * len(counts)))
    if wanted < groups or wanted < 1:
        with pytest.raises(TaskError, match="SFM-138"):
            sample_iid(counts, fraction=fraction, users=users, seed=seed)
        return
    dealt = sample_iid(counts, fraction=fraction, users=users, seed=seed)
    pairs = [pair for group in dealt.values() for pair in group]
    assert len(set(pairs)) == len(pairs) == wanted and list(dealt) == [str(i) for i in range(groups)]
    assert all(0 <= place < counts[name] for name, place in pairs)
    sizes = [len(group) for group in dealt.values()]
    assert sizes == sorted(sizes) and sizes[-1] - sizes[0] <= 1


@settings(max_examples=80, deadline=None)
@given(
    counts=COUNTS, train=st.floats(0.05, 0.95), gap=st.sampled_from([0, 3, SHAKESPEARE_GAP]), seed=st.integers(0, 99)
)
def test_samples_are_split_as_leaf_splits_them(counts, train, gap, seed):
    first, second = split_samples(counts, train=train, seed=seed, gap=gap)
    assert first.keys() == second.keys()
    for name, n in counts.items():
        cut = 1 if n == 2 else max(1, int(train * n))
        assert (name in first) == (n - cut - gap >= 1)
        if name in first:
            one, two = first[name].tolist(), second[name].tolist()
            assert len(one) == cut and not set(one) & set(two) and len(one) + len(two) + gap == n
            if gap:
                assert one == list(range(cut)) and two == list(range(cut + gap, n))


def test_shakespeare_parts_share_no_letter():
    first, second = split_samples({"R": 300}, train=0.5, seed=0, gap=SHAKESPEARE_GAP)
    last_letter_of_train = first["R"].max() + 79
    assert second["R"].min() > last_letter_of_train - 1  # window i holds letters i to i + 79


def test_users_are_split_and_small_ones_removed():
    one, two = split_users([f"u{i}" for i in range(30)], train=0.9, seed=1)
    assert len(one) == 27 and set(one) | set(two) == {f"u{i}" for i in range(30)} and not set(one) & set(two)
    assert remove_users({"a": 2, "b": 3}, more_than=2) == {"b": 3}


def test_taken_samples_of_a_client():
    client = ClientData("a", np.arange(8.0)[:, None], np.arange(8))
    part = client.take(sample_niid({"a": 8}, fraction=0.5, seed=0)["a"])
    assert part.name == "a" and len(part) == 4 and np.array_equal(part.x[:, 0], part.y)


@pytest.mark.parametrize(
    ("call", "code"),
    [
        (lambda: sample_niid({"a": 1}, fraction=0.0, seed=0), "137"),
        (lambda: sample_niid({"a": 1}, fraction=1.5, seed=0), "137"),
        (lambda: sample_niid({"a": 0}, fraction=0.5, seed=0), "137"),
        (lambda: sample_iid({"a": 9}, fraction=0.5, users=1.0, seed=-1), "137"),
        (lambda: split_samples({"a": 9}, train=1.0, seed=0), "137"),
        (lambda: split_samples({"a": 9}, train=0.5, seed=0, gap=-1), "137"),
        (lambda: split_users("ab", train=0.0, seed=0), "137"),
        (lambda: split_users("a", train=0.9, seed=0), "138"),
    ],
)
def test_settings_out_of_bounds(call, code):
    with pytest.raises(TaskError, match=f"SFM-{code}"):
        call()
