"""Settings are checked when made, and a schedule never promises more than its budget."""

import itertools
import math

import pytest

from fedmeta_privacy import gdp
from fedmeta_privacy.errors import EncodingOverflow, PlanError
from secure_fedmeta.errors import FileError, SettingError
from secure_fedmeta.hiding import hiding_for
from secure_fedmeta.plan import Plan
from secure_fedmeta.schedule import make_schedule


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"epsilom": 3}, "epsilom"),
        ({"epsilon": 0}, "epsilon"),
        ({"epsilon": -1}, "epsilon"),
        ({"epsilon": "many"}, "epsilon"),
        ({"epsilon": math.nan}, "epsilon"),
        ({"epsilon": math.inf}, "epsilon"),
        ({"delta": 0}, "delta"),
        ({"delta": 1}, "delta"),
        ({"rounds": 0}, "rounds"),
        ({"rounds": 2.5}, "rounds"),
        ({"algorithm": "ditto"}, "algorithm"),
        ({"inner_rule": "nesterov"}, "inner_rule"),
        ({"inner_max_norm": 0.0}, "inner_max_norm"),
        ({"head": "2"}, "head"),
        ({"head": ("",)}, "head"),
        ({"rates": "one"}, "rates"),
        ({"regularization": 0.0}, "regularization"),
        ({"cg_steps": 0}, "cg_steps"),
        ({"local_lr": 0.0}, "local_lr"),
        ({"local_steps": 0}, "local_steps"),
        ({"label_bound": math.inf}, "label_bound"),
        ({"aggregation": "he"}, "aggregation"),
        ({"clients": 1}, "clients"),
        ({"clients": 2001}, "clients"),
        ({"strength": "honest"}, "strength"),
        ({"corrupt_fraction": 1.0}, "corrupt_fraction"),
        ({"corrupt_fraction": -0.1}, "corrupt_fraction"),
        ({"dropout_fraction": 1.0}, "dropout_fraction"),
        ({"colluders": -1}, "colluders"),
        ({"threshold": 0}, "threshold"),
        ({"planned_survivors": 0}, "planned_survivors"),
        ({"modulus_bits": 33}, "modulus_bits"),
        ({"dropout": 1.0}, "dropout"),
        ({"dropout": -0.1}, "dropout"),
        ({"seed": -1}, "seed"),
        ({"seed": 2**63}, "seed"),
        ({"clip_norm": 0}, "clip_norm"),
        ({"inner_lr": math.inf}, "inner_lr"),
        ({"outer": "lamb"}, "outer"),
        ({"outer_momentum": 1.0}, "outer_momentum"),
        ({"insecure_reproducible": "perhaps"}, "insecure_reproducible"),
    ],
)
def test_unknown_names_and_values_are_refused_by_name(settings, named):
    with pytest.raises(SettingError) as caught:
        Plan.make(settings, where="my.toml")
    text = str(caught.value)
    assert text.startswith("SFM-101: ") and named in text and "my.toml" in text and "Remedy:" in text


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(SettingError, match="planned_survivors"):
        Plan.make({"survivors": 3})


def test_plans_are_frozen_and_changes_are_checked():
    plan = Plan()
    with pytest.raises(ValueError, match="frozen"):
        plan.epsilon = 8.0
    with pytest.raises(SettingError):
        plan.changed(epsilon=-1)
    assert plan.changed(epsilon="none").epsilon is None and plan.epsilon == 3.0


def test_toml_gives_the_same_settings(tmp_path):
    file = tmp_path / "run.toml"
    file.write_text('pilot = "hospital"\nrounds = 7\nepsilon = "none"\n')
    assert Plan.from_toml(file) == ("hospital", Plan(rounds=7, epsilon=None))


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (b"rounds = 3\n", SettingError),
        (b'pilot = 3\nrounds = "x"\n', SettingError),
        (b'pilot = "hospital"\nrounds = \n', FileError),
        (b'pilot = "\xff"\n', FileError),
        (b'pilot = "hospital"\nround = 3\n', SettingError),
        (b'pilot = "hospital"\n[nested]\nrounds = 3\n', SettingError),
        (None, FileError),
    ],
)
def test_bad_toml_is_refused_with_its_path(tmp_path, content, error):
    file = tmp_path / "run.toml"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(error, match=r"SFM-10[13]: .*run\.toml"):
        Plan.from_toml(file)


