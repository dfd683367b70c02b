# SPDX-License-Identifier: Apache-2.0
"""What one site holds: its patients' features, labels and ids, validated when made."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from secure_fedmeta.errors import UserError

Float = NDArray[np.float64]


class DataError(UserError):
    """A numbered error about a site's own data: what is wrong, where, and what to do.

    The text names columns and counts, never the value of a record: it may end in a log that leaves the site.

    >>> str(DataError("SFM-130", "labels are not binary", "hospital-01", "use 0 and 1"))
    'SFM-130: labels are not binary (hospital-01). Remedy: use 0 and 1.'
    """

    def __init__(self, code: str, what: str, where: str, remedy: str) -> None:
        super().__init__(what, where, remedy)
        self.code = code
        self.args = (code, what, where, remedy)  # so that a copy in another process is made from all four


class RecordsError(DataError):
    """Arrays that do not make a site's records (SFM-130)."""


def _frozen(values: NDArray[np.generic]) -> Float:
    """A read-only float64 copy, so that validated records stay as they were validated."""
    copy = np.array(values, dtype=np.float64)
    copy.flags.writeable = False
    return copy


@dataclass(frozen=True, slots=True, eq=False)
class SiteRecords:
    """The records of one site, before encoding; they never leave it.

    `features` is (n, p) float64 in the units of the codebook, `labels` is (n,) float64 of 0.0 and 1.0 (or of whole
    numbers below `classes`; with `classes` 0 any finite numbers, for regression), `ids` holds n unique strings that
    stay the same for a person over the whole run (a record's role is a keyed hash of its id). With `rows_repeat`,
    several rows may carry the id of one person. The arrays are copied and made read-only. Raises RecordsError (SFM-130)
    for anything else.

    >>> site = SiteRecords("hospital-01", np.array([[1.0, 2.0]]), np.array([1.0]), ("patient-0007",))
    >>> len(site), site.take([0]).ids
    (1, ('patient-0007',))
    """

    name: str
    features: Float
    labels: Float
    ids: tuple[str, ...]
    classes: int = 2
    rows_repeat: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name:
            raise self._error("the site has no name", "give each site a non-empty string as its name")
        for given in (self.features, self.labels):
            if np.ma.isMaskedArray(given) or np.iscomplexobj(given):
                raise self._error("an array is masked or complex", "impute missing values; pass plain real arrays")
        try:
            features, labels = _frozen(self.features), _frozen(self.labels)
        except (TypeError, ValueError) as error:
            raise self._error("features or labels are not numbers", "pass numeric numpy arrays") from error
        if isinstance(self.ids, str | bytes) or not isinstance(self.ids, Iterable):
            raise self._error("ids are not a list of strings", "pass one string for each record")
        ids = tuple(self.ids)
        if features.ndim != 2 or features.shape[1] == 0:
            raise self._error(f"features have shape {features.shape}", "pass an array of shape (records, features)")
        if labels.shape != (len(features),) or len(ids) != len(features):
            counts = f"{len(features)} rows, labels of shape {labels.shape}, {len(ids)} ids"
            raise self._error(f"lengths differ: {counts}", "give each row one label and one id")
        if not np.isfinite(features).all():
            column = int(np.flatnonzero(~np.isfinite(features).all(axis=0))[0])
            raise self._error(f"feature column {column} holds NaN or infinity", "impute or remove such records")
        self._check_labels(labels)
        if not all(isinstance(name, str) and name and name.isprintable() for name in ids):
            raise self._error("an id is not a non-empty string", "use one stable string for each person")
        if len(set(ids)) != len(ids) and not self.rows_repeat:
            raise self._error("ids are not unique", "use one record and one stable id for each person")
        object.__setattr__(self, "features", features)
        object.__setattr__(self, "labels", labels)
        object.__setattr__(self, "ids", ids)

    def _check_labels(self, labels: Float) -> None:
        if self.classes == 0:
            if not np.isfinite(labels).all():
                raise self._error("a label is NaN or infinite", "remove such records")
        elif not np.isin(labels, np.arange(float(self.classes))).all():
            if self.classes == 2:
                raise self._error("labels are not binary", "use 0 and 1")
            raise self._error(f"labels are not classes 0 to {self.classes - 1}", "code the classes from 0")

    def __len__(self) -> int:
        """Number of records."""
        return len(self.labels)

    def __repr__(self) -> str:
        return f"SiteRecords({self.name!r}, <{len(self)} records>)"

    def take(self, index: list[int] | NDArray[np.intp]) -> SiteRecords:
        """The records at these positions, in this order, under the same site name."""
        chosen = np.asarray(index, dtype=np.intp)
        ids = tuple(self.ids[i] for i in chosen)
        return SiteRecords(self.name, self.features[chosen], self.labels[chosen], ids, self.classes, self.rows_repeat)

    def _error(self, what: str, remedy: str) -> RecordsError:
        return RecordsError("SFM-130", what, f"site {self.name!r}", remedy)
