"""Every mode through whole rounds: it runs, charges what it should, and learns from arrays by way of the API."""

import contextlib
import itertools
import math

import numpy as np
import pytest
import torch
from mode_runs import FEATURES, MODES, mode_data, mode_run, mode_schedule, network
from small_runs import announcement, local_site, small_book, small_plan, tap

from fedmeta_privacy.claims import Adjacency, Mode, Unit, View, claim
from fedmeta_privacy.errors import BudgetExceeded, PlanError, TooManyRecords, UnsafeModel, UnsupportedClaim
from fedmeta_privacy.events import mu_squared
from secure_fedmeta import guarantee
from secure_fedmeta.datasets.records import SiteRecords
from secure_fedmeta.errors import ModelRefused
from secure_fedmeta.federation.accounts import Spent
from secure_fedmeta.federation.pipes import write_site
from secure_fedmeta.guarantee import guarantee_sentence
from secure_fedmeta.plan import Plan
from secure_fedmeta.run import federate
from secure_fedmeta.schedule import make_schedule
from secure_fedmeta.tasks import Task


@pytest.mark.parametrize("name", MODES)
def test_a_run_of_every_mode_stays_within_its_budget(name):
    run, sites, _ = mode_run(name)
    start = run.server.outer.theta.copy()
    reports = list(run.rounds())
    assert len(reports) == run.schedule.plan.rounds
    assert all(report.closed.aborted is None and not report.rejected for report in reports)
    spent = reports[-1].closed.spent
    assert 0 < spent.server <= run.schedule.plan.epsilon
    assert spent.server <= spent.local
    assert np.isfinite(run.server.outer.theta).all() and (run.server.outer.theta != start).all()
    for site in sites.values():
        assert site.client.budget.spent <= run.schedule.limit
    accounted = mu_squared(run.server.accounts.events())
    assert run.schedule.epsilon(accounted * (1 + 1e-12)) >= spent.server * (1 - 1e-6)


@pytest.mark.parametrize("name", [name for name in MODES if name.startswith("noisy-inner")])
def test_a_round_costs_its_larger_role(name):
    schedule = mode_schedule(name)
    upload = schedule.release.shift(schedule.scale, schedule.honest(4) if schedule.shared else 1)
    inner = sum(one.count * one.release.shift(one.scale, 1) for one in schedule.inner)
    assert 0.9 * upload < inner <= upload
    assert schedule.shift(schedule.honest(4)) == max(upload, inner) == upload
    # With more honest noises than planned, the support role becomes the larger one, and its own noise is all it has.
    assert schedule.shift(10**6) >= inner
    assert mu_squared(schedule.events(10**6)) == pytest.approx(schedule.shift(10**6))
    assert [one.count for one in schedule.inner] == [schedule.plan.inner_steps] * (1 if schedule.shared else 2)


def test_private_hessian_products_share_no_noise():
    schedule = mode_schedule("noisy-inner-second")
    assert not schedule.shared
    assert schedule.shift(1) == schedule.shift(4) == schedule.floor_shift
    assert schedule.epsilon(schedule.floor_shift * 4) <= schedule.plan.epsilon


def test_replacing_needs_twice_the_noise():
    for mode in ("noisy-inner", "person", "site", "glm-logistic"):
        one, two = mode_schedule(mode), mode_schedule(f"{mode}-replace", **MODES[mode] | {"adjacency": "replace-one"})
        ratio = (two.scale * two.encoding.step) / (one.scale * one.encoding.step)
        assert ratio == pytest.approx(2.0, rel=2e-3)
    inner = [mode_schedule(name).inner[0] for name in ("noisy-inner", "noisy-inner-replace")]
    moved = [one.release.l2_sensitivity * one.encoding.step for one in inner]
    assert moved[1] == pytest.approx(2 * moved[0], rel=2e-3)


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"unit": "task"}, "g times"),
        ({"unit": "client"}, "as many records as it has slots"),
        ({"mode": "task-is-person"}, "no constant|state unit=task"),
        ({"adjacency": "zero-out"}, "emptying its slot"),
        ({"mode": "client-vector", "unit": "client"}, "cohort is public"),
    ],
)
def test_plans_without_a_claim(settings, why):
    with pytest.raises(UnsupportedClaim, match=why):
        make_schedule(small_plan(**settings), clients=4, dimension=3)


