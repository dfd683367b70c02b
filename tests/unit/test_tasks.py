"""Roles, caps, and the closed-form contributions against automatic differentiation."""

import numpy as np
import pytest
import torch
from small_runs import arrays_plan, random_task, small_book, small_plan, small_records

from fedmeta_privacy.errors import PlanError, TooManyRecords, UnsafeModel
from secure_fedmeta.algorithms.glm.logistic import contributions
from secure_fedmeta.errors import SettingError
from secure_fedmeta.run import federate
from secure_fedmeta.schedule import make_schedule
from secure_fedmeta.tasks import check_roles, is_support, register, register_persons

KEY = bytes(range(32))


def people(n, dimension=3, length=0.5):
    rows = np.zeros((n, dimension))
    rows[:, 0] = length * np.linspace(0.1, 1, n)
    return rows, np.arange(n) % 2.0, [f"person-{i}" for i in range(n)]


def test_roles_follow_the_fraction_and_the_key():
    ids = [f"p{i}" for i in range(4000)]
    shares = {f: np.mean([is_support(i, KEY, f) for i in ids]) for f in (0.2, 0.5, 0.8)}
    assert all(abs(share - f) < 0.04 for f, share in shares.items())  # 5 standard deviations
    # A larger fraction only ever moves records from query to support.
    assert all(is_support(i, KEY, 0.5) for i in ids if is_support(i, KEY, 0.2))
    other = [is_support(i, bytes(32), 0.5) for i in ids]
    assert 0.4 < np.mean([is_support(i, KEY, 0.5) == o for i, o in zip(ids, other, strict=True)]) < 0.6


@pytest.mark.parametrize("role", ["support", "query"])
def test_a_site_over_its_caps_is_refused_and_none_is_dropped(role):
    rows, labels, ids = people(40)
    count = sum(is_support(i, KEY, 0.5) == (role == "support") for i in ids)
    plan = small_plan(support_slots=40, query_slots=40)
    at_cap = register(rows, labels, ids, plan=plan.changed(**{f"{role}_slots": count}), key=KEY, site="s")
    assert len(at_cap.support_rows) + len(at_cap.query_rows) == 40
    with pytest.raises(TooManyRecords, match=rf"SFM-307: site s has more {role} records.*{role}_slots"):
        register(rows, labels, ids, plan=plan.changed(**{f"{role}_slots": count - 1}), key=KEY, site="s")


def test_too_few_repeated_and_overlong_records_are_refused():
    plan = small_plan(support_slots=40, query_slots=40)

    def attempt(rows, labels, ids):
        return register(rows, labels, ids, plan=plan, key=KEY, site="north")

    rows, labels, ids = people(8)
    assert len(attempt(rows, labels, ids).query_labels) <= 8
    with pytest.raises(SettingError, match=r"fewer than 4 .*north"):
        attempt(rows[:3], labels[:3], ids[:3])
    with pytest.raises(SettingError, match="ids repeat"):
        attempt(rows, labels, [*ids[:-1], ids[0]])
    for bad in (1.0 + 1e-6, np.nan, np.inf):
        bent = rows.copy()
        bent[5, 1] = bad
        with pytest.raises(SettingError, match=r"SFM-101: .*norm bound"):
            attempt(bent, labels, ids)


def test_one_person_at_two_sites_is_refused_before_anything_is_written(tmp_path):
    sites = small_records(4)
    twice = sites[1].take([0, 1, 2, 3])
    object.__setattr__(twice, "ids", (sites[0].ids[0], *twice.ids[1:]))
    with pytest.raises(SettingError, match=r"SFM-101: .*two sites"):
        federate(arrays_plan(), [*sites[:1], twice, *sites[2:]], small_book(), out=tmp_path / "run")
    assert list(tmp_path.iterdir()) == []


def test_delta_is_compared_with_the_registered_slots_which_are_public(tmp_path):
    """96 slots, whoever is in them: the count of records is not for telling."""
    with pytest.raises(PlanError, match=r"SFM-301: delta=0.0105 is not below 1/N"):
        federate(arrays_plan(delta=0.0105), small_records(4), small_book(), out=tmp_path / "run")
    assert list(tmp_path.iterdir()) == []
    assert make_schedule(arrays_plan(delta=0.0104), clients=4, dimension=4).limit > 0
    assert make_schedule(arrays_plan(delta=0.5, epsilon="none"), clients=4, dimension=4).scale is None


