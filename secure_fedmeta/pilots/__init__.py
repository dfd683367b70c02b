# SPDX-License-Identifier: Apache-2.0
"""Ready pilots: data, public ranges, defaults and evaluation, by name."""

NAMES = ("hospital",)
