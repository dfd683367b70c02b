# SPDX-License-Identifier: Apache-2.0
"""The guarantee in plain words: one paragraph that a reader of fourteen follows, with the same numbers.

The odds are those of an attacker who is right about absent people in 99 of 100 cases (false alarms 1 %): the GDP
trade-off where the run has one, the weaker (epsilon, delta) bound otherwise.
"""

from __future__ import annotations

import math

from .run_record import RunRecord
from .statements import Statements

# What the holder of each unit is told to be protected.
_UNITS = {
    "record": "one {person}'s record",
    "task": "all that one {person} gave",
    "client": "all that one site gave",
}


def plain_label(record: RunRecord, statements: Statements, detection: float | None) -> str:
    """One paragraph; `detection` is the largest hit rate at 1 % false alarms in the server's view.

    Example:
        >>> hits_in_100(0.0523), hits_in_100(1.0)
        (6, 100)
    """
    person = statements.person
    what = _UNITS.get(record.unit, "one part of the data").format(person=person)
    sites = record.settings.get("clients", "several")
    opening = f"This model was made with the help of {sites} sites. No site sent its records. "
    if not record.private or detection is None:
        return (
            f"{opening}But this run gives no promise about privacy. Do not use it with the records of real people. "
            "It may show who was in the data."
        )
    hidden = "Random noise was mixed in, so that the model looks much the same with or without "
    sealed = "The server saw each site's part, with its noise. "
    if record.masked:
        sealed = "Each site also hid its part. The server saw only sums. "
    elif record.decryptor:
        sealed = "Each site's part was locked. But one helper had the key, and could read each part, with its noise. "
    odds = (
        f"Say a spy guesses if {what} was used. The spy may be wrong for 1 in 100 who were not there. "
        f"Then he will find at most {hits_in_100(detection)} in 100 of those who were. "
        "With no data at all, he would find 1 in 100. "
    )
    if hits_in_100(detection) >= 100:
        odds = f"Yet the noise is small. A spy might well find out if {what} was used. "
    limits = (
        "This holds if the sites that are trusted keep the rules. It does not hide which sites took part. "
        "It also does not hide what is true of most people. If you gave data to more than one run, the risks add up. "
    )
    return f"{opening}{hidden}{what}. {sealed}{odds}{limits}This note is not a legal paper."


def hits_in_100(rate: float) -> int:
    """A rate as whole cases in a hundred, rounded up."""
    return min(100, math.ceil(rate * 100 - 1e-9))
