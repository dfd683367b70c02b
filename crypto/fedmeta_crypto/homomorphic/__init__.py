# SPDX-License-Identifier: Apache-2.0
"""Sums under homomorphic encryption: ciphertexts travel beside a masking round, which settles who is in the sum."""
