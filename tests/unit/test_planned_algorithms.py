"""Plans of the algorithms beside MAML: what an auditor gets back, which role records have, which labels pass."""

import json

import numpy as np
import pytest
import torch
from mode_runs import ALGORITHM_MODES, FEATURES, MODES, mode_data, mode_schedule
from small_runs import random_task, small_plan

from fedmeta_privacy.errors import TooManyRecords
from fedmeta_privacy.ledger import LedgerChain, Line, read_statement
from fedmeta_privacy.sensitivity import Order, logistic_sensitivity
from secure_fedmeta.algorithms.glm import displacement, logistic
from secure_fedmeta.algorithms.planned import algorithm_of
from secure_fedmeta.attacks.target import NotAttackable, _hospital
from secure_fedmeta.audit.terms import schedule_of
from secure_fedmeta.datasets.records import RecordsError, SiteRecords
from secure_fedmeta.engines.loop import LoopEngine
from secure_fedmeta.errors import SettingError
from secure_fedmeta.federation.contribution import contribution_of
from secure_fedmeta.federation.statements import terms
from secure_fedmeta.parameters import bind
from secure_fedmeta.pilots.hospital import plan_with, schedule_for
from secure_fedmeta.plan import Plan
from secure_fedmeta.tasks import Task, check_task, register


@pytest.mark.parametrize("name", MODES | ALGORITHM_MODES)
def test_an_auditor_makes_the_same_schedule_from_the_behaviour(name):
    schedule = mode_schedule(name)
    statement = LedgerChain().state("run", 0, "server", {"behaviour": schedule.behaviour()})
    found = schedule_of(Line(1, read_statement(statement.content), ()))
    assert found.behaviour() == schedule.behaviour() and found.behaviour_digest == schedule.behaviour_digest
    assert found.scale == schedule.scale and found.sensitivity == schedule.sensitivity
    assert found.layers == schedule.layers and terms(found) == terms(schedule)
    assert json.dumps(terms(found))


def test_second_order_is_what_reads_the_hessian():
    order = {name: Plan(algorithm=name).second_order for name in ("maml", "anil", "meta-sgd", "imaml", "per-fedavg")}
    assert all(order.values())
    assert not any(Plan(algorithm=name).second_order for name in ("fomaml", "reptile", "fedavg"))
    assert terms(mode_schedule("person-anil"))["inner"]["order"] == 2
    assert terms(mode_schedule("person-reptile"))["inner"] == {
        "algorithm": "reptile",
        "steps": 2,
        "lr": "1.0",
        "order": 1,
        "noise": [],
    }


# -- records, where training on all of them is what is uploaded --------------------------------------


def test_all_records_have_the_support_role_and_its_slots_alone_count():
    plan = small_plan(algorithm="reptile", support_fraction=0.2, support_slots=12, query_slots=1)
    assert plan.unit_slots == 1 and plan.registered_slots == 12
    rows = np.zeros((12, FEATURES))
    held = register(rows, np.zeros(12), [f"p{i}" for i in range(12)], plan=plan, key=bytes(32), site="s")
    assert len(held.support_labels) == 12 and not len(held.query_labels)
    with pytest.raises(TooManyRecords, match="12 registered slots"):
        register(np.zeros((13, 3)), np.zeros(13), [f"p{i}" for i in range(13)], plan=plan, key=bytes(32), site="s")
    with pytest.raises(TooManyRecords, match="query"):
        check_task(random_task(np.random.default_rng(0), FEATURES, 3, 1), plan, dimension=FEATURES, site="s")


@pytest.mark.parametrize("name", [name for name in ALGORITHM_MODES if name.startswith("glm")])
def test_a_site_s_upload_is_one_row_and_even_an_empty_site_has_one(name):
    schedule = mode_schedule(name)
    empty = Task(np.empty((0, FEATURES)), np.empty(0), np.empty((0, FEATURES)), np.empty(0))
    rows = contribution_of(schedule, mode_data(schedule, np.random.default_rng(0))).units(
        np.zeros(schedule.dimension), None
    )
    assert len(rows) == (1 if schedule.plan.one_role else 7)
    if schedule.plan.one_role:
        nothing = contribution_of(schedule, empty).units(np.zeros(schedule.dimension), None)
        assert nothing.shape == (1, schedule.dimension) and not nothing.any()


