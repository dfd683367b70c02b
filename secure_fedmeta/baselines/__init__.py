# SPDX-License-Identifier: Apache-2.0
"""What meta-learning is compared with; none of it is private by itself.

`logistic`: local models, FedAvg and fine-tuning of the closed-form model. `networks`: FedAvg, Ditto and FedRep of any
network that stacks, all clients of a round at once.
"""

from .logistic import (
    FEDAVG_LR,
    FEDAVG_ROUNDS,
    FEDAVG_STEPS,
    LOCAL_LR,
    LOCAL_STEPS,
    fedavg,
    fine_tune,
    fit_alone,
    local_only,
)

__all__ = [
    "FEDAVG_LR",
    "FEDAVG_ROUNDS",
    "FEDAVG_STEPS",
    "LOCAL_LR",
    "LOCAL_STEPS",
    "fedavg",
    "fine_tune",
    "fit_alone",
    "local_only",
]
