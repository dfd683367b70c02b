# SPDX-License-Identifier: Apache-2.0
"""What a simulated run came to, and what may be said of it."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch

from fedmeta_privacy.claims import View
from fedmeta_privacy.events import FixedSizeGaussian, PoissonGaussian

from .accounting import Account


@dataclass(frozen=True, slots=True, eq=False)
class Result:
    """The model and the account.

    Attributes:
        theta: the model.
        rounds: training rounds done.
        charged: rounds charged, lost ones included.
        release, server: epsilon at delta of what was charged, in each view, of a client whose vector is zeroed; of the
            mechanism, if it is only simulated. With cohorts by a secret draw `server` is for a client that is in every
            round, so that the number tells nothing of who was drawn; else for the busiest client.
        delta: of both.
        protects: False where noise is imitated or reproducible: the numbers then describe what such a run would cost.
        stopped: why it ended early, or "".
    """

    theta: torch.Tensor = field(repr=False)
    rounds: int
    charged: int
    release: float
    server: float
    delta: float
    protects: bool
    stopped: str

    def sentence(self) -> str:
        """The account in words, views and unit stated."""
        nobody = "protects nobody (its noise is imitated, reproducible or none); such a mechanism would guarantee"
        what = "guarantees" if self.protects else nobody
        return (
            f"{self.charged} charged rounds: this run {what} a whole client (its vector zeroed out, not replaced) "
            f"epsilon = {self.release:.4g} from who sees the models alone, and {self.server:.4g} from the server, "
            f"at delta = {self.delta:g}"
        )


def result_of(
    account: Account,
    delta: float,
    *,
    theta: torch.Tensor,
    rounds: int,
    charged: int,
    most_taken: int,
    protects: bool,
    stopped: str,
) -> Result:
    """`most_taken`: the most rounds that one client can have taken part in, those lost included."""
    secret = isinstance(account.release, PoissonGaussian | FixedSizeGaussian)
    return Result(
        theta,
        rounds,
        charged,
        account.epsilon(View.RELEASE, rounds=charged, delta=delta),
        account.epsilon(View.SERVER, rounds=charged if secret else min(most_taken, charged), delta=delta),
        delta,
        protects,
        stopped,
    )
