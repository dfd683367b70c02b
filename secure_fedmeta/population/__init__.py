# SPDX-License-Identifier: Apache-2.0
"""Simulation of a large population of small clients in one process: cohorts, rounds, exact sums, checkpoints."""
