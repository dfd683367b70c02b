# SPDX-License-Identifier: Apache-2.0
"""The hospital pilot: 569 real patients (scikit-learn's breast-cancer records) in hospitals that differ.

Three differences are simulated, all fixed by the seed: size (the largest hospital has about twice the
patients of the smallest), label share (malignant cases are 18 % of the patients in one place and 57 % in
another), and measurement (each hospital's microscope and hand have their own calibration). Records and labels
are otherwise as published.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from secure_fedmeta.datasets.codebook import Codebook
from secure_fedmeta.datasets.federation import Federation, Member
from secure_fedmeta.datasets.records import RecordsError, SiteRecords

Float = NDArray[np.float64]
Index = NDArray[np.intp]

SMALLEST_SITE = 20
"""Fewest patients for which both classes stand on both sides of the split."""
REGISTERED_SHARE = 0.6
"""Share of a member's patients that take part in training; the others are seen by the evaluation only."""

SOURCE = "Breast Cancer Wisconsin (Diagnostic): 569 real patients, bundled with scikit-learn; sites are simulated"

_SIZE_SPREAD = 0.3  # sizes run over (1 -+ spread) times the mean
_SHARES = (0.18, 0.58)  # wanted shares of malignant patients, before they are brought to the total
_SD_LENGTH = 0.08  # log of the pixel size: one factor for radius, its square for area
_SD_TEXTURE = 0.15  # log of the contrast of stain and camera
_SD_SHAPE = 0.12  # log of how closely the outline follows the membrane: one factor for each shape feature


def load_hospitals(*, seed: int, members: int = 10, unseen: int = 2) -> Federation:
    """The pilot of this seed: same seed, same patients in the same places.

    Profiles (size, label share) are fixed; the patients, the calibrations and the 60/40 split are drawn by
    the seed, and the profiles that are held out as unseen hospitals rotate with it. Features stay raw, in the
    units of the codebook and inside its limits; label 1 is malignant; ids are "patient-0000" to
    "patient-0568" in the order of the bundled file. Raises RecordsError (SFM-137) for counts that leave a
    hospital with fewer than 20 patients, or a negative seed.

    >>> site = load_hospitals(seed=3).members[0].registered
    >>> site.features.shape[1], site.ids == load_hospitals(seed=3).members[0].registered.ids
    (30, True)
    """
    from sklearn.datasets import load_breast_cancer

    bunch = load_breast_cancer()
    features: Float = np.asarray(bunch.data, dtype=np.float64)
    labels: Float = 1.0 - np.asarray(bunch.target, dtype=np.float64)  # the file codes malignant as 0
    sites = members + unseen
    if seed < 0 or members < 2 or unseen < 0 or len(labels) * (1.0 - _SIZE_SPREAD) / sites < SMALLEST_SITE:
        raise RecordsError(
            "SFM-137", "these hospitals cannot be made", f"seed {seed}, {members} members, {unseen} unseen",
            "use a seed >= 0 and 2 to 19 hospitals in all, at least 2 of them members",
        )  # fmt: skip
    rng = np.random.default_rng([seed, members, unseen])
    book = Codebook.load()
    held = []
    for index in _patients_of_sites(labels, sites, rng):
        measured = _measure(features[index], book, rng)
        ids = tuple(f"patient-{i:04d}" for i in index)
        held.append((measured, labels[index], ids))
    first = (seed * unseen) % sites
    order = [(first + unseen + k) % sites for k in range(members)] + [(first + k) % sites for k in range(unseen)]
    joined = tuple(_member(f"hospital-{k + 1:02d}", *held[order[k]], rng) for k in range(members))
    later = tuple(SiteRecords(f"unseen-{k + 1:02d}", *held[order[members + k]]) for k in range(unseen))
    return Federation(book.name, book, joined, later, generated=False, source=SOURCE)


def _patients_of_sites(labels: Float, sites: int, rng: np.random.Generator) -> list[Index]:
    """Each site's patients: sizes and label shares by profile, patients by chance, everyone exactly once."""
    ramp = np.linspace(-1.0, 1.0, sites)
    sizes = _round_to_total(1.0 + _SIZE_SPREAD * ramp, len(labels))
    # A stride of 5 (coprime to 12) sets large shares beside small ones along the sizes.
    stride = next(k for k in (5, 7, 11, 1) if np.gcd(k, sites) == 1)
    shares = np.linspace(*_SHARES, sites)[(stride * np.arange(sites)) % sites]
    malignant = _round_to_total(sizes * shares, int(labels.sum()))
    ones, zeros = (rng.permutation(np.flatnonzero(labels == value)) for value in (1.0, 0.0))
    ends_one, ends_zero = np.cumsum(malignant), np.cumsum(sizes - malignant)
    return [
        rng.permutation(np.concatenate((ones[a - m : a], zeros[b - (n - m) : b])))
        for a, b, m, n in zip(ends_one, ends_zero, malignant, sizes, strict=True)
    ]


def _round_to_total(weights: Float, total: int) -> Index:
    """Integers in proportion to the weights that add up to the total (largest remainders)."""
    exact = weights * (total / weights.sum())
    counts: Index = np.floor(exact).astype(np.intp)
    counts[np.argsort(counts - exact, kind="stable")[: total - int(counts.sum())]] += 1
    return counts


def _measure(features: Float, book: Codebook, rng: np.random.Generator) -> Float:
    """The features (n, 30) as this hospital's microscope, stain and hand record them, inside the limits.

    One factor for all lengths (area takes its square), one for grey levels, one for each of the shape
    features, the same over mean, error and worst value of a quantity.
    """
    length, texture = rng.normal(0.0, (_SD_LENGTH, _SD_TEXTURE))
    shape = rng.normal(0.0, _SD_SHAPE, 6)
    log_factor = np.tile(np.concatenate(((length, texture, length, 2.0 * length), shape)), 3)
    return book.check_ranges(features * np.exp(log_factor), on_outside="clip")[0]


def _member(name: str, features: Float, labels: Float, ids: tuple[str, ...], rng: np.random.Generator) -> Member:
    """Split a member's patients, each class by itself, so that both parts hold both classes."""
    registered: list[int] = []
    for value in (0.0, 1.0):
        order = rng.permutation(np.flatnonzero(labels == value))
        registered.extend(order[: round(REGISTERED_SHARE * len(order))].tolist())
    rest = sorted(set(range(len(labels))) - set(registered))
    site = SiteRecords(name, features, labels, ids)
    return Member(name, site.take(sorted(registered)), site.take(rest))
