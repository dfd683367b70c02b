# SPDX-License-Identifier: Apache-2.0
"""What all generators ask of a seed and of numbers of sites."""

from __future__ import annotations

from secure_fedmeta.datasets.records import RecordsError

MOST_SITES = 200


def check_counts(what: str, *, seed: int, members: int, later: int) -> None:
    """Refuse what no generator can make.

    Raises:
        RecordsError: SFM-137 for a negative seed, fewer than two members or more than 200 sites.

    >>> check_counts("banks", seed=0, members=16, later=2)
    >>> check_counts("banks", seed=-1, members=16, later=2)
    Traceback (most recent call last):
    ...
    secure_fedmeta.datasets.records.RecordsError: SFM-137: these banks cannot be made (seed -1, 16 members, 2 later)...
    """
    if seed < 0 or members < 2 or later < 0 or members + later > MOST_SITES:
        raise RecordsError(
            "SFM-137",
            f"these {what} cannot be made",
            f"seed {seed}, {members} members, {later} later",
            f"use a seed >= 0 and 2 to {MOST_SITES} {what}",
        )