@pytest.mark.parametrize("algorithm", ["maml", "fomaml"])
@pytest.mark.parametrize("steps", [1, 2, 3])
@pytest.mark.parametrize("scale", [0.0, 1.0, 30.0])
def test_contributions_are_the_gradients_of_the_adapted_loss(algorithm, steps, scale):
    rng = np.random.default_rng(steps)
    task = random_task(rng, dimension=6, support=5, query=4)
    plan = small_plan(algorithm=algorithm, inner_steps=steps, inner_lr=2.5, support_slots=5)
    theta = scale * rng.normal(size=6)
    support = torch.from_numpy(task.support_rows), torch.from_numpy(task.support_labels)

    def loss(at, rows, labels):
        return torch.nn.functional.binary_cross_entropy_with_logits(rows @ at, labels, reduction="sum")

    expected = []
    for row, label in zip(task.query_rows, task.query_labels, strict=True):
        start = torch.from_numpy(theta.copy()).requires_grad_(True)
        at = start
        for _ in range(steps):
            (inner,) = torch.autograd.grad(loss(at, *support), at, create_graph=algorithm == "maml")
            at = at - plan.inner_lr / plan.support_slots * inner
        if algorithm == "fomaml":
            start = at = at.detach().requires_grad_(True)
        query = torch.from_numpy(row)[None], torch.tensor([label], dtype=torch.float64)
        expected.append(torch.autograd.grad(loss(at, *query), start)[0].numpy())
    np.testing.assert_allclose(contributions(theta, task, plan), np.array(expected), rtol=0, atol=1e-12)


def test_empty_slots_count_in_the_step_but_not_in_the_sum():
    rng = np.random.default_rng(0)
    task = random_task(rng, support=4)
    half = contributions(np.ones(5), task, small_plan(support_slots=8, inner_lr=2.0))
    same = contributions(np.ones(5), task, small_plan(support_slots=4, inner_lr=1.0))
    np.testing.assert_array_equal(half, same)


@pytest.mark.parametrize("bad", [np.nan, np.inf, 2.0**20 * 1.01])
def test_an_unsafe_model_touches_no_record(bad):
    class Untouchable:
        def __getattr__(self, name):
            raise AssertionError("a record was read")

    theta = np.zeros(5)
    theta[2] = bad
    with pytest.raises(UnsafeModel, match="SFM-306"):
        contributions(theta, Untouchable(), small_plan())


@pytest.mark.parametrize("planted", ["rank", "first k", "another key", "one missing"])
def test_roles_by_anything_but_the_id_are_refused(planted):
    ids = [f"person-{i}" for i in range(40)]
    right = [is_support(one, KEY, 0.5) for one in ids]
    check_roles(ids, right, key=KEY, fraction=0.5, site="s")
    roles = {
        "rank": [rank % 2 == 0 for rank in range(40)],
        "first k": [rank < 20 for rank in range(40)],
        "another key": [is_support(one, bytes(32), 0.5) for one in ids],
        "one missing": right[:-1],
    }[planted]
    with pytest.raises(SettingError, match="own id"):
        check_roles(ids, roles, key=KEY, fraction=0.5, site="s")


def test_persons_are_tasks_of_all_their_rows():
    rng = np.random.default_rng(0)
    rows, labels = rng.normal(size=(7, 3)), rng.integers(0, 2, 7).astype(float)
    ids = ("a", "b", "a", "c", "a", "b", "a")
    plan = small_plan(unit="task", mode="task-is-person", task_slots=3)
    tasks = register_persons(rows, labels, ids, plan=plan, site="s")
    assert [(len(t.support_labels), len(t.query_labels)) for t in tasks] == [(2, 2), (1, 1), (0, 1)]
    assert (np.vstack([tasks[0].support_rows, tasks[0].query_rows]) == rows[[0, 2, 4, 6]]).all()
    # Nobody else's task changes when a person leaves.
    kept = [i for i, one in enumerate(ids) if one != "b"]
    fewer = register_persons(rows[kept], labels[kept], [ids[i] for i in kept], plan=plan, site="s")
    for mine, before in zip(fewer, (tasks[0], tasks[2]), strict=True):
        assert (mine.query_rows == before.query_rows).all() and (mine.support_rows == before.support_rows).all()
    with pytest.raises(TooManyRecords, match="persons"):
        register_persons(rows, labels, ids, plan=plan.changed(task_slots=2), site="s")
    with pytest.raises(SettingError, match="neither 0 nor 1"):
        register_persons(rows, labels + 2, ids, plan=plan, site="s")
