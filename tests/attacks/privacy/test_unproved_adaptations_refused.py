"""No epsilon of a record for an adaptation that nothing is proved for: refused with the reason and the way out.

The same settings pass for a task or a site, whose clip covers whatever happens inside the unit.
"""

import pytest
import torch

from fedmeta_privacy.errors import PlanError, UnprovedAdaptation, UnsupportedClaim
from fedmeta_privacy.sensitivity import check_adaptation
from secure_fedmeta.algorithms.planned import theta_lengths
from secure_fedmeta.errors import AlgorithmRefused
from secure_fedmeta.parameters import bind
from secure_fedmeta.plan import Plan
from secure_fedmeta.schedule import make_schedule

UNITS = {
    "task": {"unit": "task", "mode": "task-is-person", "delta": 1e-4},
    "client": {"unit": "client", "mode": "client-vector", "adjacency": "zero-out"},
}
CASES = {
    "inner clipping": ({"inner_max_norm": 1.0}, "clipping inside"),
    "inner clipping of reptile": ({"algorithm": "reptile", "inner_max_norm": 1.0}, "clipping inside"),
    "meta-sgd": ({"algorithm": "meta-sgd"}, "learned rate"),
    "momentum": ({"inner_rule": "momentum"}, "momentum"),
    "adam": ({"inner_rule": "adam"}, "adaptive step"),
    "reptile by adam": ({"algorithm": "reptile", "inner_rule": "adam"}, "adaptive step"),
    "imaml": ({"algorithm": "imaml"}, "implicit gradient"),
    "per-fedavg": ({"algorithm": "per-fedavg"}, "difference quotient"),
    "squared loss": ({"loss": "squared"}, "its gradient has no bound"),
}


def schedule_of(settings, network=None):
    plan = Plan.make(settings)
    if plan.mode == "bounded-glm":
        return make_schedule(plan, clients=10, dimension=4 * plan.outputs)
    dimension = sum(theta_lengths(plan, network))
    return make_schedule(plan, clients=10, dimension=dimension, architecture=network)


@pytest.mark.parametrize("case", CASES)
def test_refused_in_mode_bounded_glm_and_allowed_for_tasks_and_sites(case):
    settings, reason = CASES[case]
    with pytest.raises(UnprovedAdaptation, match=reason) as refusal:
        schedule_of(settings)
    assert str(refusal.value).startswith("SFM-322: ") and "unit=task or unit=client" in refusal.value.remedy
    network = bind(torch.nn.Linear(3, 1))
    for unit in UNITS.values():
        assert schedule_of(unit | settings, network).private


NOT_IN_NOISY_INNER = [{"algorithm": name} for name in ("anil", "meta-sgd", "reptile", "per-fedavg", "imaml", "fedavg")]
NOT_IN_NOISY_INNER += [{"algorithm": "fomaml", "inner_max_norm": 1.0}, {"inner_rule": "momentum"}]


@pytest.mark.parametrize("settings", NOT_IN_NOISY_INNER, ids=str)
def test_noisy_inner_takes_maml_and_fomaml_with_plain_steps_alone(settings):
    network = bind(torch.nn.Linear(3, 1))
    with pytest.raises(UnprovedAdaptation, match="noisy-inner") as refusal:
        schedule_of({"mode": "noisy-inner"} | settings, network)
    assert "unit=task or unit=client" in refusal.value.remedy
    for algorithm in ("maml", "fomaml"):
        assert schedule_of({"mode": "noisy-inner", "algorithm": algorithm}, network).private


@pytest.mark.parametrize(
    ("algorithm", "reason"), [("ditto", "personal model"), ("fedrep", "head that the same records")]
)
def test_personal_models_have_no_bound_of_a_record(algorithm, reason):
    with pytest.raises(UnprovedAdaptation, match=reason) as refusal:
        check_adaptation(algorithm)
    assert "unit=task or unit=client" in refusal.value.remedy


@pytest.mark.parametrize("algorithm", ["maml", "fomaml", "anil", "reptile", "fedavg"])
def test_what_is_proved_passes_with_plain_steps(algorithm):
    assert schedule_of({"algorithm": algorithm, "inner_lr": 0.5}).private


@pytest.mark.parametrize("algorithm", ["reptile", "fedavg"])
def test_the_rate_must_not_stretch_and_the_network_must_be_none(algorithm):
    with pytest.raises(PlanError, match="exceeds 2"):
        schedule_of({"algorithm": algorithm, "inner_lr": 8.1})
    network = bind(torch.nn.Linear(3, 1))
    with pytest.raises(UnsupportedClaim, match="a network has no constant"):
        make_schedule(Plan(algorithm=algorithm), clients=10, dimension=4, architecture=network)


def test_settings_that_do_not_go_together():
    network = bind(torch.nn.Linear(3, 1))
    person = UNITS["task"]
    for settings, where in [
        ({"algorithm": "meta-sgd", "inner_rule": "adam"}, "inner_rule"),
        ({"algorithm": "per-fedavg", "inner_rule": "momentum"}, "inner_rule"),
        ({"algorithm": "per-fedavg", "inner_steps": 2}, "inner_steps"),
        ({"algorithm": "anil", "head": ("out",)}, "head"),
        ({"algorithm": "imaml", "inner_lr": 1.0, "regularization": 2.0}, "imaml"),
    ]:
        with pytest.raises(AlgorithmRefused, match="SFM-117") as refusal:
            schedule_of(person | settings, network)
        assert refusal.value.where == where
    with pytest.raises(PlanError, match="whose head is all of it"):
        schedule_of({"algorithm": "anil", "head": ("weight",)})
    with pytest.raises(PlanError, match="3 classes with the squared loss"):
        schedule_of(person | {"loss": "squared", "classes": 3}, network)
