# SPDX-License-Identifier: Apache-2.0
"""Labelled arrays with public ranges: scikit-learn's bundled real sets, and their split over clients by label.

Ranges come from what instruments, definitions or physiology allow, never from the data: a scaler that was fitted on
records is a release that nobody accounts for.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from secure_fedmeta.datasets.clients import ClientData, Index, TaskError, numbers
from secure_fedmeta.datasets.codebook import Codebook

Bundled = Literal["digits", "breast_cancer", "diabetes", "wine"]

_WINE = (
    (8.0, 16.0),  # alcohol, % by volume: what still wine holds
    (0.0, 10.0),  # malic acid, g/l
    (0.0, 5.0),  # ash, g/l
    (0.0, 40.0),  # alcalinity of ash, meq/l
    (0.0, 250.0),  # magnesium, mg/l
    (0.0, 6.0),  # total phenols, g/l
    (0.0, 6.0),  # flavanoids, g/l
    (0.0, 1.5),  # other phenols, g/l
    (0.0, 6.0),  # proanthocyanins, g/l
    (0.0, 20.0),  # colour intensity: absorbance, 20 is the end of the scale
    (0.0, 2.5),  # hue, ratio of two absorbances
    (0.0, 5.0),  # OD280/OD315 of the diluted wine, ratio of two absorbances
    (0.0, 2500.0),  # proline, mg/l
)
_DIABETES = (
    (0.0, 120.0),  # age, years
    (1.0, 2.0),  # sex, as coded in the file
    (10.0, 60.0),  # body mass index, kg/m^2
    (40.0, 200.0),  # mean arterial pressure, mm Hg
    (50.0, 500.0),  # total cholesterol, mg/dl
    (10.0, 400.0),  # low-density lipoproteins, mg/dl
    (5.0, 150.0),  # high-density lipoproteins, mg/dl
    (1.0, 15.0),  # ratio of total to high-density cholesterol
    (2.0, 8.0),  # natural log of triglycerides, mg/dl: 7 to 3000
    (40.0, 400.0),  # glucose, mg/dl
)


@dataclass(frozen=True, slots=True, eq=False)
class Labelled:
    """Samples `x` (n, ...) with labels `y` (n,): whole numbers for classes, any numbers for regression.

    `ranges` holds a public (low, high) for each column of an (n, d) `x`, or is None.

    Raises:
        TaskError: SFM-133 mixed types, wrong shapes, lengths that differ; SFM-134 NaN or infinity; SFM-137 ranges.

    Example:
        >>> Labelled("mine", np.eye(3), np.array([0, 1, 1])).places()[1].tolist()
        [1, 2]
    """

    name: str
    x: NDArray[np.generic]
    y: NDArray[np.generic]
    ranges: tuple[tuple[float, float], ...] | None = None

    def __post_init__(self) -> None:
        where = f"data {self.name!r}"
        x, y = numbers(self.x, where), numbers(self.y, where)
        if y.ndim != 1 or len(x) != len(y) or x.ndim < 2:
            what = f"inputs of shape {x.shape}, labels of shape {y.shape}"
            raise TaskError("SFM-133", what, where, "pass inputs (n, ...) and labels (n,)")
        if self.ranges is not None and (
            x.ndim != 2 or len(self.ranges) != x.shape[1] or not all(low < high for low, high in self.ranges)
        ):
            raise TaskError("SFM-137", "ranges do not fit", where, "give (low, high) with low < high for each column")
        object.__setattr__(self, "x", x)
        object.__setattr__(self, "y", y)

    def __len__(self) -> int:
        """Number of samples."""
        return len(self.y)

    def __repr__(self) -> str:
        return f"Labelled({self.name!r}, <{len(self)} samples>)"

    def scaled(self, low: float = -1.0, high: float = 1.0) -> Labelled:
        """Each column brought from its public range to [low, high]; values outside the range are clipped to it.

        Raises:
            TaskError: SFM-137 without ranges, or low not below high.

        Example:
            >>> Labelled("mine", np.array([[5.0], [40.0]]), np.array([0, 1]), ((0.0, 10.0),)).scaled().x.tolist()
            [[0.0], [1.0]]
        """
        if self.ranges is None or not low < high:
            raise TaskError("SFM-137", "no ranges to scale by, or none to scale to", f"data {self.name!r}", "give them")
        least, most = np.array(self.ranges, dtype=np.float64).T
        unit = (np.clip(np.asarray(self.x, dtype=np.float64), least, most) - least) / (most - least)
        return Labelled(self.name, low + (high - low) * unit, self.y)

    def places(self) -> dict[int, Index]:
        """Where the samples of each class are, classes in ascending order.

        Raises:
            TaskError: SFM-133 when labels are no whole numbers: a regression target has no classes.
        """
        if self.y.dtype == np.float64 and not np.array_equal(self.y, np.rint(np.asarray(self.y, dtype=np.float64))):
            raise TaskError("SFM-133", "labels are not whole numbers", f"data {self.name!r}", "classes are needed here")
        labels = np.asarray(self.y).astype(np.int64)
        order = np.argsort(labels, kind="stable")
        values, starts = np.unique(labels[order], return_index=True)
        parts = np.split(order.astype(np.int64), starts[1:])
        return {int(value): part for value, part in zip(values, parts, strict=True)}

    def take(self, index: Index) -> Labelled:
        """The samples at these positions, in this order."""
        return Labelled(self.name, self.x[index], self.y[index], self.ranges)

    def split_classes(self, held_out: int, *, seed: int) -> tuple[Labelled, Labelled]:
        """Samples of some classes for training, of `held_out` others for testing: no class is in both.

        Raises:
            TaskError: SFM-138 when a side would have no class.
        """
        places = self.places()
        if not 0 < held_out < len(places) or seed < 0:
            what = f"{held_out} of {len(places)} classes held out, seed {seed}"
            raise TaskError("SFM-138", what, f"data {self.name!r}", "leave classes on both sides; use a seed >= 0")
        order = np.random.default_rng(seed).permutation(np.array(list(places)))
        test, train = order[:held_out], order[held_out:]
        sides = (np.sort(np.concatenate([places[int(label)] for label in side])) for side in (train, test))
        first, second = sides
        return self.take(first), self.take(second)

    def without_small_classes(self, samples: int) -> Labelled:
        """Only the classes that have at least this many samples.

        Raises:
            TaskError: SFM-138 when none has.
        """
        kept = [held for held in self.places().values() if len(held) >= samples]
        if not kept:
            what = f"no class has {samples} samples"
            raise TaskError("SFM-138", what, f"data {self.name!r}", "ask for fewer samples")
        return self.take(np.sort(np.concatenate(kept)))


def bundled(name: Bundled) -> Labelled:
    """One of scikit-learn's bundled real sets, raw, with public ranges; `.scaled()` brings it to [-1, 1].

    digits: 1 797 images 8 x 8 (64 counts from 0 to 16), 10 classes. breast_cancer: 569 patients, 30 features, 1 is
    malignant (the file says 0). wine: 178 wines, 13 features, 3 cultivars. diabetes: 442 patients, 10 features in
    their own units, label = progression after a year (25 to 346), a regression.

    Raises:
        TaskError: SFM-137 for another name.

    Example:
        >>> [(len(bundled(name)), bundled(name).x.shape[1]) for name in ("digits", "breast_cancer", "diabetes", "wine")]
        [(1797, 64), (569, 30), (442, 10), (178, 13)]
    """
    from sklearn import datasets

    if name == "digits":
        held = datasets.load_digits()
        return Labelled(name, held.data, held.target, ((0.0, 16.0),) * 64)
    if name == "breast_cancer":
        held = datasets.load_breast_cancer()
        limits = tuple((feature.low, feature.high) for feature in Codebook.load().features)
        return Labelled(name, held.data, 1 - held.target, limits)
    if name == "diabetes":
        held = datasets.load_diabetes(scaled=False)
        return Labelled(name, held.data, held.target, _DIABETES)
    if name == "wine":
        held = datasets.load_wine()
        return Labelled(name, held.data, held.target, _WINE)
    raise TaskError("SFM-137", f"unknown set {name!r}", "bundled", "use digits, breast_cancer, diabetes or wine")


def by_label_shards(data: Labelled, *, clients: int, shards: int = 2, seed: int) -> tuple[ClientData, ...]:
    """Clients that each hold few labels: sort by label, cut into clients * shards pieces, deal `shards` to each.

    The non-iid split of McMahan et al. 2017 (arXiv 1602.05629v4, section 3). Every sample goes to exactly one client;
    pieces differ by at most one sample. Samples of one label are shuffled first; a client's are in random order.

    Raises:
        TaskError: SFM-137 for counts below one or a negative seed; SFM-138 for more pieces than samples.

    Example:
        >>> held = by_label_shards(bundled("digits"), clients=100, seed=0)
        >>> len(held), sum(map(len, held)), max(client.classes for client in held) <= 4
        (100, 1797, True)
    """
    where, pieces = f"data {data.name!r}", clients * shards
    if min(clients, shards) < 1 or seed < 0:
        raise TaskError("SFM-137", f"{clients} clients, {shards} shards, seed {seed}", where, "use positive counts")
    if pieces > len(data):
        raise TaskError("SFM-138", f"{pieces} shards of {len(data)} samples", where, "use fewer clients or shards")
    rng = np.random.default_rng(seed)
    ordered = np.concatenate([rng.permutation(held) for held in data.places().values()])
    parts = np.array_split(ordered, pieces)
    dealt = rng.permutation(pieces).reshape(clients, shards)
    width = len(str(clients - 1))
    made = []
    for client, mine in enumerate(dealt):
        index = rng.permutation(np.concatenate([parts[piece] for piece in mine]))
        made.append(ClientData(f"{data.name}-{client:0{width}d}", data.x[index], data.y[index]))
    return tuple(made)
