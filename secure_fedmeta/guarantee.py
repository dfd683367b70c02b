# SPDX-License-Identifier: Apache-2.0
"""The sentences that a run may say about itself: exact, with unit, view, delta and assumptions."""

from __future__ import annotations

import math

from .federation.accounts import Accounts, Spent
from .schedule import Schedule

NO_NOISE = "No privacy guarantee: this run added no noise (epsilon none)."
REPRODUCIBLE = (
    "No privacy guarantee: keys, masks and noise came from the seed (--insecure-reproducible), so whoever knows the "
    "seed knows them all. Every epsilon reads none."
)


def show(epsilon: float, digits: int = 3) -> str:
    """An epsilon for people: rounded up, never down.

    Example:
        >>> show(2.9871), show(math.inf)
        ('2.988', 'none')
    """
    if not math.isfinite(epsilon):
        return "none"
    return f"{math.ceil(epsilon * 10**digits - 1e-9) / 10**digits:.{digits}f}"


def guarantee_sentence(schedule: Schedule, spent: Spent) -> str:
    """The guarantee of the executed rounds, or why there is none."""
    if schedule.scale is None:
        return NO_NOISE
    if schedule.plan.insecure_reproducible:
        return REPRODUCIBLE
    plan = schedule.plan
    common = (
        f"by at most a factor of e^{{eps}} (plus {plan.delta:g}). This assumes an honest-but-curious server and "
        "unauthenticated keys (nobody signs yet, and the survivors of a round are the server's word), "
        "{colluders}one site and one record per patient, and a sound source of randomness at every site."
    )
    if not schedule.masked:
        eps = show(spent.local)
        return (
            "Registering or removing any one patient changes the probability of anything that the server sees, "
            "each site's upload included, " + common.format(eps=eps, colluders="")
        )
    who = f"at most {plan.colluders} of {schedule.clients} sites colluding with it, "
    return (
        "Registering or removing any one patient changes the probability of anything that the server sees, "
        f"the sum over at least {schedule.threshold} sites in every round, "
        + common.format(eps=show(spent.server), colluders=who)
        + f" For outsiders who see only the published models the exponent is {show(spent.release)}; "
        f"for someone who saw each site's upload unmasked it would be {show(spent.local)}."
    )


def worst_case_lines(schedule: Schedule, accounts: Accounts) -> list[str]:
    """What stands beside the guarantee: other colluders, and survivors at the threshold."""
    if not schedule.private or not schedule.masked:
        return []
    plan, lines = schedule.plan, []
    for colluders in (3,):
        if colluders != plan.colluders and colluders < schedule.threshold:
            shift = accounts.server_shift(colluders)
            lines.append(
                f"The same rounds against {colluders} colluding sites: epsilon {show(schedule.epsilon(shift))}."
            )
    at_threshold = schedule.epsilon(plan.rounds * schedule.floor_shift)
    allowed = int(schedule.limit / schedule.floor_shift)
    lines.append(
        f"With only t = {schedule.threshold} survivors in every round, {plan.rounds} rounds would cost epsilon "
        f"{show(at_threshold)}; the sites' own filters would end such a run after {min(allowed, plan.rounds)} rounds, "
        f"within {plan.epsilon:g}."
    )
    return lines
