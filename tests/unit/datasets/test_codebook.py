# SPDX-License-Identifier: Apache-2.0
"""The encoding keeps its norm bound, acts on each record by itself, and refuses what does not fit."""

import dataclasses
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from secure_fedmeta.datasets.codebook import Codebook, CodebookError, Feature

BOOK = Codebook.load()
LOW = np.array([feature.low for feature in BOOK.features])
HIGH = np.array([feature.high for feature in BOOK.features])


def draw(seed: int, n: int = 7) -> np.ndarray:
    return LOW + np.random.default_rng(seed).random((n, len(LOW))) * (HIGH - LOW)


def test_bundled_limits_hold_all_records_and_are_not_the_datas_extremes() -> None:
    from sklearn.datasets import load_breast_cancer

    bunch = load_breast_cancer()
    assert [feature.name for feature in BOOK.features] == list(bunch.feature_names)
    assert BOOK.check_ranges(bunch.data, on_outside="refuse")[1] == 0
    for feature, column in zip(BOOK.features, bunch.data.T, strict=True):
        assert column.max() <= 0.95 * feature.high
        assert column.min() >= 1.05 * feature.low
        assert len(feature.origin) > 40
        assert feature.unit
        assert float(f"{feature.high:.3g}" if feature.high == 127.5 else f"{feature.high:.2g}") == pytest.approx(
            feature.high, rel=0.005
        )


@given(seed=st.integers(0, 2**32 - 1), gain=st.floats(0.1, 50.0), constant=st.floats(0.01, 0.99))
def test_no_row_is_longer_than_the_bound(seed: int, gain: float, constant: float) -> None:
    book = dataclasses.replace(BOOK, gain=gain, constant=constant)
    corners = np.stack([LOW, HIGH, np.where(np.random.default_rng(seed).random(30) < 0.5, LOW, HIGH)])
    rows = book.encode(np.concatenate([draw(seed), corners]))
    assert np.sqrt(np.sum(rows * rows, axis=1)).max() <= book.norm_bound
    assert np.linalg.norm(rows, axis=1).max() <= book.norm_bound
    assert np.allclose(rows[:, -1], constant)


@given(seed=st.integers(0, 2**32 - 1), n=st.integers(1, 9))
def test_a_row_depends_on_its_own_record_alone(seed: int, n: int) -> None:
    features = draw(seed, n + 1)
    together = BOOK.encode(features)
    assert np.array_equal(together[:n], BOOK.encode(features[:n]))
    assert np.array_equal(together[n:], BOOK.encode(features[n:]))


def test_the_encoding_is_monotone_and_centred() -> None:
    book = Codebook(
        "t",
        1,
        (
            Feature("a", 1.0, 100.0, transform="log"),
            Feature("b", 0.0, 4.0, transform="sqrt"),
            Feature("c", 0.0, 2.0),
        ),
        constant=0.1,
        gain=0.1,
    )
    rows = book.encode(np.array([[10.0, 1.0, 1.0], [1.0, 0.0, 0.0], [100.0, 4.0, 2.0]]))
    assert np.allclose(rows[0, :3], 0.0)
    assert np.allclose(rows[1, :3], -0.1 / np.sqrt(3))
    assert np.allclose(rows[2, :3], 0.1 / np.sqrt(3))


def test_a_value_outside_is_refused_without_being_shown() -> None:
    features = draw(1)
    features[3, 0] = 4321.75
    with pytest.raises(CodebookError) as caught:
        BOOK.check_ranges(features, on_outside="refuse")
    assert caught.value.code == "SFM-135"
    assert "mean radius" in str(caught.value)
    assert "4321" not in str(caught.value)
    with pytest.raises(CodebookError, match="SFM-135"):
        BOOK.encode(features)


def test_clipping_counts_and_leaves_the_rest_as_it_was() -> None:
    features = draw(2)
    features[0, 0], features[1, 5] = 1e9, -1e9
    clipped, count = BOOK.check_ranges(features, on_outside="clip")
    assert count == 2
    assert clipped[0, 0] == HIGH[0]
    assert clipped[1, 5] == LOW[5]
    assert np.array_equal(clipped[2:], features[2:])
    assert features[0, 0] == 1e9


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("choice", ["refuse", "clip"])
def test_nan_and_infinity_are_always_refused(bad: float, choice: str) -> None:
    features = draw(3)
    features[0, 1] = bad
    with pytest.raises(CodebookError, match=r"SFM-134.*mean texture"):
        BOOK.check_ranges(features, on_outside=choice)  # type: ignore[arg-type]


