# SPDX-License-Identifier: Apache-2.0
"""Meta-learning algorithms, one file each: pure functions on a flat parameter vector.

`core` says what an algorithm is; `glm` holds the closed forms that the record-level proofs are about.
"""

from .glm.logistic import contributions

__all__ = ["contributions"]
