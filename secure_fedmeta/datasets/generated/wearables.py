# SPDX-License-Identifier: Apache-2.0
"""The wearables pilot: thousands of people, each with windows of a wrist sensor and the activity of each window.

Generated; no wearer exists. A window of five seconds at 20 Hz holds three axes. Wearer u has a gait frequency f_u ~
N(1.75, 0.18) Hz, a vigour e_u (lognormal, 0.4), a gain g_u (lognormal, 0.2), a placement R_u (a rotation by angles ~
N(0, 0.9)) and a share of each activity. With the activity's amplitude A, harmonic h and posture p:

    signal(t) = g_u R_u (p + A e_u [sin 2 pi m f_u t, h sin 4 pi m f_u t + phi, 0.5 sin (2 pi m f_u t + psi)] + N(0, s))

Sixteen features of a window, by definition within public limits: mean, deviation and mean absolute step of each axis
and of the length, the strongest frequency, its share of the power, and two correlations. Realistic: placement and gait
differ so much that one model for all must fail some. Not realistic: labels are right, and the sensor never slips.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from secure_fedmeta.datasets.records import RecordsError

Float = NDArray[np.float64]

ACTIVITIES = ("rest", "desk", "walk", "run", "cycle")
WINDOWS = 20
FEATURES = (
    *(f"{what} of {axis}" for axis in ("x", "y", "z", "length") for what in ("mean", "deviation", "step")),
    "frequency", "power share", "correlation xy", "correlation yz",
)  # fmt: skip
LIMITS: tuple[tuple[float, float], ...] = (
    *(limit for _ in range(3) for limit in ((-2.0, 2.0), (0.0, 2.0), (0.0, 4.0))),
    (0.0, 3.5), (0.0, 2.0), (0.0, 4.0),
    (0.0, 10.0), (0.0, 1.0), (-1.0, 1.0), (-1.0, 1.0),
)  # fmt: skip
"""In g, Hz or shares: the sensor's range of 2 g, half the sampling rate, and definitions."""
_ROOTED = (1, 2, 4, 5, 7, 8, 10, 11)  # deviations and steps: spread by the square root

_SAMPLES, _RATE = 100, 20.0
#                       rest  desk  walk  run   cycle
_AMPLITUDE = np.array([0.01, 0.08, 0.35, 1.00, 0.25])
_SPEED = np.array([0.2, 0.5, 1.0, 1.55, 0.85])
_HARMONIC = np.array([0.2, 0.5, 0.6, 0.5, 0.15])
_POSTURE = np.array([(0, 0, 1), (0.3, 0.2, 0.93), (0.8, 0, 0.6), (0.9, 0.1, 0.4), (0.5, 0.6, 0.62)], dtype=np.float64)


@dataclass(frozen=True, slots=True, eq=False)
class Wearers:
    """People with the same number of windows each: `rows` (n, windows, 16) in [-1, 1], `labels` (n, windows) 0 to 4."""

    rows: Float
    labels: Float

    def __len__(self) -> int:
        return len(self.labels)

    def __repr__(self) -> str:
        return f"Wearers(<{len(self)} people>)"


def load_wearers(*, seed: int, users: int = 2000, later: int = 200) -> tuple[Wearers, Wearers]:
    """Those who take part, and those who come later; twenty windows each, scaled by public limits alone.

    Raises:
        RecordsError: SFM-137 for a negative seed or counts out of range.

    >>> users, later = load_wearers(seed=0, users=50, later=5)
    >>> users.rows.shape, later.labels.shape, bool(abs(users.rows).max() <= 1)
    ((50, 20, 16), (5, 20), True)
    """
    if seed < 0 or not 10 <= users <= 100_000 or not 0 <= later <= 10_000:
        raise RecordsError(
            "SFM-137",
            "these wearers cannot be made",
            f"seed {seed}, {users} users, {later} later",
            "use a seed >= 0, 10 to 100000 users and at most 10000 later ones",
        )
    rng = np.random.default_rng([seed, users, later, 0x3EA])
    made = [_people(min(500, users + later - start), rng) for start in range(0, users + later, 500)]
    rows, labels = (np.concatenate([part[at] for part in made]) for at in (0, 1))
    return Wearers(rows[:users], labels[:users]), Wearers(rows[users:], labels[users:])


