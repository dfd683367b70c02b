# SPDX-License-Identifier: Apache-2.0
"""Meta-training in one place: without privacy, or with a client-level guarantee for whoever sees the released model.

`outer` has the outer steps, `loop` the training loop and its sources of tasks, `scores` what a trained model is worth
after 0, 1, 5, 10 steps, `client_level` the sampled, clipped and noisy sum.
"""

from .client_level import ClientLevel, Population, Private, train_privately
from .loop import BatchEngine, Blend, meta_train
from .outer import Outer
from .scores import Score, evaluate, with_steps

__all__ = [
    "BatchEngine",
    "Blend",
    "ClientLevel",
    "Outer",
    "Population",
    "Private",
    "Score",
    "evaluate",
    "meta_train",
    "train_privately",
    "with_steps",
]
