# SPDX-License-Identifier: Apache-2.0
"""How good a shared model is on each site, before and after the site adapts it.

Everything here is simulation only: scores are computed from patients' labels and are not covered by epsilon.
In a deployment each site computes its own and keeps them. Rows are encoded (norm at most 1, constant feature
inside).

Scores are made per site and then averaged over sites: one AUROC over the pooled predictions of site-adapted
models moves with the sites' label shares, even where no ranking within a site changes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from secure_fedmeta.algorithms.glm.logistic import sigmoid
from secure_fedmeta.datasets.records import RecordsError

Float = NDArray[np.float64]

ADAPT_STEPS = 5
ADAPT_LR = 4.0
ADAPT_PRIOR_RECORDS = 4.0
SHOTS = (1, 5, 16)


@dataclass(frozen=True, slots=True, eq=False)
class EncodedSite:
    """One site's encoded records: `rows` (n, d) and `labels` (n,) to adapt on, a test part to score.

    A hospital that is unseen as a whole has no such split; `evaluate_unseen` draws its few records from
    `rows`.
    """

    name: str
    rows: Float
    labels: Float
    test_rows: Float
    test_labels: Float


class Calibration(NamedTuple):
    """Platt's map of logits: `slope * logit + offset`."""

    slope: float
    offset: float


@dataclass(frozen=True, slots=True)
class SiteScores:
    """Scores per site, in the order of the sites; `auroc` is None where the test set holds one class only.

    `brier_calibrated` is None where nothing was left on the site to calibrate on.

    >>> scores = SiteScores((0.9, None, 1.0), (0.1, 0.2, 0.3), None)
    >>> scores.mean_auroc, scores.worst_auroc, scores.left_out, round(scores.mean_brier, 3)
    (0.95, 0.9, 1, 0.2)
    """

    auroc: tuple[float | None, ...]
    brier: tuple[float, ...]
    brier_calibrated: tuple[float, ...] | None

    @property
    def left_out(self) -> int:
        """Sites that have no AUROC, as their test patients are of one class."""
        return sum(value is None for value in self.auroc)

    @property
    def mean_auroc(self) -> float:
        """Mean over the sites that have one; NaN where none has."""
        known = self._known()
        return sum(known) / len(known) if known else float("nan")

    @property
    def worst_auroc(self) -> float:
        """Smallest over the sites that have one; NaN where none has."""
        return min(self._known(), default=float("nan"))

    @property
    def mean_brier(self) -> float:
        """Mean squared error of the probabilities, averaged over sites."""
        return sum(self.brier) / len(self.brier)

    @property
    def mean_brier_calibrated(self) -> float:
        """The same after calibration on site; NaN where there was none."""
        values = self.brier_calibrated
        return sum(values) / len(values) if values else float("nan")

    def _known(self) -> list[float]:
        return [value for value in self.auroc if value is not None]


class MemberScores(NamedTuple):
    """The shared model as it is, and after each site adapted it on its own records.

    Whether the *shared* model is any good is read off `before`: a site that adapts all-zero weights has a
    fair local model after a few steps, so `after` cannot tell a trained model from none.
    """

    before: SiteScores
    after: SiteScores


def predict(theta: Float, rows: Float) -> Float:
    """Probabilities (n,) of label 1 for rows (n, d); no overflow for any finite logit.

    >>> predict(np.array([1000.0]), np.array([[1.0], [0.0], [-1.0]])).tolist()
    [1.0, 0.5, 0.0]
    """
    return sigmoid(rows @ theta)


def adapt(
    theta: Float,
    rows: Float,
    labels: Float,
    *,
    steps: int = ADAPT_STEPS,
    lr: float = ADAPT_LR,
    prior_records: float = ADAPT_PRIOR_RECORDS,
) -> Float:
    """Gradient steps on a site's own records; the result (d,) stays on the site.

    The gradient is divided by n + `prior_records`, so one record moves the model less than many do. As
    nothing leaves, the site may divide by its own count here; inside the private training it may not.

    >>> adapt(np.zeros(1), np.array([[1.0]]), np.array([1.0]), steps=1, lr=4.0, prior_records=3.0).tolist()
    [0.5]
    """
    adapted = np.array(theta, dtype=np.float64)
    for _ in range(steps):
        adapted -= (lr / max(len(labels) + prior_records, 1.0)) * (rows.T @ (predict(adapted, rows) - labels))
    return adapted