def test_a_network_in_bounded_glm_is_refused():
    schedule = mode_schedule("person")
    with pytest.raises(UnsupportedClaim, match="no constant"):
        make_schedule(small_plan(), clients=4, dimension=schedule.dimension, architecture=schedule.architecture)


def test_settings_that_do_not_fit_the_model():
    bound = mode_schedule("person").architecture
    person = small_plan(**MODES["person"])
    for plan, dimension, architecture, why in [
        (person, 21, None, "needs a network"),
        (person, 20, bound, "learns 21 numbers, not 20"),
        (small_plan(classes=3), 3, None, "3 classes"),
        (small_plan(loss="cross-entropy", classes=3), 4, None, "not 3 rows"),
    ]:
        with pytest.raises(PlanError, match=why):
            make_schedule(plan, clients=4, dimension=dimension, architecture=architecture)


def test_a_clip_below_the_support_role_raises_epsilon():
    """The noise that a clip alone would ask for is too little as soon as the support role is the larger one."""
    base = mode_schedule("glm-logistic", clip_norm=0.3)
    tight = mode_schedule("glm-logistic", clip_norm=0.05)
    assert tight.sensitivity.support > 0.05 > tight.sensitivity.query * 0.99
    # Someone who scales noise by the clip spends more than was planned:
    naive = base.scale * base.encoding.step * 0.05 / base.sensitivity.worst / tight.encoding.step
    rounds = tight.plan.rounds
    assert tight.epsilon(rounds * tight.release.shift(naive, 4)) > 2 * tight.plan.epsilon


@pytest.mark.parametrize("name", MODES)
def test_more_than_the_registered_slots(name):
    schedule = mode_schedule(name)
    rng = np.random.default_rng(0)
    if schedule.plan.unit == "task":
        with pytest.raises(TooManyRecords, match="SFM-307"):
            local_site(1, mode_data(schedule, rng, units=9), schedule, (1, 2, 3, 4))
        return
    whole = mode_data(schedule, rng, units=9)
    support = Task(whole.support_rows, whole.support_labels, whole.query_rows[:2], whole.query_labels[:2])
    query = Task(whole.support_rows[:2], whole.support_labels[:2], whole.query_rows[:9], whole.query_labels[:9])
    for held in (support, query):
        with pytest.raises(TooManyRecords, match="SFM-307"):
            local_site(1, held, schedule, (1, 2, 3, 4))


@pytest.mark.parametrize("name", MODES)
@pytest.mark.parametrize("bad", [math.nan, math.inf, 2.0**21])
def test_an_unsafe_model_is_refused_before_records_are_touched(name, bad):
    run, sites, _ = mode_run(name)
    theta = np.zeros(run.schedule.dimension)
    theta[-1] = bad
    client = sites[1].client
    client._contribution = None  # touching records would fail otherwise
    with pytest.raises(UnsafeModel):
        client.receive(announcement(run.schedule, run.cohort, theta=theta))
    assert client.budget.spent == 0


def test_the_filter_refuses_what_the_inner_noise_cannot_pay():
    run, sites, _ = mode_run("noisy-inner")
    client = sites[1].client
    client.budget.charge(round=1, shift=client.budget.limit * (1 - 1e-9))
    with pytest.raises(BudgetExceeded):
        client.receive(announcement(run.schedule, run.cohort, number=2))


@pytest.mark.parametrize("name", ["noisy-inner", "noisy-inner-second", "person", "site"])
def test_what_a_unit_holds_changes_nothing_observable(name):
    """A network that breaks on a site's rows: the site sends a vector all the same, of noise alone."""
    run, sites, _ = mode_run(name)
    quiet = mode_run(name)[0]
    seen = tap(sites)

    def broken(*_):
        raise AssertionError("only this site's rows do that")

    engine = sites[2].client._contribution._engine
    engine._loss = broken
    report, plain = run.run_round(), quiet.run_round()
    assert report.closed.survivors == plain.closed.survivors == (1, 2, 3, 4)
    assert report.bytes_sent == plain.bytes_sent and not report.rejected
    assert seen[2][0].any()  # its noise


