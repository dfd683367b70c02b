# SPDX-License-Identifier: Apache-2.0
"""Prompt tuning: a few virtual characters in front of a frozen transformer are all that a federation learns."""
