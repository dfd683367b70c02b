# SPDX-License-Identifier: Apache-2.0
"""How well an attack did, and how it is told."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri
from scipy.stats import rankdata

Float = NDArray[np.float64]

BARE = "one site's bare update"
MASKED = "the masked sum"
NOISED = "the masked sum with noise"
OWN_NOISE = "one site's update with its own noise"


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of an attack's result.

    Attributes:
        observed: what was attacked.
        attacker: what the attacker held besides.
        measures: by name; the first one decides.
        limits: what epsilon implies for a measure, at most; empty without noise.
        succeeded: whether the attack is a danger by the rule in `AttackReport.rule`.
        trials: how many targets (with each draw of noise) the measures are over.
    """

    observed: str
    attacker: str
    measures: Mapping[str, float]
    limits: Mapping[str, float]
    succeeded: bool
    trials: int


@dataclass(frozen=True, slots=True)
class AttackReport:
    """What was attacked, by whom, with which success, and what the figures do not say."""

    kind: str
    target: str
    rule: str
    figures: tuple[Figure, ...]
    caveat: str

    def as_json(self) -> dict[str, object]:
        """For `--format json`."""
        return {
            "kind": self.kind,
            "target": self.target,
            "rule": self.rule,
            "figures": [
                {
                    "observed": figure.observed,
                    "attacker": figure.attacker,
                    "measures": dict(figure.measures),
                    "limits": dict(figure.limits),
                    "succeeded": figure.succeeded,
                    "trials": figure.trials,
                }
                for figure in self.figures
            ],
            "caveat": self.caveat,
        }


def auc(members: Float, others: Float) -> float:
    """Chance that a member scores above a non-member, ties counted half.

    Example:
        >>> auc(np.array([2.0, 3.0]), np.array([1.0, 2.0]))
        0.875
    """
    ranks = rankdata(np.concatenate((members, others)))
    m, n = len(members), len(others)
    return float((ranks[:m].sum() - m * (m + 1) / 2) / (m * n))


def true_positives_at(members: Float, others: Float, false_positives: float) -> float:
    """Share of members above a threshold that at most this share of non-members reaches.

    Example:
        >>> true_positives_at(np.array([0.5, 2.0]), np.linspace(0, 1, 101), 0.01)
        0.5
    """
    allowed = math.floor(false_positives * len(others))
    threshold = np.sort(others)[::-1][allowed] if allowed < len(others) else -math.inf
    return float((members > threshold).mean())


def auc_limit(mu: float) -> float:
    """Largest AUC of any attack on a mu-GDP release: the area under Phi(Phi^{-1}(x) + mu), which is Phi(mu / sqrt 2).

    Source: the trade-off curve of Dong, Roth and Su 2019, definition 2.6 (arXiv 1905.02383v3), integrated.

    Example:
        >>> auc_limit(0.0), auc_limit(math.inf)
        (0.5, 1.0)
    """
    return float(ndtr(mu / math.sqrt(2)))


def true_positives_limit(mu: float, false_positives: float) -> float:
    """Largest true positive rate of any attack on a mu-GDP release at this false positive rate.

    Example:
        >>> round(true_positives_limit(1.0, 0.01), 3)
        0.092
    """
    return float(ndtr(ndtri(false_positives) + mu))
