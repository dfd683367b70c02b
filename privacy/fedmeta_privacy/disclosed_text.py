# SPDX-License-Identifier: Apache-2.0
"""Fixed words of the disclosure documents: what units, views and modes are, and who sees what."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .run_record import RunRecord

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
# (masked, with a decryptor): who adds noise where, and what becomes of an upload.
DEPLOYED = {
    (True, False): "distributed: noise on each site, sums masked",
    (True, True): "distributed: noise on each site, sums masked, and decrypted by a second server",
    (False, False): "local: noise on each upload, no masking",
    (
        False,
        True,
    ): "local: noise on each upload, no masking; uploads encrypted to a second server, which could read each",
}


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


def actors_of(record: RunRecord) -> tuple[Mapping[str, str], ...]:
    """Who took part, what each sees and must be trusted for, in this run: by what the ledger says, never by a plan."""
    masked, second = record.masked, record.decryptor
    if masked:
        sees = "sums of masked uploads, participation, time"
        trusted = (
            "nothing but availability"
            if record.allow_list
            else "following the protocol: nobody signs, and a server that lies could open one site's upload"
        )
    elif second:
        sees = "ciphertexts that it holds no key for, the opened sums, participation, time"
        trusted = "not working with the decryptor, which could read each upload"
    else:
        sees = "every site's upload, with that site's own noise; participation, time"
        trusted = "nothing that noise on each upload does not cover; it could show every upload to others"
    actors = [
        _actor(
            "site",
            "its own records; every round's model",
            "adding its noise, if it is among the honest sites that are counted",
        ),
        _actor("server", sees, trusted),
    ]
    if second and masked:
        actors.append(
            _actor("decryptor", "sums of masked words, uniform to it; participation", "nothing but availability")
        )
    elif second:
        actors.append(
            _actor(
                "decryptor", "the sums, and with the server's help any site's upload", "opening nothing but the sums"
            )
        )
    return (
        *actors,
        _actor("auditor", "the ledger, this file, public keys", "nothing"),
        _actor("user of the model", "published models", "nothing"),
    )


def _actor(name: str, sees: str, trusted_for: str) -> Mapping[str, str]:
    return {"actor": name, "sees": sees, "trusted_for": trusted_for}


def encryption_of(record: RunRecord) -> str:
    """What uploads travelled under, and who could read them."""
    word = record.settings.get("aggregation")
    if record.trust:
        how = f"double masks, {word} beside them" if record.masked else f"{word} alone, no masks"
        return f"{how}; who could decrypt what: {record.trust}"
    return "double masks, no homomorphic encryption in this run" if record.masked else "none: uploads in the clear"


def server_could(record: RunRecord) -> str:
    """What a server that breaks the protocol gains."""
    if record.masked and record.allow_list:
        return "end rounds, leave sites out up to the stated number, send a crafted model to all"
    if record.masked:
        return "break the guarantee of the sum: nobody signs, so it may open one site's upload"
    if record.decryptor:
        return "have the decryptor open one site's upload as if it were a sum; only noise on each upload protects"
    return "nothing more: it reads each upload as it is; only noise on each upload protects"
