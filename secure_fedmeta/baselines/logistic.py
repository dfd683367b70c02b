# SPDX-License-Identifier: Apache-2.0
"""Of the closed-form logistic model: local only, FedAvg, FedAvg with fine-tuning; none is private.

Numpy only and deterministic: full-batch gradient steps from zero. The settings were chosen once, for the
baselines' own good, on seeds that the reported tables do not use; fine-tuning follows the rule that every
adapted model follows.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from secure_fedmeta.evaluation import EncodedSite, adapt

Float = NDArray[np.float64]

LOCAL_STEPS = 100
LOCAL_LR = 4.0
FEDAVG_ROUNDS = 50
FEDAVG_STEPS = 20
FEDAVG_LR = 5.0


def fit_alone(rows: Float, labels: Float, *, steps: int = LOCAL_STEPS, lr: float = LOCAL_LR) -> Float:
    """Logistic regression (d,) on one site's rows (n, d) from zero; early stopping is its regularisation.

    lr stays below 8/R^2, where gradient steps on this loss stop being contractions.

    >>> bool(fit_alone(np.array([[1.0], [-1.0]]), np.array([1.0, 0.0]))[0] > 1.0)
    True
    """
    return adapt(np.zeros(rows.shape[1]), rows, labels, steps=steps, lr=lr, prior_records=0.0)


def local_only(sites: Sequence[EncodedSite]) -> list[Float]:
    """One model for each site, from its own registered records."""
    return [fit_alone(site.rows, site.labels) for site in sites]


def fedavg(
    sites: Sequence[EncodedSite],
    *,
    rounds: int = FEDAVG_ROUNDS,
    steps: int = FEDAVG_STEPS,
    lr: float = FEDAVG_LR,
) -> Float:
    """One shared model (d,): local steps, then the mean weighted by the sites' counts.

    Source: McMahan et al. 2017, "Communication-efficient learning of deep networks from decentralized data",
    algorithm 1, with all clients in each round and full batches.

    >>> site = EncodedSite("a", np.eye(2), np.array([1.0, 0.0]), np.eye(2), np.array([1.0, 0.0]))
    >>> theta = fedavg([site, site], rounds=2, steps=1, lr=1.0)
    >>> bool(theta[0] > 0.0 > theta[1])
    True
    """
    counts = np.array([len(site.labels) for site in sites], dtype=np.float64)
    weights = counts / counts.sum()
    theta = np.zeros(sites[0].rows.shape[1])
    for _ in range(rounds):
        local = [adapt(theta, site.rows, site.labels, steps=steps, lr=lr, prior_records=0.0) for site in sites]
        theta = weights @ np.stack(local)
    return theta


def fine_tune(theta: Float, sites: Sequence[EncodedSite]) -> list[Float]:
    """The shared model after each site's own steps, by the fixed rule that meta-learned models follow too."""
    return [adapt(theta, site.rows, site.labels) for site in sites]
