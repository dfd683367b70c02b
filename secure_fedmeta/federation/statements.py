# SPDX-License-Identifier: Apache-2.0
"""What a line of the ledger says: the executed terms of a run, and of each round. Made by the server, checked by all.

Nothing here depends on records: every value is a public setting, a count of messages, a digest or the accountant's.
No participation is kept secret (sites are named), so no amplification by sampling is claimed: q is 1.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from fedmeta_privacy.ledger import Json, canonical, decimal

from .._version import __version__
from ..clip_plan import clip_terms
from ..schedule import Schedule

# Books are kept in whole units of the budget's shift, each round rounded up, so that everybody adds to the same sum.
UNITS = 2**40
MOST_FINDINGS = 100  # a round of liars must not make a line that nobody can be shown
RECENT_HEADS = 8
CRASHED = "the process ended in this round"  # `aborted` of the round that a resumed run found open
COMMITMENT_BYTES = 16


def terms(schedule: Schedule) -> dict[str, Json]:
    """What every party works out for itself and compares: mechanism, sensitivity, thresholds, sampling, accountant.

    Example:
        >>> from ..plan import Plan
        >>> from ..schedule import make_schedule
        >>> stated = terms(make_schedule(Plan(), clients=10, dimension=3))
        >>> stated["sampling"], stated["n_min"], stated["h"]
        ({'kind': 'none', 'q': '1', 'secret_from': 'nobody'}, 9, 8)
    """
    plan, hiding = schedule.plan, schedule.hiding
    noise = schedule.scale is not None
    return {
        "behaviour": schedule.behaviour_digest.hex(),
        "unit": plan.unit,
        "adjacency": plan.adjacency,
        "mode": plan.mode,
        "views": ["server", "release", "local", "member"],
        "mechanism": {
            "name": "discrete Gaussian sum" if noise else "none",
            "scale": decimal(schedule.scale) if schedule.scale is not None else None,
            "surplus": None if schedule.surplus is None else [decimal(scale) for scale in schedule.surplus.scales],
            "step": decimal(schedule.encoding.step),
            "modulus_bits": schedule.encoding.modulus_bits,
            "rounding": {"how": plan.rounding, "cost": decimal(schedule.rounding_cost)},
            "rng": "from the seed" if plan.insecure_reproducible else "AES-CTR, a fresh key a round",
        },
        "clip": clip_terms(schedule.clipping, plan),
        "sensitivity": decimal(schedule.release.l2_sensitivity),
        "strength": hiding.name,
        "invited": schedule.clients,
        "threshold": schedule.threshold,
        "colluders": schedule.colluders,
        "n_min": hiding.min_survivors,
        "h": hiding.floor_honest,
        "sampling": {"kind": "none", "q": "1", "secret_from": "nobody"},
        "inner": {
            "algorithm": plan.algorithm,
            "steps": plan.inner_steps,
            "lr": decimal(plan.inner_lr),
            "order": 2 if plan.second_order else 1,
            "noise": [
                {
                    "releases": one.count,
                    "clip": decimal(one.clip_norm),
                    "sensitivity": decimal(one.release.l2_sensitivity),
                    "scale": None if one.scale is None else decimal(one.scale),
                }
                for one in schedule.inner
            ],
        },
        "delta": decimal(plan.delta),
        "accountant": accountant_terms(),
    }


def accountant_terms() -> dict[str, Json]:
    """Who computed the stated epsilon."""
    return {"name": "exact Gaussian bound for discrete Gaussian sums", "version": __version__}


def units(shift: float, limit: float) -> int:
    """One round's squared shift in units of the budget, rounded up; a round without a guarantee is worth all of it.

    Example:
        >>> units(0.25, 1.0) - UNITS // 4, units(math.inf, 1.0) == UNITS
        (1, True)
    """
    if not math.isfinite(shift) or not math.isfinite(limit):
        return UNITS
    return math.ceil(shift / limit * (1 + 2.0**-50) * UNITS)


def stated_epsilon(views: Mapping[str, float], *, private: bool) -> dict[str, Json]:
    """Epsilon per view for the ledger: a decimal, or "none"."""
    return {view: decimal(value) if private else "none" for view, value in views.items()}


@dataclass(frozen=True, slots=True)
class RoundFacts:
    """What the server observed in a round, beside what follows from the schedule and the books.

    Attributes:
        session, agreed: hex; `agreed` is the digest of the survivors that they signed, empty without signatures.
        behaviour: what the announcement bound into the masks, hex.
        asked, answered, survivors: who was asked for an upload, gave its shares, is in the sum.
        votes: how many signed the survivors; None without signatures.
        honest: noises counted; 0 without a sum.
        shift: squared shift of the round; None without a sum.
        noise: each survivor's commitment to its noise key, hex.
        model_before, model: SHA-256 of the models.
        clip_norm: C_t as announced, public; None unless clipping is adaptive.
    """

    session: str
    agreed: str
    behaviour: str
    cohort: Sequence[int]
    asked: Iterable[int]
    answered: Iterable[int]
    survivors: Sequence[int]
    votes: int | None
    aborted: str | None
    false_shares: Iterable[tuple[int, int]]
    findings: Sequence[str]
    excluded: Mapping[int, str]
    honest: int
    shift: float | None
    noise: Mapping[int, str]
    model_before: str
    model: str
    clip_norm: float | None = None


def round_body(
    schedule: Schedule,
    facts: RoundFacts,
    *,
    books: Sequence[int],
    views: Mapping[str, float],
    heads: Sequence[str],
) -> dict[str, Json]:
    """The body of a `round` line."""
    pairs = sorted(facts.false_shares)
    findings = [text[:300] for text in facts.findings[:MOST_FINDINGS]]
    if len(facts.findings) > MOST_FINDINGS:
        findings.append(f"and {len(facts.findings) - MOST_FINDINGS} more")
    body: dict[str, Json] = {
        "session": facts.session,
        "agreed": facts.agreed,
        "behaviour": facts.behaviour,
        "terms": terms(schedule),
        "cohort": list(facts.cohort),
        "asked": sorted(facts.asked),
        "answered": sorted(facts.answered),
        "survivors": list(facts.survivors),
        "votes": facts.votes,
        "aborted": facts.aborted,
        "false_shares": [list(pair) for pair in pairs[:MOST_FINDINGS]],
        "findings": findings,
        "excluded": {str(site): why for site, why in facts.excluded.items()},
        "honest": facts.honest,
        "shift": None if facts.shift is None else decimal(facts.shift),
        "charge": decimal(schedule.floor_shift),
        "books": list(books),
        "noise": [[site, text] for site, text in sorted(facts.noise.items())],
        "model_before": facts.model_before,
        "model": facts.model,
        "delta": decimal(schedule.plan.delta),
        "epsilon": stated_epsilon(views, private=schedule.private),
        # The discrete law is only known to be at least as private as the Gaussian one.
        "epsilon_lower": decimal(0.0) if schedule.private else "none",
        "heads": list(heads),
    }
    if facts.clip_norm is not None:  # what was clipped and counted is in no line: C_t follows from noisy sums alone
        body["clip_norm"] = decimal(facts.clip_norm)
    return body


def same(stated: object, expected: Json) -> bool:
    """Whether a value of the ledger is the one that a party worked out; 1 is not true here.

    Example:
        >>> same([1], [1]), same([True], [1])
        (True, False)
    """
    try:
        return canonical(stated) == canonical(expected)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return False
