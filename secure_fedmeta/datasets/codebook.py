# SPDX-License-Identifier: Apache-2.0
"""Public feature ranges, and the encoding of one record into a bounded row.

Ranges, transforms and constants come from a committed file, never from data: a scaler that was fitted on
patients is a release (privacy loss that nobody accounts for). A row is encoded by itself, so adding a patient
moves no other row.
"""

from __future__ import annotations

import hashlib
import json
import math
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any, Literal, cast

import numpy as np
from numpy.typing import NDArray

from secure_fedmeta.datasets.records import DataError

Float = NDArray[np.float64]
Transform = Literal["linear", "log", "sqrt"]
OnOutside = Literal["refuse", "clip"]

_TRANSFORMS = ("linear", "log", "sqrt")
_MARGIN = 1.0 - 2.0**-40
"""Rows are shortened by this, so that rounding in float64 never carries a norm over the bound."""


class CodebookError(DataError):
    """A codebook that cannot be used (SFM-131, -132), or features that do not fit it (SFM-133 to -136)."""


@dataclass(frozen=True, slots=True)
class Feature:
    """One column: public limits, unit, and the scale on which distances are meaningful.

    `low` and `high` are what instrument or definition allow (`origin` says why); log needs low > 0, sqrt
    low >= 0. `weight` is public too: columns that measure one quantity can share the weight of one.

    >>> Feature("age", 0.0, 120.0, "year", "linear", origin="the oldest person known reached 122").high
    120.0
    """

    name: str
    low: float
    high: float
    unit: str = "1"
    transform: Transform = "linear"
    weight: float = 1.0
    origin: str = ""

    def __post_init__(self) -> None:
        where = f"feature {self.name!r}"
        kind = self.transform
        if kind not in _TRANSFORMS:
            raise CodebookError("SFM-132", "unknown transform", where, f"use one of {', '.join(_TRANSFORMS)}")
        if not (_is_number(self.low) and _is_number(self.high) and 0.0 < self.high - self.low < math.inf):
            raise CodebookError("SFM-132", "limits are no finite numbers, low < high", where, "correct them")
        if not (_is_number(self.weight) and self.weight > 0.0):
            raise CodebookError("SFM-132", "the weight is not a positive number", where, "correct the weight")
        if (kind == "log" and self.low <= 0.0) or (kind == "sqrt" and self.low < 0.0):
            raise CodebookError("SFM-132", f"the low limit forbids {kind}", where, "raise it, or use linear")