def calibrate(
    logits: Float, labels: Float, *, slope_precision: float = 4.0, offset_precision: float = 1.0
) -> Calibration:
    """Platt scaling of (n,) logits with a strong prior, by Newton steps.

    Log slope and offset are Gaussian around 0, so that a small site does not become overconfident. Fitted on
    the site's own registered records, it costs no privacy. Source: Platt 1999, "Probabilistic outputs for
    support vector machines".

    >>> calibrate(np.array([]), np.array([]))
    Calibration(slope=1.0, offset=0.0)
    """
    log_slope = offset = 0.0
    for _ in range(50):
        scaled = float(np.exp(log_slope)) * logits
        p = sigmoid(scaled + offset)
        weight = p * (1.0 - p)
        gradient = np.array(
            [
                scaled @ (p - labels) + slope_precision * log_slope,
                np.sum(p - labels) + offset_precision * offset,
            ]
        )
        cross = float(weight @ scaled)
        hessian = np.array([[weight @ scaled**2 + slope_precision, cross], [cross, np.sum(weight) + offset_precision]])
        step = np.clip(np.linalg.solve(hessian, gradient), -0.5, 0.5)
        log_slope, offset = log_slope - float(step[0]), offset - float(step[1])
        if float(np.abs(step).max()) < 1e-10:
            break
    return Calibration(float(np.exp(log_slope)), offset)


def score_sites(parameters: Sequence[Float], sites: Sequence[EncodedSite]) -> SiteScores:
    """Scores of one (d,) parameter vector per site, with and without calibration on the site's records."""
    from sklearn.metrics import brier_score_loss, roc_auc_score

    auroc: list[float | None] = []
    brier: list[float] = []
    calibrated: list[float] = []
    for theta, site in zip(parameters, sites, strict=True):
        if not len(site.test_labels):
            raise RecordsError("SFM-138", "no test patients are left", f"site {site.name!r}", "use fewer shots")
        logits = site.test_rows @ theta
        both = 0.0 < float(np.mean(site.test_labels)) < 1.0
        auroc.append(float(roc_auc_score(site.test_labels, logits)) if both else None)
        slope, offset = calibrate(site.rows @ theta, site.labels)
        for values, z in ((brier, logits), (calibrated, slope * logits + offset)):
            values.append(float(brier_score_loss(site.test_labels, sigmoid(z), pos_label=1.0, labels=[0.0, 1.0])))
    return SiteScores(tuple(auroc), tuple(brier), tuple(calibrated))


def evaluate_members(theta: Float, sites: Sequence[EncodedSite]) -> MemberScores:
    """Scores on members' unseen patients, before and after each site adapts on its registered records."""
    before = score_sites([theta] * len(sites), sites)
    after = score_sites([adapt(theta, site.rows, site.labels) for site in sites], sites)
    return MemberScores(before, after)


def evaluate_unseen(
    theta: Float,
    sites: Sequence[EncodedSite],
    *,
    seed: int,
    shots: Sequence[int] = (0, *SHOTS),
    adapter: Callable[[Float, Float, Float], Float] = adapt,
) -> dict[int, SiteScores]:
    """Scores of hospitals that did not train: adapted on k of their records, tested on all the others.

    `adapter(theta, rows, labels)` gives a site's own model; the default is the rule every adapted model follows.

    The k records are the first of one order drawn by (seed, position of the site), so those of k = 1 are
    among those of k = 5. `rows` and `labels` of the sites are used, their test part is not.
    """
    orders = [np.random.default_rng([seed, i]).permutation(len(site.labels)) for i, site in enumerate(sites)]
    scores = {}
    for k in shots:
        split = [_split(site, order[:k], order[k:]) for site, order in zip(sites, orders, strict=True)]
        scores[k] = score_sites([adapter(theta, site.rows, site.labels) for site in split], split)
    return scores


def mean_loss(theta: Float, sites: Sequence[EncodedSite]) -> float:
    """Log loss of one shared model on the sites' test patients, averaged over sites."""
    losses = []
    for site in sites:
        logits = site.test_rows @ theta
        losses.append(float(np.mean(np.logaddexp(0.0, logits) - site.test_labels * logits)))
    return sum(losses) / len(losses)


def mean_auroc(theta: Float, sites: Sequence[EncodedSite]) -> float:
    """AUROC of one shared model, averaged over the sites whose test patients are of both classes."""
    from sklearn.metrics import roc_auc_score

    both = [site for site in sites if 0.0 < float(np.mean(site.test_labels)) < 1.0]
    return (
        sum(float(roc_auc_score(s.test_labels, s.test_rows @ theta)) for s in both) / len(both)
        if both
        else float("nan")
    )


def _split(site: EncodedSite, few: NDArray[np.intp], rest: NDArray[np.intp]) -> EncodedSite:
    return EncodedSite(site.name, site.rows[few], site.labels[few], site.rows[rest], site.labels[rest])
