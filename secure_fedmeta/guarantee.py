# SPDX-License-Identifier: Apache-2.0
"""The sentences that a run may say about itself: exact, with unit, view, delta and assumptions."""

from __future__ import annotations

import math

from fedmeta_crypto.homomorphic.seal.ckks import APPROXIMATE
from fedmeta_privacy.encoding import ROUNDING_COST

from .aggregation import foundation
from .federation.accounts import Accounts, Spent
from .federation.approximate import error_in_steps
from .schedule import Schedule

NO_NOISE = "No privacy guarantee: this run added no noise (epsilon none)."
REPRODUCIBLE = (
    "No privacy guarantee: keys, masks and noise came from the seed (--insecure-reproducible), so whoever knows the "
    "seed knows them all. Every epsilon reads none."
)


# Unit and adjacency in words, and what a unit must not be in twice.
_CHANGES = {
    ("record", "slot"): "Registering or removing any one person's record",
    ("record", "replace-one"): "Replacing any one person's record by any other",
    ("task", "slot"): "Registering or removing any one person with all their rows",
    ("task", "replace-one"): "Replacing any one person with all their rows by any other",
    ("client", "zero-out"): "Emptying any one site of all its data",
    ("client", "replace-one"): "Replacing all data of any one site by any other",
}
_ONCE = {"record": "one site and one record per person, and ", "task": "one site per person, and ", "client": ""}


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


def rounding_line(schedule: Schedule) -> str:
    """What rounding to steps costs, where it is more than 0.1 %; empty otherwise."""
    if schedule.scale is None or schedule.rounding_cost <= ROUNDING_COST * (1 + 2.0**-40):
        return ""
    step, bits = schedule.encoding.step, schedule.encoding.modulus_bits
    return (
        f"rounding to steps of {step:.3g}, so that the sum fits {bits} bits, raises sensitivity and noise by "
        f"{math.ceil(schedule.rounding_cost * 1e4) / 100:.2f} %"
    )


def protocol_line(schedule: Schedule) -> str:
    """The protocol with its numbers, as the ledger states it.

    Example:
        >>> from .plan import Plan
        >>> from .schedule import make_schedule
        >>> protocol_line(make_schedule(Plan(), clients=10, dimension=3))
        'SFM-SecAgg/1 malicious, complete graph, k=9, t=6, A=1, D=1, quorum=6, n_min=9, h=8'
    """
    hiding = schedule.hiding
    ring = f"ring 2^{schedule.encoding.modulus_bits}"
    if not schedule.masked:
        return "none" if hiding.trust is None else f"{hiding.aggregation} ({hiding.trust.value}), {ring}, no masks"
    graph = hiding.graph
    numbers = f"k={graph.neighbours}, t={graph.threshold}"
    if hiding.signed:
        numbers += f", A={graph.corrupt}, D={graph.dropped}, quorum={hiding.quorum}"
    numbers += f", n_min={hiding.min_survivors}, h={hiding.floor_honest}"
    if schedule.surplus is not None:
        numbers += f", surplus={schedule.surplus_parts}"
    numbers = f"SFM-SecAgg/1 {hiding.name}, {hiding.graph_name}, {numbers}"
    if hiding.trust is None:
        return numbers
    return f"{hiding.aggregation} ({hiding.trust.value}), {ring}, beside {numbers}"


def encryption_line(schedule: Schedule) -> str:
    """How uploads are encrypted, who could decrypt what, and on which problem that rests; empty without encryption.

    Example:
        >>> from .plan import Plan
        >>> from .schedule import make_schedule
        >>> print(encryption_line(make_schedule(Plan(aggregation="rlwe32"), clients=10, dimension=3)))
        rlwe32, trust model "threshold": Nobody holds a key that opens a single upload; ...
        >>> encryption_line(make_schedule(Plan(), clients=10, dimension=3))
        ''
    """
    scheme, trust = schedule.scheme, schedule.hiding.trust
    if trust is None:
        return ""
    named = f'{schedule.hiding.aggregation}, trust model "{trust.value}": {trust.who_could_read}'
    if scheme is not None:
        return f"{named} It rests on {foundation(scheme)}."
    off = f"{error_in_steps(schedule):.2g}"
    return (
        f"{named} {APPROXIMATE} Here no coordinate of a sum is off by more than {off} of a step before it is rounded."
    )


def downgrade_line(schedule: Schedule) -> str:
    """What is given up against the default strength; empty at the default."""
    if not schedule.masked or schedule.hiding.name == "malicious":
        return ""
    if schedule.hiding.signed and not schedule.hiding.random:
        return (
            "Downgrade: this run chose strength semi-malicious. On its complete graph that is no weaker than "
            "malicious; in larger cohorts the graph is left to chance."
        )
    if schedule.hiding.signed:
        return (
            "Downgrade: this run chose strength semi-malicious. A server that picks the graph's random choice can put "
            "corrupt sites around one site and open its upload."
        )
    return (
        "Downgrade: this run chose strength semi-honest. Nobody signs: a server that lies can open one site's upload, "
        "and who survived a round is its word. The default, malicious, withstands that."
    )


