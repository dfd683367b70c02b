"""What a client sends is bound into the masks: every setting that changes it, and no other."""

import pytest
import torch

from secure_fedmeta.algorithms.planned import theta_lengths
from secure_fedmeta.parameters import bind
from secure_fedmeta.plan import Plan
from secure_fedmeta.schedule import make_schedule


def digest(*, clients=10, codebook_hash=bytes(32), dimension=31, architecture=None, **settings):
    plan = Plan.make({"planned_survivors": 9} | settings)
    made = make_schedule(
        plan, clients=clients, dimension=dimension, codebook_hash=codebook_hash, architecture=architecture
    )
    return made.behaviour_digest


def test_simulation_settings_leave_the_behaviour_alone():
    assert digest(seed=1) == digest(seed=2) == digest(dropout=0.1) == digest(dropout=0.05, seed=7)


def test_a_dropout_that_changes_the_planned_noise_changes_the_behaviour():
    assert digest(planned_survivors=None) != digest(planned_survivors=None, dropout=0.2)


# One other value for every setting that changes what a client sends or what it means.
OTHER = {
    "epsilon": 2.0,
    "delta": 1e-4,
    "rounds": 41,
    "algorithm": "fomaml",
    "aggregation": "none",
    "clients": 9,
    "strength": "semi-malicious",
    "corrupt_fraction": 0.2,
    "dropout_fraction": 0.2,
    "colluders": 2,
    "threshold": 7,
    "planned_survivors": 10,
    "dropout_noise": "surplus",
    "modulus_bits": 31,
    "outside": "clip",
    "row_bound": 0.9,
    "clip_norm": 0.4,
    "inner_lr": 0.9,
    "inner_steps": 2,
    "support_slots": 47,
    "query_slots": 47,
    "support_fraction": 0.4,
    "task_slots": 47,
    "inner_clip": 0.9,
    "hessian_clip": 0.9,
    "outer": "adam",
    "outer_lr": 29.0,
    "outer_momentum": 0.5,
    "tail_average": 0.25,
    "insecure_reproducible": True,
}
# These go together: a unit has its mode and its adjacency, and a rule of clipping has settings of its own.
PERSONS = {"mode": "task-is-person", "unit": "task"}
SITES = {"mode": "client-vector", "unit": "client", "adjacency": "zero-out"}
MODES = [
    {"mode": "noisy-inner"},
    {"mode": "noisy-inner", "algorithm": "fomaml"},
    {"mode": "noisy-inner", "adjacency": "replace-one"},
    {"mode": "task-is-person", "unit": "task"},
    {"mode": "client-vector", "unit": "client", "adjacency": "zero-out"},
    {"loss": "cross-entropy"},
    {"loss": "cross-entropy", "classes": 3},
    {"adjacency": "replace-one"},
    PERSONS | {"clipping": "per-layer"},
    PERSONS | {"clipping": "per-layer", "layer_weights": (1.0, 2.0)},
    PERSONS | {"clipping": "adaptive"},
    PERSONS | {"clipping": "adaptive", "clip_quantile": 0.4},
    PERSONS | {"clipping": "adaptive", "clip_lr": 0.1},
    PERSONS | {"clipping": "adaptive", "count_weight": 0.4},
    PERSONS | {"clipping": "adaptive", "clip_min": 1e-3},
    PERSONS | {"clipping": "adaptive", "clip_max": 1e3},
    SITES | {"rounding": "conditional"},
    SITES | {"loss": "squared"},
    SITES | {"loss": "squared", "label_bound": 5.0},
    SITES | {"inner_max_norm": 1.0},
    SITES | {"inner_max_norm": 2.0},
    SITES | {"inner_rule": "momentum"},
    SITES | {"inner_rule": "adam"},
    SITES | {"algorithm": "anil"},
    SITES | {"algorithm": "anil", "head": ("bias",)},
    SITES | {"algorithm": "anil", "head": ("weight",)},
    SITES | {"algorithm": "meta-sgd"},
    SITES | {"algorithm": "meta-sgd", "rates": "per-tensor"},
    SITES | {"algorithm": "reptile"},
    SITES | {"algorithm": "fedavg"},
    SITES | {"algorithm": "per-fedavg"},
    SITES | {"algorithm": "per-fedavg", "local_lr": 0.2},
    SITES | {"algorithm": "per-fedavg", "local_steps": 2},
    SITES | {"algorithm": "imaml"},
    SITES | {"algorithm": "imaml", "regularization": 0.5},
    SITES | {"algorithm": "imaml", "cg_steps": 4},
    {"algorithm": "reptile"},
    {"algorithm": "fedavg"},
    {"algorithm": "anil"},
]
# Settings of one algorithm or loss, under another: they change nothing, and read as their defaults.
NOTHING_HERE = [
    ({}, {"regularization": 3.0, "cg_steps": 9, "local_lr": 1.0, "local_steps": 4, "rates": "per-tensor"}),
    ({}, {"head": ("bias",), "label_bound": 2.0}),
    ({"algorithm": "reptile"}, {"query_slots": 11, "support_fraction": 0.3}),
]


def test_every_setting_is_either_bound_or_simulation_only():
    together = {name for settings in MODES for name in settings}
    assert set(OTHER) | {"dropout", "seed"} | together == set(Plan.model_fields)
    base = digest()
    changed = {
        name: digest(**({"strength": "semi-honest", name: value} if name == "threshold" else {name: value}))
        for name, value in OTHER.items()
    }
    assert base not in changed.values()
    assert len(set(changed.values())) == len(changed)
    assert digest(codebook_hash=b"\x01" * 32) != base


def test_every_mode_and_every_network_is_bound():
    network, other = bind(torch.nn.Linear(5, 1)), bind(torch.nn.Linear(5, 1, bias=False))
    digests = []
    for settings in MODES:
        if "mode" in settings:
            dimension = sum(theta_lengths(Plan.make(settings), network))
            digests.append(digest(dimension=dimension, architecture=network, **settings))
        else:
            digests.append(digest(dimension=30, **settings))
    digests += [digest(dimension=30), digest(dimension=5, architecture=other, **MODES[0])]
    assert len(set(digests)) == len(digests)


@pytest.mark.parametrize(("base", "idle"), NOTHING_HERE)
def test_settings_of_another_algorithm_change_nothing_and_are_not_bound(base, idle):
    assert digest(**base) == digest(**base, **idle)


def test_the_behaviour_hash_binds_the_model():
    schedule = make_schedule(Plan(), clients=10, dimension=2)
    hashes = {schedule.behaviour_hash(model) for model in (bytes(16), bytes(15) + b"\x01", b"\x01" + bytes(15))}
    assert len(hashes) == 3
