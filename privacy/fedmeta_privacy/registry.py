# SPDX-License-Identifier: Apache-2.0
"""`registry.yaml`: a run as an entry of the public Differential Privacy Deployments Registry (OpenDP and NIST).

Fields as in the registry's `schemas/deployments-schema.yaml` of 2026-08; no others are allowed there, so details go
into the `*_details` fields. An entry is a draft: what only the operator knows reads "NOT STATED by operator". No `rho`:
concentrated DP does not survive the noise sampler's total variation, however small.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from .disclosed_text import ADJACENCIES, NOT_COVERED, UNITS, UNPROTECTED, VIEWS_SEE, actors_of
from .run_record import RunRecord
from .statements import NOT_STATED, Statements

SECTORS = ("Technology", "Healthcare", "Education", "Government", "Finance")


def registry_entry(record: RunRecord, statements: Statements, *, run_id: str) -> dict[str, Any]:
    """The entry, in the order of the schema. Epsilon is the budget's in the server's view: what is promised."""
    said = statements
    basic: dict[str, Any] = {
        "name": said.title or NOT_STATED,
        "data_curators": list(said.curators) or [NOT_STATED],
        "description": said.description or _description(record),
        "intended_use": said.intended_use or NOT_STATED,
        "data_product_type": "Machine learning model",
        "data_product_region": said.region or NOT_STATED,
        "publication_date": said.publication_date or (record.ended or "")[:10] or NOT_STATED,
    }
    if said.sector in SECTORS:
        basic["data_product_sector"] = said.sector
    return {
        "url_slug": slug(said.title or f"secure-fedmeta-{run_id[:12]}"),
        "status": "Draft",
        "tier": 3,
        "deployment": {
            "basic": basic,
            "dp_variant": {
                "variant_name": "Approximate DP",
                "data_domain": said.data_domain or NOT_STATED,
                "unprotected_quantities": _list((*UNPROTECTED, *NOT_COVERED[:1])),
            },
            "privacy_loss": _privacy_loss(record),
            "deployment_model": _model(record, said),
            "accounting": {
                "post_processing": "The released sums are averaged and fed to an outer optimizer; the model is a "
                "function of them.",
                "composition": f"{record.accountant or 'see the ledger'}: adaptive composition over "
                f"{len(record.rounds)} rounds, per site; a filter on each site ends the run within the budget.",
            },
            "implementation": _implementation(record, said),
            "administrative": {"registry_authors": list(said.registry_authors) or [NOT_STATED]},
        },
    }


def slug(title: str) -> str:
    """Lower-case words joined by hyphens.

    Example:
        >>> slug("Stroke pilot, Clinic A (2026)")
        'stroke-pilot-clinic-a-2026'
    """
    return re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")[:80].strip("-") or "run"


def _description(record: RunRecord) -> str:
    return (
        f"A model learned by federated meta-learning over {record.settings.get('clients', 'several')} sites, "
        f"{len(record.rounds)} rounds, by {record.software}."
    )


def _list(lines: tuple[str, ...]) -> str:
    return "\n".join(f"- {line}" for line in lines)


def _privacy_loss(record: RunRecord) -> dict[str, Any]:
    planned = record.planned_epsilon
    parameters: dict[str, Any] = {}
    details = record.guarantee or "The run was broken off before its guarantee was written."
    if record.private and planned is not None:
        parameters = {"epsilon": planned, "delta": record.delta}
    used = {view: value for view, value in record.epsilon.items() if value is not None}
    lines = [
        f"- executed, {view} ({VIEWS_SEE[view]}): epsilon {value!r}"
        for view, value in used.items()
        if view in VIEWS_SEE
    ]
    loss: dict[str, Any] = {
        "privacy_unit": f"{record.unit}-level",
        "privacy_unit_details": f"{UNITS.get(record.unit, record.unit)}. Adjacent: "
        f"{ADJACENCIES.get(record.adjacency, record.adjacency)}.",
        "privacy_parameters": parameters,
        "privacy_parameters_details": "\n".join([details, *lines]),
    }
    return {name: value for name, value in loss.items() if value}  # no parameters where nothing is promised


def _model(record: RunRecord, said: Statements) -> dict[str, Any]:
    return {
        "model_name": "Federated",
        "model_name_details": f"Each site adds its own noise; protocol: {record.protocol}.",
        "actors": _list(
            tuple(f"{a['actor']}: sees {a['sees']}; trusted for {a['trusted_for']}" for a in actors_of(record))
        ),
        "release_type": "Many releases",
        "release_type_details": "Every round's model goes to the member sites; all rounds are in the stated epsilon. "
        f"Publication: {said.release or NOT_STATED}. Refresh: {said.refresh or NOT_STATED}.",
        "data_source_type": "Static",
        "access_type": "Non-interactive",
    }


def _implementation(record: RunRecord, said: Statements) -> dict[str, Any]:
    scale = record.number("scale")
    noise = f"discrete Gaussian noise of {scale:g} encoding steps on each site" if scale else "no noise"
    return {
        "preprocessing_and_hyperparameter_tuning": f"Features are scaled by public ranges. Preprocessing: "
        f"{said.preprocessing or NOT_STATED}. Tuning: {said.tuning or NOT_STATED}.",
        "mechanisms": _list(
            (
                f"clipping and sensitivity by mode {record.mode}; {noise}, from a cryptographic keystream",
                f"implemented by {record.software}, noise on integers, so without floating-point gaps",
                f"uploads: {record.protocol}",
                ("signed and countersigned" if record.allow_list else "chained, unsigned")
                + " ledger of what was executed, for offline checks",
            )
        ),
        "justification": f"Noise is added where the data are{_no_trust(record)}; "
        "the derivations stand in the software's documentation and are attacked by its tests.",
    }


def _no_trust(record: RunRecord) -> str:
    return ", and only sums are opened, so that no party needs to be trusted with an upload" if record.masked else ""


def fields_used(entry: Mapping[str, Any], prefix: str = "") -> set[str]:
    """Dotted names of all fields of an entry."""
    names = set()
    for key, value in entry.items():
        names.add(prefix + key)
        if isinstance(value, Mapping):
            names |= fields_used(value, f"{prefix}{key}.")
    return names
