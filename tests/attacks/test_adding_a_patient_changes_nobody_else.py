"""The sensitivity proofs need it: with one patient more, every other patient keeps role, row and slot."""

import numpy as np
import pytest

from secure_fedmeta.algorithms import contributions
from secure_fedmeta.datasets.codebook import Codebook
from secure_fedmeta.datasets.hospital import load_hospitals
from secure_fedmeta.entropy import role_key
from secure_fedmeta.pilots.hospital import plan_with, schedule_for
from secure_fedmeta.tasks import register


@pytest.fixture(scope="module")
def site():
    return load_hospitals(seed=0).members[0].registered


@pytest.fixture(scope="module")
def plan():
    return plan_with({})


def placed(site, plan, order):
    """{id: (role, slot, row, label)} when the patients register in this order."""
    chosen = site.take(order)
    rows = Codebook.load().encode(chosen.features)
    task = register(rows, chosen.labels, chosen.ids, plan=plan, key=role_key(site.name, 0), site=site.name)
    where = {}
    for role in ("support", "query"):
        kept, labels = getattr(task, f"{role}_rows"), getattr(task, f"{role}_labels")
        for slot, (row, label) in enumerate(zip(kept, labels, strict=True)):
            (who,) = [i for i, r in zip(chosen.ids, rows, strict=True) if np.array_equal(r, row)]
            where[who] = (role, slot, row.tobytes(), label)
    return task, where


def test_each_patient_in_turn(site, plan):
    everyone = list(range(len(site)))
    for newcomer in everyone:
        others = [i for i in everyone if i != newcomer]
        _, before = placed(site, plan, others)
        _, after = placed(site, plan, [*others, newcomer])
        who = site.ids[newcomer]
        assert who not in before
        assert {i: place for i, place in after.items() if i != who} == before


def test_roles_and_rows_do_not_depend_on_the_order_either(site, plan):
    _, before = placed(site, plan, list(range(len(site))))
    _, after = placed(site, plan, list(reversed(range(len(site)))))
    assert {i: (role, row) for i, (role, _, row, _) in before.items()} == {
        i: (role, row) for i, (role, _, row, _) in after.items()
    }


def test_each_patient_in_turn_moves_the_release_by_at_most_the_claim(site, plan):
    """The property that the slots exist for, on real records at a trained-like model."""
    schedule = schedule_for(plan)
    theta = np.random.default_rng(0).normal(size=31) * 2
    everyone = list(range(len(site)))

    def clipped(order):
        rows = contributions(theta, placed(site, plan, order)[0], plan)
        return (rows * np.minimum(1, plan.clip_norm / (np.linalg.norm(rows, axis=1, keepdims=True) + 1e-6))).sum(0)

    whole = clipped(everyone)
    moves = [np.linalg.norm(whole - clipped([i for i in everyone if i != gone])) for gone in everyone]
    assert 0 < max(moves) <= schedule.sensitivity.worst
    assert min(moves) > 0  # each patient takes part
