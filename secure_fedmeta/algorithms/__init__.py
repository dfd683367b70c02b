# SPDX-License-Identifier: Apache-2.0
"""Meta-learning algorithms, one file each: pure functions from a model and a task to per-record contributions."""

from .maml import contributions

__all__ = ["contributions"]