def _assumed(schedule: Schedule) -> str:
    """Whom the guarantee has to trust, at this strength."""
    n, hiding = schedule.clients, schedule.hiding
    if not schedule.masked:
        return "an honest-but-curious server, "
    if not hiding.signed:
        return (
            "an honest-but-curious server and unauthenticated keys (strength semi-honest, a downgrade: nobody signs, "
            "and the survivors of a round are the server's word), "
            f"at most {schedule.colluders} of {n} sites colluding with it, "
        )
    luck = " but for the graph, drawn honestly (strength semi-malicious, a downgrade)" if hiding.random else ""
    return (
        f"at most A = {schedule.colluders} of {n} sites corrupt, together with a server that may break the protocol in "
        f"any way{luck}; an allow-list that names real sites; "
    )


def guarantee_sentence(schedule: Schedule, spent: Spent) -> str:
    """The guarantee of the executed rounds, or why there is none."""
    if schedule.scale is None:
        return NO_NOISE
    if schedule.plan.insecure_reproducible:
        return REPRODUCIBLE
    plan, hiding = schedule.plan, schedule.hiding
    used = spent.server if schedule.masked else spent.local
    changed, once = _CHANGES[plan.unit, plan.adjacency], _ONCE[plan.unit]
    seen = "each site's upload included"
    if schedule.masked:
        part = "a sum" if hiding.signed and hiding.random else "the sum"
        honest = f", {hiding.floor_honest} of them honest," if hiding.signed else ""
        seen = f"{part} over at least {_fewest(schedule)} sites{honest} in every round"
    sentence = (
        f"{changed} changes the probability of anything that the server sees in this run, "
        f"{seen}, by at most a factor of e^{_exact(plan.epsilon)} (plus {plan.delta!r}): the budget that each "
        f"site's own filter holds. The executed rounds used e^{show(used)} of it. This assumes {_assumed(schedule)}"
        f"{once}a sound source of randomness at every honest site."
    )
    if encrypted := encryption_line(schedule):
        sentence += f" Uploads travel encrypted by {encrypted}"
    if not schedule.masked:
        return sentence
    if schedule.surplus is not None:
        told = "proof of" if hiding.signed else "the server's word on"
        sentence += (
            f" A round costs the same whether none or {schedule.surplus_parts} of the sites drop out of it: each site "
            "adds noise in parts, and parts that so few dropouts make superfluous are taken off the sum, with seeds "
            f"that sites reveal on {told} the survivors, and never those of a part that stays."
        )
    return (
        f"{sentence} For any one member site, which sees every round's model and knows its own noise, the exponent is "
        f"{show(spent.member)}; for outsiders, who see published models only, {show(spent.release)}; for someone who "
        f"saw each site's upload unmasked it would be {show(spent.local)}."
    )


def _fewest(schedule: Schedule) -> int:
    """Sites in whatever the server can open; of a random graph it may open a part."""
    hiding = schedule.hiding
    return hiding.floor_honest if hiding.signed and hiding.random else hiding.min_survivors


def worst_case_lines(schedule: Schedule, accounts: Accounts) -> list[str]:
    """What stands beside the guarantee: other colluders, and the fewest survivors in every round."""
    if not schedule.private or not schedule.masked:
        return []
    plan, hiding = schedule.plan, schedule.hiding
    lines = [downgrade_line(schedule)] if downgrade_line(schedule) else []
    for colluders in (3,):
        if colluders > schedule.colluders and colluders < schedule.threshold:
            shift = accounts.server_shift(colluders)
            held = " and a server that follows the protocol" if hiding.signed else ""
            lines.append(
                f"The same rounds against {colluders} colluding sites{held}: epsilon {show(schedule.epsilon(shift))}."
            )
    at_floor = schedule.epsilon(plan.rounds * schedule.floor_shift)
    allowed = min(int(schedule.limit / schedule.floor_shift), plan.rounds)
    fewest = (
        f"n_min = {hiding.min_survivors} survivors, at least h = {hiding.floor_honest} of them honest,"
        if hiding.signed
        else f"t = {schedule.threshold} survivors"
    )
    lines.append(
        f"With {fewest} counted in every round, {plan.rounds} rounds would cost epsilon {show(at_floor)}; the sites' "
        f"own filters would end such a run after {allowed} rounds, within {_exact(plan.epsilon)}. Budgets are per run: "
        "what earlier runs on the same persons spent adds up."
    )
    return lines