def hiding(n=10, **settings):
    return hiding_for(Plan.make(settings), n)


@pytest.mark.parametrize("n", [3, 4, 5, 10, 11, 128])
def test_default_threshold_without_signatures_is_the_smallest_majority(n):
    t = hiding(n, strength="semi-honest").graph.threshold
    assert 2 * t > n and 2 * (t - 1) <= n
    assert hiding(n, strength="semi-honest", threshold=n - 1).graph.threshold == n - 1


@pytest.mark.parametrize(("n", "dropout"), list(itertools.product([3, 10, 37], [0.0, 0.05, 0.15, 0.3, 0.4])))
def test_default_planned_survivors(n, dropout):
    def planned(**settings):
        plan = Plan.make({"dropout": dropout, "delta": 1e-6} | settings)
        return make_schedule(plan, clients=n, dimension=2).planned_survivors

    assert planned(aggregation="none") == max(1, round(n * (1 - dropout)))
    assert planned(aggregation="none", planned_survivors=2) == 2
    if not (n == 3 and dropout == 0.4) and not (n == 10 and dropout == 0.4):
        dropped = math.floor(max(0.1, dropout) * n + 1e-9)
        assert planned() == max(round(n * (1 - dropout)), n - dropped)


SETTINGS = [
    {"epsilon": epsilon, "delta": delta, "rounds": rounds, **cohort}
    for epsilon, delta, rounds, cohort in itertools.product(
        [1.0, 3.0, 8.0, 40.0],
        [1e-3, 1e-5],
        [1, 2, 40],
        [
            {},
            {"colluders": 3},
            {"strength": "semi-malicious"},
            {"strength": "semi-honest"},
            {"strength": "semi-honest", "colluders": 3},
            {"strength": "semi-honest", "threshold": 8, "colluders": 7},
            {"strength": "semi-honest", "planned_survivors": 7},
            {"planned_survivors": 9},
            {"dropout": 0.2, "colluders": 2},
            {"aggregation": "none"},
            {"algorithm": "fomaml", "inner_steps": 2},
        ],
    )
] + [{"epsilon": 0.2, "delta": 1e-3, "rounds": 2, "colluders": 4}]


@pytest.mark.parametrize("settings", SETTINGS, ids=lambda s: "-".join(str(v) for v in s.values()))
def test_planned_epsilon_is_never_above_the_target(settings):
    schedule = make_schedule(Plan.make(settings), clients=10, dimension=31)
    plan = schedule.plan
    planned = schedule.epsilon(plan.rounds * schedule.planned_shift)
    assert 0 < planned <= plan.epsilon
    # What decides is the filter: all planned rounds pass it, the last one with its floor.
    assert (plan.rounds - 1) * schedule.planned_shift + schedule.floor_shift <= schedule.limit
    # The limit is the budget's own Gaussian equivalent, recomputed without the product's code.
    assert gdp.epsilon_upper(math.sqrt(schedule.limit), plan.delta) <= plan.epsilon
    honest = plan.planned_survivors or round(10 * (1 - plan.dropout))
    colluders = plan.colluders or 0 if plan.strength == "semi-honest" else max(plan.colluders or 0, 1)
    honest = 1 if plan.aggregation == "none" else honest - colluders
    plain = schedule.release.l2_sensitivity**2 / (honest * schedule.scale**2)
    assert plain < schedule.planned_shift < plain * 1.01
    # A sixteenth of a step less would not do: nothing is wasted either.
    less = schedule.scale - 1 / 16
    floor = 10 - max(1, math.floor(10 * plan.dropout + 1e-9)) - colluders  # n - D - A
    if plan.aggregation == "none":
        floor = 1
    elif plan.strength == "semi-honest":
        floor = (plan.threshold or 6) - colluders
    total = (plan.rounds - 1) * schedule.release.shift(less, honest) + schedule.release.shift(less, floor)
    assert total * (1 + 2.0**-44) > schedule.limit


