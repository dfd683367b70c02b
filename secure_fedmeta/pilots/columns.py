# SPDX-License-Identifier: Apache-2.0
"""The figures that pilots report, by key. `records`, `persons` and `population` fill them."""

from __future__ import annotations

from collections.abc import Sequence

from .pilot import Column

AUROC = Column("auroc", "AUROC")
RECORDS = (
    AUROC,
    Column("auprc", "AUPRC"),
    Column("worst", "worst site"),
    Column("low", "10th pct"),
    Column("brier", "Brier", low_is_good=True),
    Column("calibrated", "calibrated", low_is_good=True),
    Column("ece", "ECE", low_is_good=True),
    Column("members", "membership", low_is_good=True),
)
LENDING = (
    Column("ks", "KS"),
    Column("gini", "Gini"),
    Column("loss", "lost, 80 % lent", low_is_good=True),
)
RMSE = Column("rmse", "RMSE", low_is_good=True)
RATINGS = (
    RMSE,
    Column("ndcg", "NDCG@10"),
    Column("worst", "worst site", low_is_good=True),
    Column("high", "90th pct", low_is_good=True),
    Column("members", "membership", low_is_good=True),
)


def shot_columns(shots: Sequence[int]) -> tuple[Column, ...]:
    """Of sites or persons that come later, after k of their own records.

    Example:
        >>> [column.title for column in shot_columns((1, 5))]
        ['k=1', 'k=5']
    """
    return tuple(Column(f"unseen_{k}", f"k={k}") for k in shots)
