# SPDX-License-Identifier: Apache-2.0
"""Closed forms for generalised linear models (mode bounded-glm): numpy alone, one row a query record."""
