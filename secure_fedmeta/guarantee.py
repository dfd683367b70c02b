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
    return f"{math.ceil(epsilon * 10**digits) / 10**digits:.{digits}f}"


def _exact(value: float | None) -> str:
    """All digits of a stated number, so that none is rounded down."""
    return "inf" if value is None else repr(value).removesuffix(".0")


def guarantee_sentence(schedule: Schedule, spent: Spent) -> str:
    """The guarantee of the executed rounds, or why there is none."""
    if schedule.scale is None:
        return NO_NOISE
    if schedule.plan.insecure_reproducible:
        return REPRODUCIBLE
    plan = schedule.plan
    used = spent.server if schedule.masked else spent.local
    seen = (
        f"the sum over at least {schedule.threshold + 1} sites in every round"
        if schedule.masked
        else "each site's upload included"
    )
    colluders = f"at most {plan.colluders} of {schedule.clients} sites colluding with it, " if schedule.masked else ""
    sentence = (
        "Registering or removing any one patient changes the probability of anything that the server sees in this run, "
        f"{seen}, by at most a factor of e^{_exact(plan.epsilon)} (plus {plan.delta!r}): the budget that each "
        f"site's own filter holds. The executed rounds used e^{show(used)} of it. This assumes an honest-but-curious "
        "server and unauthenticated keys (nobody signs yet, and the survivors of a round are the server's word), "
        f"{colluders}one site and one record per patient, and a sound source of randomness at every site."
    )
    if not schedule.masked:
        return sentence
    return (
        f"{sentence} For any one member site, which sees every round's model and knows its own noise, the exponent is "
        f"{show(spent.member)}; for outsiders, who see published models only, {show(spent.release)}; for someone who "
        f"saw each site's upload unmasked it would be {show(spent.local)}."
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
    allowed = min(int(schedule.limit / schedule.floor_shift), plan.rounds)
    lines.append(
        f"With t = {schedule.threshold} survivors counted in every round, {plan.rounds} rounds would cost epsilon "
        f"{show(at_threshold)}; the sites' own filters would end such a run after {allowed} rounds, within "
        f"{_exact(plan.epsilon)}. Budgets are per run: what earlier runs on the same patients spent adds up."
    )
    return lines