@pytest.mark.parametrize("features", [np.ones(30), np.ones((2, 29)), np.array([["x"] * 30])])
def test_other_shapes_and_kinds_are_refused(features: np.ndarray) -> None:
    with pytest.raises(CodebookError, match="SFM-133"):
        BOOK.encode(features)


def test_an_unknown_choice_is_refused() -> None:
    with pytest.raises(CodebookError, match="SFM-136"):
        BOOK.check_ranges(draw(0), on_outside="ignore")  # type: ignore[arg-type]


def test_the_digest_follows_what_decides_the_encoding_and_nothing_else() -> None:
    first = BOOK.features[0]
    others = [
        dataclasses.replace(BOOK, gain=5.0),
        dataclasses.replace(BOOK, constant=0.5),
        dataclasses.replace(BOOK, version=2),
        dataclasses.replace(BOOK, features=BOOK.features[:-1]),
        dataclasses.replace(BOOK, features=(dataclasses.replace(first, low=5.5), *BOOK.features[1:])),
        dataclasses.replace(BOOK, features=(dataclasses.replace(first, weight=1.0), *BOOK.features[1:])),
        dataclasses.replace(BOOK, features=(dataclasses.replace(first, transform="sqrt"), *BOOK.features[1:])),
    ]
    assert len({book.digest() for book in [BOOK, *others]}) == len(others) + 1
    told = dataclasses.replace(BOOK, features=(dataclasses.replace(first, origin=""), *BOOK.features[1:]))
    assert told.digest() == BOOK.digest()
    assert len(BOOK.digest()) == 32


HEAD = '[codebook]\nname = "t"\nversion = 1\n'
GOOD = '[[feature]]\nname = "a"\nlow = 0.0\nhigh = 1.0\n'


def test_text_is_loaded() -> None:
    assert Codebook.load(HEAD + GOOD).features == (Feature("a", 0.0, 1.0),)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("[codebook", "SFM-131"),
        (GOOD, "SFM-131"),
        (HEAD, "SFM-131"),
        (HEAD + GOOD + "[other]\n", "SFM-131"),
        (HEAD + GOOD + 'colour = "red"\n', "SFM-131"),
        (HEAD + "typo = 1\n" + GOOD, "SFM-131"),
        ('codebook = "no table"\n' + GOOD, "SFM-131"),
        (HEAD + GOOD + GOOD, "SFM-132"),
        (HEAD + GOOD.replace("1.0", "0.0"), "SFM-132"),
        (HEAD + GOOD.replace("1.0", "inf"), "SFM-132"),
        (HEAD + GOOD.replace("1.0", json.dumps("one")), "SFM-132"),
        (HEAD + GOOD + 'transform = "log"\n', "SFM-132"),
        (HEAD + GOOD.replace("0.0", "-1.0") + 'transform = "sqrt"\n', "SFM-132"),
        (HEAD + GOOD + 'transform = "cube"\n', "SFM-132"),
        (HEAD + GOOD + "weight = 0.0\n", "SFM-132"),
        (HEAD + "constant = 1.0\n" + GOOD, "SFM-132"),
        (HEAD + "gain = -1.0\n" + GOOD, "SFM-132"),
    ],
)
def test_a_bad_codebook_is_refused_with_its_number(text: str, code: str) -> None:
    with pytest.raises(CodebookError) as caught:
        Codebook.load(text)
    assert caught.value.code == code
    assert caught.value.what
    assert caught.value.where
    assert caught.value.remedy


@pytest.mark.parametrize("ranges", [[], [(1.0, 0.0)], [(0.0, float("nan"))], [(1.0,)], [("a", "b")], 3])
def test_bad_ranges_are_refused(ranges: object) -> None:
    with pytest.raises(CodebookError, match=r"SFM-13[12]"):
        Codebook.from_ranges(ranges)  # type: ignore[arg-type]