@pytest.mark.parametrize(
    ("settings", "clients"),
    [
        ({"strength": "semi-honest", "threshold": 5}, 10),
        ({"strength": "semi-honest", "threshold": 10}, 10),
        ({"strength": "semi-honest", "threshold": 9, "planned_survivors": 9}, 10),
        ({"strength": "semi-honest", "dropout": 0.5}, 10),
        ({"strength": "semi-honest", "colluders": 6}, 10),
        ({"strength": "semi-honest", "colluders": 9, "threshold": 9}, 10),
        ({"strength": "semi-honest", "threshold": 70, "clients": 130}, 130),
        ({"threshold": 6}, 10),
        ({"strength": "semi-malicious", "threshold": 6}, 10),
        ({"dropout": 0.4}, 10),
        ({"dropout_fraction": 0.4}, 10),
        ({"planned_survivors": 11}, 10),
        ({"planned_survivors": 8}, 10),
        ({"colluders": 8}, 10),
        ({"colluders": 10}, 10),
        ({"corrupt_fraction": 0.8}, 10),
        ({"corrupt_fraction": 0.4, "dropout_fraction": 0.4, "strength": "semi-malicious", "delta": 1e-6}, 200),
        ({}, 2),
        ({}, 1),
        ({"inner_lr": 8.1}, 10),
        ({"clip_norm": 1e-6}, 10),
        ({"row_bound": 3.0}, 10),
        ({"epsilon": 1e-3, "delta": 1e-9, "rounds": 100_000}, 10),
        ({"delta": 1e-32}, 10),
    ],
)
def test_impossible_plans_are_refused(settings, clients):
    with pytest.raises(PlanError, match=r"^SFM-301: .*Remedy: "):
        make_schedule(Plan.make(settings), clients=clients, dimension=31)


@pytest.mark.parametrize("settings", [{"modulus_bits": 8}, {"modulus_bits": 14}, {"modulus_bits": 11, "epsilon": None}])
def test_a_sum_that_could_wrap_is_refused(settings):
    with pytest.raises(EncodingOverflow, match=r"^SFM-305: "):
        make_schedule(Plan.make(settings), clients=10, dimension=31)


def scale(dimension=31, **settings):
    return make_schedule(Plan.make(settings), clients=10, dimension=dimension).scale


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("epsilon", [8.0, 3.0, 1.0, 0.3]),
        ("delta", [1e-3, 1e-4, 1e-6]),
        ("rounds", [1, 10, 40, 200]),
        ("colluders", [0, 2, 3, 5]),
        ("corrupt_fraction", [0.0, 0.1, 0.25, 0.5]),
        ("planned_survivors", [10, 9]),
        ("aggregation", ["mask", "none"]),
    ],
)
def test_less_budget_or_fewer_hands_mean_more_noise(name, values):
    scales = [scale(**{name: value}) for value in values]
    assert all(a < b for a, b in itertools.pairwise(scales))


def test_a_clip_below_the_support_role_does_not_lower_the_noise():
    def noise(clip):
        schedule = make_schedule(Plan(clip_norm=clip), clients=10, dimension=31)
        return schedule.scale * schedule.encoding.step, schedule.sensitivity

    enough, roles = noise(0.3)
    support = roles.support
    for clip in (0.29, 0.2, 0.16):
        assert clip < support
        assert noise(clip)[0] >= enough * 0.985  # the roles at 0.3 differ by under 1.5 %
        assert noise(clip)[1].worst >= support
    assert noise(0.6)[0] > 1.9 * enough


def test_no_guarantee_without_noise_or_with_seeded_noise():
    none = make_schedule(Plan(epsilon=None), clients=10, dimension=3)
    assert not none.private and none.scale is None and math.isinf(none.planned_shift)
    assert math.isinf(none.epsilon(none.planned_shift))
    assert not make_schedule(Plan(insecure_reproducible=True), clients=10, dimension=3).private
