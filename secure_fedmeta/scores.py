# SPDX-License-Identifier: Apache-2.0
"""What predictions are worth: ranking, calibration, money, and what they betray about who was trained on.

Everything here reads labels, so it is simulation only or stays on a site; no number here is covered by an epsilon.
Labels are 0 and 1, scores are probabilities of 1, unless said otherwise.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float64]

BINS = 10
ACCEPTED = 0.8  # share of applicants that a lender takes
LOSS_GIVEN_DEFAULT = 0.6  # of the sum lent; the usual assumption for unsecured loans (Basel, foundation approach: 0.45)


def auroc(labels: Float, scores: Float) -> float:
    """Area under the ROC curve; NaN where one class is missing.

    >>> auroc(np.array([0.0, 1.0, 1.0]), np.array([0.1, 0.7, 0.2]))
    1.0
    """
    from sklearn.metrics import roc_auc_score

    return float(roc_auc_score(labels, scores)) if _both(labels) else float("nan")


def auprc(labels: Float, scores: Float) -> float:
    """Average precision: what AUPRC estimates without interpolation; NaN where nobody is of class 1.

    >>> auprc(np.array([0.0, 1.0]), np.array([0.2, 0.9]))
    1.0
    """
    from sklearn.metrics import average_precision_score

    return float(average_precision_score(labels, scores)) if labels.any() else float("nan")


def brier(labels: Float, scores: Float) -> float:
    """Mean squared error of the probabilities.

    >>> brier(np.array([0.0, 1.0]), np.array([0.0, 0.5]))
    0.125
    """
    return float(np.mean((scores - labels) ** 2))


def calibration_error(labels: Float, scores: Float, *, bins: int = BINS) -> float:
    """Expected calibration error: mean over bins of equal count of |mean score - share of ones|, weighted by counts.

    Even a perfectly calibrated model has an error of about sqrt(bins / n) * 0.8 * sd by chance alone, so small test
    sets look worse than they are. Source: Naeini, Cooper and Hauskrecht 2015; bins of equal count (Nguyen and
    O'Connor 2015), as bins of equal width stand almost empty for a rare class.

    >>> calibration_error(np.array([0.0, 1.0] * 10), np.full(20, 0.5), bins=1)
    0.0
    """
    order = np.argsort(scores, kind="stable")
    parts = [part for part in np.array_split(order, bins) if len(part)]
    gaps = [abs(float(np.mean(scores[part])) - float(np.mean(labels[part]))) * len(part) for part in parts]
    return sum(gaps) / len(labels)


def kolmogorov_smirnov(labels: Float, scores: Float) -> float:
    """Largest gap between hit rate and false alarms over all cut-offs, a lender's usual figure; NaN for one class.

    >>> kolmogorov_smirnov(np.array([0.0, 0.0, 1.0, 1.0]), np.array([0.1, 0.6, 0.4, 0.9]))
    0.5
    """
    from sklearn.metrics import roc_curve

    if not _both(labels):
        return float("nan")
    alarms, hits, _ = roc_curve(labels, scores)
    return float(np.max(hits - alarms))


def gini(labels: Float, scores: Float) -> float:
    """Accuracy ratio of a lender's curve: 2 AUROC - 1.

    >>> gini(np.array([0.0, 1.0]), np.array([0.2, 0.9]))
    1.0
    """
    return 2.0 * auroc(labels, scores) - 1.0


def expected_loss(
    labels: Float, scores: Float, *, accepted: float = ACCEPTED, loss_given_default: float = LOSS_GIVEN_DEFAULT
) -> float:
    """Share of the lent money that is lost if the `accepted` share of applicants with the lowest scores get a loan.

    All loans are of one size. Ties at the cut-off are taken in the order of the applicants.

    >>> expected_loss(np.array([1.0, 0.0, 0.0, 1.0, 1.0]), np.array([0.1, 0.2, 0.3, 0.4, 0.9]))
    0.3
    """
    taken = np.argsort(scores, kind="stable")[: max(1, round(accepted * len(scores)))]
    return loss_given_default * float(np.mean(labels[taken]))


def ndcg(ratings: Float, scores: Float, *, top: int = 10) -> float:
    """Normalised discounted cumulative gain of one person's list: gain 2^r - 1 at discount log2(rank + 1).

    `ratings` are on the scale of stars, from 0. NaN for fewer than two items or where all are rated alike: then every
    order is right. Source: Järvelin and Kekäläinen 2002; gain of Burges et al. 2005.

    >>> ndcg(np.array([5.0, 1.0, 3.0]), np.array([0.9, 0.1, 0.5]))
    1.0
    """
    if len(ratings) < 2 or np.ptp(ratings) == 0.0:
        return float("nan")
    discount = 1.0 / np.log2(np.arange(2, min(top, len(ratings)) + 2))

    def gain(order: NDArray[np.intp]) -> float:
        return float(np.sum((np.exp2(ratings[order][: len(discount)]) - 1.0) * discount))

    return gain(np.argsort(-scores, kind="stable")) / gain(np.argsort(-ratings, kind="stable"))


def membership_auc(inside: Float, outside: Float) -> float:
    """How well losses tell who was trained on: AUROC of "the loss is small", 0.5 for nothing learned.

    The oldest attack (Yeom et al. 2018), and the one that anybody with the model and a record can run. A figure near
    0.5 proves nothing: stronger attacks exist. `attack` runs them.

    >>> membership_auc(np.array([0.1, 0.2]), np.array([0.3, 0.4]))
    1.0
    """
    labels = np.concatenate([np.ones(len(inside)), np.zeros(len(outside))])
    return auroc(labels, -np.concatenate([inside, outside]))


def mean_known(values: Float | list[float]) -> float:
    """Mean of those that are not NaN; NaN if none is.

    >>> mean_known([1.0, float("nan"), 3.0])
    2.0
    """
    known = np.asarray(values, dtype=np.float64)
    known = known[~np.isnan(known)]
    return float(known.mean()) if len(known) else float("nan")


def low_end(values: Float | list[float], share: float) -> float:
    """The quantile at `share` of those that are not NaN, linear between neighbours; NaN if none is known.

    >>> low_end([0.9, 0.7, float("nan"), 0.8], 0.0), low_end([0.9, 0.7, 0.8], 0.5)
    (0.7, 0.8)
    """
    known = np.asarray(values, dtype=np.float64)
    known = known[~np.isnan(known)]
    return float(np.quantile(known, share)) if len(known) else float("nan")


def _both(labels: Float) -> bool:
    return len(labels) > 0 and 0.0 < float(np.mean(labels)) < 1.0
