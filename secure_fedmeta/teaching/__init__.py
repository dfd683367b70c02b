# SPDX-License-Identifier: Apache-2.0
"""What the notebooks stand on: checks of exercises that say what is wrong, real rounds to look into, pictures of them.

One module of checks for each notebook. Nothing here is used by a run.
"""
