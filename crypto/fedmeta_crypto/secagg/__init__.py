# SPDX-License-Identifier: Apache-2.0
"""Secure aggregation: the two one-shot sessions and what passes between them and their shells."""