def records(n=4, persons=5, rows=3, classes=2, seed=0):
    rng = np.random.default_rng(seed)
    made = []
    for site in range(n):
        ids = tuple(f"p-{site}-{i // rows}" for i in range(persons * rows))
        features = rng.uniform(0, 10, (len(ids), FEATURES))
        labels = rng.integers(0, classes, len(ids)).astype(float)
        made.append(SiteRecords(f"clinic-{site}", features, labels, ids, classes, rows_repeat=True))
    return made


@pytest.mark.parametrize(
    ("name", "changed"),
    [
        ("person", "Registering or removing any one person with all their rows"),
        ("site-replace", "Replacing all data of any one site by any other"),
    ],
)
def test_arrays_by_way_of_the_api(name, changed, tmp_path):
    plan = small_plan(**MODES[name], rounds=2, support_slots=20, query_slots=20)
    run = federate(plan, records(), small_book(FEATURES), model=network, out=tmp_path / "run")
    assert run.guarantee.startswith(changed)
    assert run.spent.server <= 3.0 and run.second_opinion == pytest.approx(run.spent.server, rel=1e-2)
    assert run.predict(np.full((2, FEATURES), 5.0)).shape == (2,)
    module = run.module()
    assert isinstance(module, torch.nn.Module)
    given = torch.from_numpy(run.codebook.encode(np.full((2, FEATURES), 5.0))[:, :-1].copy())
    assert torch.sigmoid(module(given))[:, 0].tolist() == pytest.approx(run.predict(np.full((2, FEATURES), 5.0)))


def test_three_classes_by_way_of_the_api():
    plan = small_plan(loss="cross-entropy", classes=3, rounds=2, support_slots=20, query_slots=20)
    sites = [
        SiteRecords(s.name, s.features, s.labels, tuple(f"{s.name}-{i}" for i in range(len(s))), 3)
        for s in records(classes=3)
    ]
    run = federate(plan, sites, small_book(FEATURES))
    assert run.theta.shape == (3 * (FEATURES + 1),)
    probabilities = run.predict(np.full((2, FEATURES), 5.0))
    assert probabilities.sum(axis=1) == pytest.approx([1.0, 1.0])
    with pytest.raises(ModelRefused, match="no network"):
        run.module()


def test_a_network_stays_in_its_process(tmp_path):
    run, _, data = mode_run("site")
    with pytest.raises(ModelRefused, match="SFM-114"):
        write_site(tmp_path, 1, data[1], run.schedule)


def test_slots_that_the_mean_is_over():
    assert Plan(unit="task", task_slots=7).unit_slots == 7
    assert Plan(unit="client").unit_slots == 1 == Plan(unit="client").registered_slots
    assert Plan(support_slots=3, query_slots=4).registered_slots == 7


@pytest.mark.parametrize("name", MODES)
def test_the_guarantee_names_the_unit_and_the_change(name):
    schedule = mode_schedule(name)
    plan = schedule.plan
    text = guarantee_sentence(schedule, Spent(1.0, 1.0, 2.0, 0.5, 1.0))
    whose = {
        "record": "any one person's record",
        "task": "any one person with all their rows",
        "client": "any one site",
    }
    how = {"slot": "Registering or removing", "replace-one": "Replacing", "zero-out": "Emptying"}
    assert text.startswith(how[plan.adjacency]) and whose[plan.unit] in text
    assert ("one record per person" in text) == (plan.unit == "record")


def test_every_claimable_change_has_words():
    claimable = set()
    for unit, adjacency, mode in itertools.product(Unit, Adjacency, Mode):
        with contextlib.suppress(UnsupportedClaim):
            row = claim(unit, View.SERVER, adjacency, mode)
            claimable.add((row.unit.value, row.adjacency.value))
    assert set(guarantee._CHANGES) == claimable
