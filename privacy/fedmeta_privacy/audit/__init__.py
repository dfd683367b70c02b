# SPDX-License-Identifier: Apache-2.0
"""Empirical audits: lower bounds on epsilon from what a mechanism really put out. Nothing here draws randomness."""

from .errors import AuditError
from .gaussian import gaussian_bound
from .multi_run import Decisions, multi_run_bound, upper_limit
from .one_run import one_run_bound, one_run_p_value
from .one_run_fdp import gaussian_is_rejected, one_run_gaussian_bound
from .residuals import Correlation, autocorrelation, correlation
from .result import AuditBound, AuditContext, Kind, SeedPolicy
from .scores import combine_rounds, count_correct, decide

__all__ = [
    "AuditBound",
    "AuditContext",
    "AuditError",
    "Correlation",
    "Decisions",
    "Kind",
    "SeedPolicy",
    "autocorrelation",
    "combine_rounds",
    "correlation",
    "count_correct",
    "decide",
    "gaussian_bound",
    "gaussian_is_rejected",
    "multi_run_bound",
    "one_run_bound",
    "one_run_gaussian_bound",
    "one_run_p_value",
    "upper_limit",
]
