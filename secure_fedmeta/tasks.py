# SPDX-License-Identifier: Apache-2.0
"""A site's task: which records it adapts on and which it is judged on.

A record's role is a keyed hash of its own id and nothing else: never a rank, a count or "the first k". A record takes
the next free slot of its role when it is registered. So adding a patient changes no other patient's role, row or slot,
which is what the sensitivity proofs ask for.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedmeta_privacy.errors import TooManyRecords

from .errors import SettingError
from .plan import Plan

MIN_RECORDS = 4


@dataclass(frozen=True, slots=True, eq=False)
class Task:
    """Encoded rows of one site; they never leave it.

    Shapes: `support_rows` (s, d), `support_labels` (s,), `query_rows` (m, d), `query_labels` (m,), float64; s and m
    are at most the registered slots.
    """

    support_rows: NDArray[np.float64]
    support_labels: NDArray[np.float64]
    query_rows: NDArray[np.float64]
    query_labels: NDArray[np.float64]

    def __repr__(self) -> str:
        return "Task(<records of one site>)"


def check_task(task: Task, plan: Plan, *, dimension: int, site: str) -> None:
    """Check all that the sensitivity proof asks of a site's records, where they are held: once, before the run.

    Raises:
        TooManyRecords: more records in a role than slots.
        SettingError: wrong shape or type, a row that is not finite or beyond the norm bound, a label that is no class,
            or with loss squared one beyond `label_bound`; query records of an algorithm that has none (`one_role`).
    """
    roles = (
        ("support", task.support_rows, task.support_labels, plan.support_slots),
        ("query", task.query_rows, task.query_labels, 0 if plan.one_role else plan.query_slots),
    )
    for role, rows, labels, slots in roles:
        if rows.dtype != np.float64 or labels.dtype != np.float64 or rows.shape != (len(labels), dimension):
            raise SettingError(f"the {role} records are not float64 of {dimension} columns", f"site {site}", _ENCODE)
        if len(labels) > slots:
            raise TooManyRecords(
                f"site {site} has more {role} records than its {slots} registered slots",
                f"raise {role}_slots in the plan of all sites, or register fewer records",
            )
        bounded = plan.mode != "bounded-glm" or (np.linalg.norm(rows, axis=1) <= plan.row_bound * (1 + 2.0**-30)).all()
        if not np.isfinite(rows).all() or not bounded:
            raise SettingError("a row is longer than the norm bound or not finite", f"site {site}", _ENCODE)
        if plan.loss == "squared":
            if not (np.abs(labels) <= plan.label_bound).all():
                raise SettingError(
                    f"a label is no number within {plan.label_bound:g} of zero",
                    f"site {site}",
                    "scale the labels by public numbers, or raise label_bound in the plan of all sites",
                )
            continue
        if plan.loss == "logistic" and not np.isin(labels, (0.0, 1.0)).all():
            raise SettingError("a label is neither 0 nor 1", f"site {site}", "use two classes, coded 0 and 1")
        if not np.isin(labels, np.arange(float(plan.classes))).all():
            raise SettingError("a label is no class", f"site {site}", f"code the classes 0 to {plan.classes - 1}")


_ENCODE = "encode the records with the run's codebook"


def is_support(record_id: str, key: bytes, fraction: float) -> bool:
    """The role of one record: True for support, with probability `fraction` over the key.

    Example:
        >>> key = bytes(32)
        >>> is_support("patient-0001", key, 0.5) == is_support("patient-0001", key, 0.5)
        True
    """
    digest = hmac.digest(key, b"sfm-role/1" + record_id.encode(), hashlib.sha256)
    return int.from_bytes(digest[:8], "big") < fraction * 2.0**64


def check_roles(ids: Sequence[str], support: Sequence[bool], *, key: bytes, fraction: float, site: str) -> None:
    """Check a split that was made elsewhere: each record's role must follow from its own id and the key alone.

    A split by rank, by count, "the first k" or anew each round gives other records another role when one record comes
    or goes, and then far more than one record's part moves.

    Raises:
        SettingError: a role is not the keyed hash of its record's id.

    Example:
        >>> ids, key = ("a", "b", "c"), bytes(32)
        >>> check_roles(ids, [is_support(one, key, 0.5) for one in ids], key=key, fraction=0.5, site="s")
    """
    if len(ids) != len(support) or any(
        bool(role) != is_support(one, key, fraction) for one, role in zip(ids, support, strict=True)
    ):
        raise SettingError(
            "the roles do not follow from each record's own id",
            f"site {site}",
            "take the role from `is_support`, never from a rank, a count or a fresh shuffle",
        )


def register(
    rows: NDArray[np.float64],
    labels: NDArray[np.float64],
    ids: Sequence[str],
    *,
    plan: Plan,
    key: bytes,
    site: str,
) -> Task:
    """Give every record its role and slot, once, before the run.

    Shapes: rows (n, d) with norm at most `plan.row_bound`, labels (n,) in {0, 1}, ids n distinct strings.

    Raises:
        TooManyRecords: a role has more records than slots; none is dropped silently, since a record that displaces
            another one doubles the sensitivity.
        SettingError: too few records, a row beyond the norm bound, or repeated ids.
    """
    if len(ids) < MIN_RECORDS:
        raise SettingError(
            f"the site has fewer than {MIN_RECORDS} records",
            f"site {site}",
            "let it use the released model instead",
        )
    if plan.unit == "record" and len(set(ids)) != len(ids):
        raise SettingError("ids repeat: one person would be counted twice", f"site {site}", "merge a person's rows")
    support = np.array([is_support(record_id, key, plan.support_share) for record_id in ids])
    task = Task(rows[support], labels[support], rows[~support], labels[~support])
    check_task(task, plan, dimension=rows.shape[1], site=site)
    return task


def check_tasks(tasks: tuple[Task, ...], plan: Plan, *, dimension: int, site: str) -> None:
    """As `check_task` for a site whose units are persons: at most `task_slots` of them, each with its own rows.

    Raises:
        TooManyRecords, SettingError: as `check_task`.
    """
    if len(tasks) > plan.task_slots:
        raise TooManyRecords(
            f"site {site} has more persons than its {plan.task_slots} registered slots",
            "raise task_slots in the plan of all sites, or register fewer persons",
        )
    room = plan.changed(support_slots=100_000, query_slots=100_000)  # inside a person nothing is counted
    for task in tasks:
        check_task(task, room, dimension=dimension, site=site)


def register_persons(
    rows: NDArray[np.float64],
    labels: NDArray[np.float64],
    ids: Sequence[str],
    *,
    plan: Plan,
    site: str,
) -> tuple[Task, ...]:
    """Make each person one task: all rows under one id, in their order, the first part for support.

    How a person's rows are split concerns that person alone, so counts may decide it: the clip bounds the whole task.

    Raises:
        TooManyRecords: more persons than slots.
        SettingError: rows or labels that no task can be made of.
    """
    made = persons_of(rows, labels, ids, support_fraction=plan.support_fraction)
    check_tasks(made, plan, dimension=rows.shape[1], site=site)
    return made


def persons_of(
    rows: NDArray[np.float64], labels: NDArray[np.float64], ids: Sequence[str], *, support_fraction: float
) -> tuple[Task, ...]:
    """Rows by person, in the order in which persons appear; a person's first rows are for support.

    Example:
        >>> tasks = persons_of(np.eye(3), np.zeros(3), ("a", "b", "a"), support_fraction=0.5)
        >>> [(len(task.support_labels), len(task.query_labels)) for task in tasks]
        [(1, 1), (0, 1)]
    """
    places: dict[str, list[int]] = {}
    for place, person in enumerate(ids):
        places.setdefault(person, []).append(place)
    tasks = []
    for where in places.values():
        cut = min(round(len(where) * support_fraction), len(where) - 1)
        support, query = where[:cut], where[cut:]
        tasks.append(Task(rows[support], labels[support], rows[query], labels[query]))
    return tuple(tasks)
