# SPDX-License-Identifier: Apache-2.0
"""Public feature ranges, the records of a site, and the bundled hospital pilot."""
