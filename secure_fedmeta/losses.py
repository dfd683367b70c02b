# SPDX-License-Identifier: Apache-2.0
"""Losses by row, for outputs (..., n, C) or (..., n) and labels (..., n); any leading dimensions."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch.nn import functional

from .errors import SettingError

RowLoss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


def logistic(outputs: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Cross-entropy of one output and labels in {0, 1}: (..., n)."""
    return functional.binary_cross_entropy_with_logits(outputs.reshape(labels.shape), labels, reduction="none")


def cross_entropy(outputs: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Cross-entropy of C outputs and labels 0 .. C - 1: (..., n)."""
    shares = torch.log_softmax(outputs, dim=-1)
    return -shares.gather(-1, labels.long().unsqueeze(-1)).squeeze(-1)


def squared(outputs: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Squared error of one output: (..., n).

    Example:
        >>> squared(torch.tensor([[1.0], [2.0]]), torch.tensor([0.0, 2.0]))
        tensor([1., 0.])
    """
    return functional.mse_loss(outputs.reshape(labels.shape), labels, reduction="none")


ROW_LOSSES: dict[str, RowLoss] = {"logistic": logistic, "cross-entropy": cross_entropy, "squared": squared}


def row_loss(name: str) -> RowLoss:
    """The loss of this name.

    Raises:
        SettingError: there is none.

    Example:
        >>> row_loss("hinge")
        Traceback (most recent call last):
        ...
        secure_fedmeta.errors.SettingError: SFM-101: loss 'hinge' (loss). Remedy: use one of ...
    """
    found = ROW_LOSSES.get(name)
    if found is None:
        raise SettingError(f"loss {name!r}", "loss", f"use one of {', '.join(ROW_LOSSES)}")
    return found
