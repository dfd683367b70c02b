# SPDX-License-Identifier: Apache-2.0
"""Attacks that anyone can run on a simulated federation, and audits of its mechanism. Nothing here is for real sites.

What is attacked is made by the product's own code; the attacker's knowledge is stated with every figure.
"""
