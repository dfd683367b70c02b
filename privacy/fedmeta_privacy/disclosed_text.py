# SPDX-License-Identifier: Apache-2.0
"""Fixed words of the disclosure documents: what units, views and modes are, and who sees what."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

UNITS = {
    "record": "one record in a registered slot of one site (one person, if each person has one record)",
    "task": "one task: all records of one person or one case that a site registered",
    "client": "one whole site: all that it contributes",
}
_ADJACENCY_NAMES = {"slot": "add or remove (a registered slot filled or empty)"}
ADJACENCIES = {
    "slot": "two tables of registered slots of the same public size, equal but for one slot, which is filled in one "
    "and empty in the other; every other unit keeps its site, slot and role",
    "replace-one": "two data sets of the same size, equal but for the content of one unit",
    "zero-out": "two data sets of the same units, where all contributions of one unit are replaced by zero in the "
    "other",
}
MODES = {
    "bounded-glm": "each query record's contribution is clipped; a support record's influence through the adaptation "
    "is bounded by the loss's own constants; the larger role counts",
    "noisy-inner": "per-record gradients are clipped and noised within the adaptation and for the query; the larger "
    "role counts",
    "task-is-person": "each task's meta-gradient is clipped once; whatever happens inside a task is inside it",
    "client-vector": "each site's whole vector is clipped once",
}
CLIPPED = {
    "flat": "",
    "per-layer": "; each layer to its own norm, clip_norm together",
    "adaptive": "; to a public norm that starts at clip_norm and follows a noisy count in the same sum; sensitivity "
    "and noise are in multiples of it",
}
VIEWS_SEE = {
    "server": "every sum (or upload, without masking), less the noise of the sites that may work with the server",
    "member": "every round's model, knowing one member's own noise",
    "release": "the published models",
    "local": "each site's upload by itself, as if nothing were masked",
}
NOT_COVERED = (
    "which sites are members, and which answered in which round",
    "the sizes of the registered tables (slots), the features and their public ranges",
    "what holds of the population at large and can be learned without any one unit",
    "persons with more units, or at more sites, than the assumption says",
    "earlier and later runs on the same persons: budgets add up",
)
UNPROTECTED = (
    "membership of sites and participation per round",
    "time and size of messages",
    "registered slots, a public number stated beforehand",
)
ACTORS: tuple[Mapping[str, str], ...] = (
    {
        "actor": "site",
        "sees": "its own records; every round's model",
        "trusted_for": "adding its noise, if it is among the honest sites that are counted",
    },
    {
        "actor": "server",
        "sees": "sums of masked uploads (every upload, without masking), participation, time",
        "trusted_for": "nothing but availability where all is signed; following the protocol otherwise",
    },
    {
        "actor": "auditor",
        "sees": "the ledger, this file, public keys",
        "trusted_for": "nothing",
    },
    {
        "actor": "user of the model",
        "sees": "published models",
        "trusted_for": "nothing",
    },
)


def adjacency_of(name: str) -> str:
    """The adjacency's usual name beside the ledger's.

    Example:
        >>> adjacency_of("slot"), adjacency_of("replace-one")
        ('slot: add or remove (a registered slot filled or empty)', 'replace-one')
    """
    return f"{name}: {_ADJACENCY_NAMES[name]}" if name in _ADJACENCY_NAMES else name


def sampling_of(settings: Mapping[str, Any]) -> str:
    """What the ledger says about sampling: nothing was sampled unless it names a rate."""
    rate = settings.get("sampling") or settings.get("sampling_rate")
    return "none: all registered units of every site that answers" if rate is None else f"as planned: {rate}"