def _people(n: int, rng: np.random.Generator) -> tuple[Float, Float]:
    habits = rng.dirichlet(np.full(len(ACTIVITIES), 2.0), n)
    picks = rng.random((n, WINDOWS, 1)) > np.cumsum(habits, axis=1)[:, None, :-1]
    labels = picks.sum(axis=2)
    gait, vigour = rng.normal(1.75, 0.18, n), np.exp(rng.normal(0, 0.4, n))
    gain, turn = np.exp(rng.normal(0, 0.2, n)), _rotations(rng.normal(0, 0.9, (n, 3)))
    time = np.arange(_SAMPLES) / _RATE
    speed = _SPEED[labels] * gait[:, None] * np.exp(rng.normal(0, 0.08, labels.shape))
    phase = 2 * np.pi * (speed[..., None] * time + rng.random((*labels.shape, 1)))
    size = (_AMPLITUDE[labels] * vigour[:, None])[..., None]
    shift = 2 * np.pi * rng.random((2, *labels.shape, 1))
    moves = (size * np.sin(phase), size * _HARMONIC[labels][..., None] * np.sin(2 * phase + shift[0]))
    signal = np.stack((*moves, 0.5 * size * np.sin(phase + shift[1])), axis=-1)
    signal += _POSTURE[labels][:, :, None, :] + rng.normal(0, 0.08, signal.shape)
    signal = gain[:, None, None, None] * np.einsum("uij,uwtj->uwti", turn, signal)
    return _features(np.clip(signal, -2.0, 2.0)), labels.astype(np.float64)


def _rotations(angles: Float) -> Float:
    """(n, 3, 3): about x, then y, then z."""
    (ca, cb, cc), (sa, sb, sc) = np.cos(angles).T, np.sin(angles).T
    return np.stack(
        [
            np.stack([cb * cc, sa * sb * cc - ca * sc, ca * sb * cc + sa * sc], -1),
            np.stack([cb * sc, sa * sb * sc + ca * cc, ca * sb * sc - sa * cc], -1),
            np.stack([-sb, sa * cb, ca * cb], -1),
        ],
        -2,
    )


def _features(signal: Float) -> Float:
    """(n, windows, samples, 3) to (n, windows, 16), each brought from its public limits to [-1, 1]."""
    length = np.linalg.norm(signal, axis=-1)
    tracks = [signal[..., axis] for axis in range(3)] + [length]
    columns = []
    for track in tracks:
        columns += [track.mean(-1), track.std(-1), np.abs(np.diff(track, axis=-1)).mean(-1)]
    power = np.abs(np.fft.rfft(length - length.mean(-1, keepdims=True), axis=-1)) ** 2
    total = np.maximum(power.sum(-1), 1e-12)
    columns += [np.argmax(power, -1) * _RATE / _SAMPLES, power.max(-1) / total]
    columns += [_correlation(tracks[0], tracks[1]), _correlation(tracks[1], tracks[2])]
    values = np.stack(columns, axis=-1)
    low, high = np.array(LIMITS).T
    shares = (np.clip(values, low, high) - low) / (high - low)
    shares[..., _ROOTED] = np.sqrt(shares[..., _ROOTED])
    return np.asarray(2 * shares - 1)


def _correlation(a: Float, b: Float) -> Float:
    a, b = a - a.mean(-1, keepdims=True), b - b.mean(-1, keepdims=True)
    scale = np.sqrt((a**2).sum(-1) * (b**2).sum(-1))
    return np.asarray((a * b).sum(-1) / np.maximum(scale, 1e-12))
