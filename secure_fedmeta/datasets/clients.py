# SPDX-License-Identifier: Apache-2.0
"""What one client of a population holds, and how its samples become a task."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from secure_fedmeta.datasets.records import DataError
from secure_fedmeta.tasks import Task

Float = NDArray[np.float64]
Index = NDArray[np.int64]


class TaskError(DataError):
    """Arrays or settings that make no tasks.

    SFM-133 wrong shape or type, SFM-134 NaN or infinity, SFM-137 settings out of bounds, SFM-138 too few samples or
    classes.
    """


@dataclass(frozen=True, slots=True, eq=False)
class ClientData:
    """Samples of one client: `x` (n, ...) numbers, `y` (n,) or (n, ...) numbers, n >= 1; read-only views.

    Floats become float64, booleans and integers int64 (pixels in uint8 stay, they are eight times smaller). One client
    with a single class is allowed: in LEAF's sets that is a fact of the population, not a fault.

    Raises:
        TaskError: SFM-133 no numbers, no samples or lengths that differ; SFM-134 NaN or infinity.

    Example:
        >>> client = ClientData("f_00001", np.eye(4), np.array([0, 1, 1, 0]))
        >>> client, client.classes
        (ClientData('f_00001', <4 samples>), 2)
    """

    name: str
    x: NDArray[np.generic]
    y: NDArray[np.generic]

    def __post_init__(self) -> None:
        where = f"client {self.name!r}"
        x, y = numbers(self.x, where), numbers(self.y, where)
        if len(x) != len(y):
            raise TaskError("SFM-133", f"{len(x)} inputs and {len(y)} labels", where, "give each sample one label")
        object.__setattr__(self, "x", x)
        object.__setattr__(self, "y", y)

    def __len__(self) -> int:
        """Number of samples."""
        return len(self.y)

    def __repr__(self) -> str:
        return f"ClientData({self.name!r}, <{len(self)} samples>)"

    @property
    def classes(self) -> int:
        """How many distinct labels the client holds."""
        return len(np.unique(self.y, axis=0))

    def take(self, index: Index) -> ClientData:
        """The samples at these positions, in this order, under the same name."""
        return ClientData(self.name, self.x[index], self.y[index])

    def task(self, support: float, *, seed: int, min_classes: int = 1) -> Task:
        """Adapt on a share `support` of the samples (FedMeta's 0.2, 0.5, 0.9), judge on the rest.

        Support takes floor(support * n) samples but at least one, and leaves at least one for the query. Which ones
        follows from the seed and the client's name alone, so adding a client changes no other client's split. That is
        the right split for client- and task-level privacy, where the whole client is the unit; for record level use
        `secure_fedmeta.tasks.register`, where a record's role never depends on other records.

        Shapes: rows (s, d) and (m, d) float64, inputs flattened to d numbers; labels as they are, in float64.

        Raises:
            TaskError: SFM-137 support is not between 0 and 1; SFM-138 fewer than two samples, or fewer classes than
                `min_classes`. Nobody is left out silently: the caller decides (`len(client)`, `client.classes`).

        Example:
            >>> task = ClientData("a", np.arange(10.0)[:, None], np.arange(10) % 2).task(0.2, seed=0)
            >>> task.support_rows.shape, task.query_rows.shape
            ((2, 1), (8, 1))
        """
        where, n = f"client {self.name!r}", len(self)
        if not 0.0 < support < 1.0:
            raise TaskError("SFM-137", "the support share is not between 0 and 1", where, "use for instance 0.2")
        if n < 2:
            raise TaskError("SFM-138", "one sample makes no task", where, "leave this client out, or pool it")
        if self.classes < min_classes:
            what, remedy = f"{self.classes} classes where {min_classes} are asked for", "leave this client out"
            raise TaskError("SFM-138", what, where, remedy)
        cut = min(max(1, int(support * n)), n - 1)
        order = named_rng(seed, self.name).permutation(n)
        rows = np.asarray(self.x, dtype=np.float64).reshape(n, -1)
        labels = np.asarray(self.y, dtype=np.float64)
        first, rest = order[:cut], order[cut:]
        return Task(rows[first], labels[first], rows[rest], labels[rest])


def named_rng(seed: int, name: str) -> np.random.Generator:
    """A generator of this seed and this name: the same for every order and number of clients. Not for noise.

    Example:
        >>> bool(named_rng(0, "a").integers(100) == named_rng(0, "a").integers(100))
        True
    """
    if seed < 0:
        raise TaskError("SFM-137", "the seed is negative", f"seed of {name!r}", "use a seed >= 0")
    words = np.frombuffer(hashlib.sha256(name.encode()).digest(), dtype="<u4")
    return np.random.default_rng([seed, *words.tolist()])


def numbers(values: NDArray[np.generic] | Sequence[object], where: str) -> NDArray[np.generic]:
    """The values as a read-only array of float64, int64 or uint8 with a first axis that is not empty.

    Raises:
        TaskError: SFM-133 mixed types (strings, None, ragged rows, complex, masked) or no samples; SFM-134.
    """
    if np.ma.isMaskedArray(values):
        raise TaskError("SFM-133", "the array is masked", where, "impute missing values; pass a plain array")
    try:
        array = np.asarray(values)
    except ValueError as error:
        raise TaskError("SFM-133", "rows of different lengths", where, "give all samples the same shape") from error
    kind = array.dtype.kind
    if kind not in "biuf":
        what = "not numbers, or numbers mixed with something else"
        raise TaskError("SFM-133", what, where, "pass one numeric array, without strings, None or complex numbers")
    if array.ndim < 1 or array.size == 0:
        raise TaskError("SFM-133", f"no samples: shape {array.shape}", where, "leave empty clients out")
    if kind == "u" and array.dtype.itemsize == 8 and array.max() > np.iinfo(np.int64).max:
        raise TaskError("SFM-133", "whole numbers beyond 63 bits", where, "use smaller ones")
    if kind == "f" and not np.isfinite(array).all():
        raise TaskError("SFM-134", "NaN or infinity", where, "impute or remove these samples")
    if array.dtype != np.uint8:
        array = array.astype(np.float64 if kind == "f" else np.int64, copy=False)
    view = array.view()
    view.flags.writeable = False
    return view