@dataclass(frozen=True, slots=True)
class Codebook:
    """Public encoding of p features into rows of p + 1 numbers with norm at most `norm_bound` (R).

    Values are brought to [-1, 1] between the (transformed) limits, times gain * weight / ||weights||; a row
    longer than sqrt(R^2 - constant^2) is projected to that length; the constant feature is appended. Only
    public numbers and the row itself are used, which is what the sensitivity proofs ask of an encoding.

    >>> book = Codebook.from_ranges([(0.0, 10.0), (-1.0, 1.0)], constant=0.6, gain=1.0)
    >>> book.encode(np.array([[10.0, 0.0]])).round(3).tolist()
    [[0.707, 0.0, 0.6]]
    >>> bool(np.linalg.norm(book.encode(np.array([[10.0, 1.0]]))) <= 1.0)
    True
    """

    name: str
    version: int
    features: tuple[Feature, ...]
    norm_bound: float = 1.0
    constant: float = 0.4
    gain: float = 4.0

    def __post_init__(self) -> None:
        numbers = (self.norm_bound, self.constant, self.gain)
        if not all(_is_number(value) and value > 0.0 for value in numbers) or self.constant >= self.norm_bound:
            raise self._invalid("norm_bound, constant and gain must be positive, constant below norm_bound")
        names = [feature.name for feature in self.features]
        if not names or len(set(names)) != len(names) or not all(isinstance(n, str) and n for n in names):
            raise self._invalid("there must be features, each with its own name")

    @classmethod
    def load(cls, text: str | None = None) -> Codebook:
        """The codebook in `text` (TOML), or the bundled one of the 30 aspirate features.

        >>> book = Codebook.load()
        >>> book.name, len(book.features), book.width
        ('breast-fna', 30, 31)
        """
        if text is None:
            text = (resources.files("secure_fedmeta.datasets") / "codebook.toml").read_text(encoding="utf-8")
        try:
            tables = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise CodebookError("SFM-131", "not valid TOML", str(error), "correct the file there") from error
        try:
            head, features = tables.pop("codebook"), tables.pop("feature")
            if tables:
                raise CodebookError("SFM-131", f"unknown table {min(tables)!r}", "codebook", "remove it")
            return cls(features=tuple(Feature(**cast("dict[str, Any]", entry)) for entry in features), **head)
        except (KeyError, TypeError, AttributeError) as error:
            remedy = "give [codebook] with name and version, and one [[feature]] for each column"
            raise CodebookError("SFM-131", "a key or table is missing or unknown", str(error), remedy) from error

    @classmethod
    def from_ranges(
        cls,
        ranges: Sequence[tuple[float, float]],
        *,
        norm_bound: float = 1.0,
        constant: float = 0.4,
        gain: float = 4.0,
    ) -> Codebook:
        """A codebook for your own arrays: one public (low, high) for each column, all linear.

        Take the pairs from what is known without your data (physics, law, the form's own limits).

        >>> Codebook.from_ranges([(0.0, 120.0), (30.0, 250.0)]).features[1].name
        'column 1'
        """
        try:
            limits = [(float(low), float(high)) for low, high in ranges]
        except (TypeError, ValueError) as error:
            raise CodebookError("SFM-131", "not pairs", "ranges", "pass [(low, high), ...]") from error
        features = tuple(Feature(f"column {j}", low, high) for j, (low, high) in enumerate(limits))
        return cls("ranges", 1, features, norm_bound, constant, gain)

    def digest(self) -> bytes:
        """SHA-256 of everything that decides how a row is encoded; units and origins are left out.

        >>> book = Codebook.load()
        >>> book.digest() == Codebook.load().digest()
        True
        """
        columns = [(f.name, f.transform, *map(_hex, (f.low, f.high, f.weight))) for f in self.features]
        numbers = [*map(_hex, (self.norm_bound, self.constant, self.gain))]
        text = json.dumps(["sfm-codebook/1", self.name, self.version, numbers, columns])
        return hashlib.sha256(text.encode()).digest()

    @property
    def width(self) -> int:
        """Length of an encoded row: one more than the number of features."""
        return len(self.features) + 1

    def check_ranges(self, features: Float, *, on_outside: OnOutside) -> tuple[Float, int]:
        """Compare (n, p) features with the public limits, once, on the site, before it registers.

        Returns the features and how many values were clipped; with "refuse" a value outside raises
        CodebookError (SFM-135) that names the column and no value. NaN and infinity are always refused
        (SFM-134). The count stays on the site.

        >>> book = Codebook.from_ranges([(0.0, 1.0)])
        >>> book.check_ranges(np.array([[0.5], [3.0]]), on_outside="clip")[1]
        1
        """
        if on_outside not in {"refuse", "clip"}:
            raise CodebookError("SFM-136", "unknown choice", "on_outside", "use 'refuse' or 'clip'")
        values = self._matrix(features)
        low, high = self._limits()
        outside = (values < low) | (values > high)
        if on_outside == "refuse" and outside.any():
            column = int(np.flatnonzero(outside.any(axis=0))[0])
            what, remedy = (
                "a value lies outside its public range",
                "check the unit, remove the record, or clip",
            )
            raise CodebookError("SFM-135", what, self._where(column), remedy)
        clipped: Float = np.clip(values, low, high)
        return clipped, int(outside.sum())

    def encode(self, features: Float) -> Float:
        """Encode (n, p) features inside their limits into (n, p + 1) rows of norm at most `norm_bound`.

        Refuses what `check_ranges(..., on_outside="refuse")` refuses. Row i depends on record i alone.
        """
        values, _ = self.check_ranges(features, on_outside="refuse")
        rows: Float = np.empty((len(values), self.width))
        for j, feature in enumerate(self.features):
            kind = feature.transform
            low, high = _apply(kind, np.float64(feature.low)), _apply(kind, np.float64(feature.high))
            rows[:, j] = 2.0 * (_apply(kind, values[:, j]) - low) / (high - low) - 1.0
        body = rows[:, :-1]
        weights = np.array([feature.weight for feature in self.features])
        body *= self.gain * weights / math.sqrt(float(weights @ weights))
        radius = math.sqrt(self.norm_bound**2 - self.constant**2) * _MARGIN
        length = np.sqrt(np.sum(body * body, axis=1, keepdims=True))
        body *= radius / np.maximum(length, radius)
        rows[:, -1] = self.constant * _MARGIN
        return rows

    def _matrix(self, features: Float) -> Float:
        try:
            values = np.asarray(features, dtype=np.float64)
        except (TypeError, ValueError) as error:
            raise CodebookError("SFM-133", "not numbers", self.name, "pass a numeric array") from error
        if values.ndim != 2 or values.shape[1] != len(self.features):
            what, remedy = f"features have shape {values.shape}", f"pass shape (n, {len(self.features)})"
            raise CodebookError("SFM-133", what, self.name, remedy)
        if not np.isfinite(values).all():
            column = int(np.flatnonzero(~np.isfinite(values).all(axis=0))[0])
            raise CodebookError("SFM-134", "NaN or infinity", self._where(column), "impute or remove these")
        return values

    def _limits(self) -> tuple[Float, Float]:
        return np.array([f.low for f in self.features]), np.array([f.high for f in self.features])

    def _where(self, column: int) -> str:
        return f"column {column}, {self.features[column].name!r}"

    def _invalid(self, what: str) -> CodebookError:
        return CodebookError("SFM-132", what, f"codebook {self.name!r}", "correct the codebook")


def _hex(value: float) -> str:
    """The exact value, as text."""
    return float(value).hex()


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _apply(transform: Transform, values: Any) -> Any:
    """The monotone transform of values that lie inside their limits."""
    if transform == "log":
        return np.log(values)
    return np.sqrt(values) if transform == "sqrt" else values