@pytest.mark.parametrize("loss", ["logistic", "cross-entropy"])
@pytest.mark.parametrize("algorithm", ["reptile", "fedavg"])
def test_the_closed_form_is_the_network_s_contribution(algorithm, loss):
    """A linear network on as many rows as slots: the mean over rows and the sum over slots are one."""
    plan = Plan(algorithm=algorithm, loss=loss, classes=2, inner_lr=0.7, inner_steps=4, support_slots=6)
    held = random_task(np.random.default_rng(1), FEATURES, 6, 0)
    net = bind(torch.nn.Linear(FEATURES, plan.outputs, bias=False))
    engine = LoopEngine(net, algorithm_of(plan, net), loss=loss)
    np.testing.assert_allclose(
        displacement.contributions(net.start, held, plan), engine.contributions(net.start, [held]), atol=1e-14
    )


def test_anil_of_a_linear_model_is_maml_with_its_bound():
    held = random_task(np.random.default_rng(1), FEATURES, 6, 7)
    theta = np.linspace(-1, 1, FEATURES)
    plans = [small_plan(algorithm=name) for name in ("anil", "maml")]
    assert np.array_equal(*(logistic.contributions(theta, held, plan) for plan in plans))
    schedules = mode_schedule("glm-anil"), mode_schedule("glm-logistic")
    assert schedules[0].sensitivity == schedules[1].sensitivity and schedules[0].scale == schedules[1].scale
    first = logistic_sensitivity(
        order=Order.FIRST,
        row_bound=1.0,
        inner_lr=1.0,
        inner_steps=1,
        support_slots=8,
        query_slots=8,
        clip_norm=0.3,
        dimension=FEATURES,
    )
    assert schedules[0].sensitivity.support > first.support


def test_the_ring_has_room_for_a_row_at_the_clip():
    """The query role is empty there, so the largest row must not be read off it."""
    schedule = mode_schedule("glm-reptile", clip_norm=4.0, modulus_bits=16)
    encoding = schedule.encoding
    honest_reach = 13.3 * (schedule.scale or 0.0)
    largest = 4 * (schedule.plan.clip_norm / encoding.step + honest_reach)
    assert largest < 2 ** (encoding.modulus_bits - 1)


def test_the_hospital_pilot_has_slots_for_reptile_and_no_attack_of_maml_reads_its_uploads():
    plan = plan_with({"algorithm": "reptile", "rounds": 2})
    assert plan.support_slots >= 40 and schedule_for(plan).private
    with pytest.raises(NotAttackable, match="algorithm reptile"):
        _hospital(plan, None, "a run")


# -- regression ------------------------------------------------------------------------------------


def test_labels_of_the_squared_loss_lie_in_the_public_range():
    plan = small_plan(**ALGORITHM_MODES["site-squared"])
    rows, nothing = np.zeros((2, FEATURES)), (np.empty((0, FEATURES)), np.empty(0))
    check_task(Task(rows, np.array([-5.0, 4.5]), *nothing), plan, dimension=FEATURES, site="s")
    for bad in (5.0001, -6.0, np.nan, np.inf):
        with pytest.raises(SettingError, match="within 5 of zero"):
            check_task(Task(rows, np.array([0.0, bad]), *nothing), plan, dimension=FEATURES, site="s")


def test_records_with_real_labels():
    site = SiteRecords("s", np.zeros((2, 1)), np.array([0.25, -3.0]), ("a", "b"), classes=0)
    assert site.take([1]).labels.tolist() == [-3.0]
    with pytest.raises(RecordsError, match="NaN or infinite"):
        SiteRecords("s", np.zeros((1, 1)), np.array([np.nan]), ("a",), classes=0)
    with pytest.raises(RecordsError, match="not binary"):
        SiteRecords("s", np.zeros((1, 1)), np.array([0.25]), ("a",))
