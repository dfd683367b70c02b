# SPDX-License-Identifier: Apache-2.0
"""Small federations of every mode, with a small network where one is needed."""

import numpy as np
import torch
from small_runs import local_site, random_task, simulation_of, small_plan

from secure_fedmeta.algorithms.planned import theta_lengths
from secure_fedmeta.datasets.records import SiteRecords
from secure_fedmeta.parameters import bind
from secure_fedmeta.schedule import make_schedule
from secure_fedmeta.tasks import Task

FEATURES, CLASSES = 3, 3

# name -> settings; every mode that a run can have.
MODES = {
    "glm-logistic": {},
    "glm-logistic-first-order": {"algorithm": "fomaml"},
    "glm-logistic-replace": {"adjacency": "replace-one"},
    "glm-softmax": {"loss": "cross-entropy", "classes": CLASSES, "clip_norm": 1.5},
    "noisy-inner": {"mode": "noisy-inner", "algorithm": "fomaml", "inner_steps": 2, "clip_norm": 0.5},
    "noisy-inner-second": {"mode": "noisy-inner", "algorithm": "maml", "inner_steps": 2, "clip_norm": 0.5},
    "noisy-inner-replace": {"mode": "noisy-inner", "algorithm": "fomaml", "adjacency": "replace-one"},
    "person": {"mode": "task-is-person", "unit": "task", "task_slots": 8, "inner_steps": 2},
    "person-replace": {"mode": "task-is-person", "unit": "task", "task_slots": 8, "adjacency": "replace-one"},
    "site": {"mode": "client-vector", "unit": "client", "adjacency": "zero-out"},
    "site-replace": {"mode": "client-vector", "unit": "client", "adjacency": "replace-one"},
}
# The same for the algorithms beside MAML: where they are claimable, with whatever they learn beside the network.
_PERSON, _SITE = MODES["person"], MODES["site"] | {"inner_lr": 0.3}
ALGORITHM_MODES = {
    "glm-reptile": {"algorithm": "reptile", "inner_steps": 3},
    "glm-reptile-replace": {"algorithm": "reptile", "adjacency": "replace-one"},
    "glm-softmax-fedavg": {"algorithm": "fedavg", "inner_steps": 2, "loss": "cross-entropy", "classes": CLASSES},
    "glm-anil": {"algorithm": "anil"},
    "person-reptile": _PERSON | {"algorithm": "reptile"},
    "person-anil": _PERSON | {"algorithm": "anil", "inner_max_norm": 1.0, "head": ("0.bias", "2")},
    "person-imaml": _PERSON | {"algorithm": "imaml", "inner_lr": 0.3},
    "site-meta-sgd": _SITE | {"algorithm": "meta-sgd"},
    "site-meta-sgd-layers": _SITE | {"algorithm": "meta-sgd", "rates": "per-tensor", "clipping": "per-layer"},
    "site-per-fedavg": _SITE | {"algorithm": "per-fedavg"},
    "site-fedavg": _SITE | {"algorithm": "fedavg", "inner_steps": 5, "inner_rule": "momentum"},
    "site-squared": _SITE | {"algorithm": "reptile", "loss": "squared", "label_bound": 5.0},
}


def network(outputs=1):
    torch.manual_seed(5)
    return torch.nn.Sequential(torch.nn.Linear(FEATURES, 4), torch.nn.Tanh(), torch.nn.Linear(4, outputs))


def mode_schedule(name, clients=4, **changes):
    plan = small_plan(**((MODES | ALGORITHM_MODES)[name] | changes))
    if plan.mode == "bounded-glm":
        return make_schedule(plan, clients=clients, dimension=FEATURES * plan.outputs)
    bound = bind(network(plan.outputs))
    dimension = sum(theta_lengths(plan, bound))
    return make_schedule(plan, clients=clients, dimension=dimension, architecture=bound)


def mode_data(schedule, rng, *, units=6):
    """Random registered records of one site."""
    plan = schedule.plan
    if plan.unit == "task":
        return tuple(labelled(random_task(rng, FEATURES, 2, 3), plan, rng) for _ in range(units))
    support, query = (units, 0) if plan.one_role else (units, units + 1)
    return labelled(random_task(rng, FEATURES, support, query), plan, rng)


def labelled(task, plan, rng):
    if plan.loss == "logistic":
        return task
    drawn = [rng.integers(0, plan.classes, len(y)).astype(float) for y in (task.support_labels, task.query_labels)]
    return Task(task.support_rows, drawn[0], task.query_rows, drawn[1])


def mode_run(name, n=4, *, seed=0, **changes):
    """A simulation of the mode, its sites and their records."""
    schedule = mode_schedule(name, n, **changes)
    data = {site: mode_data(schedule, np.random.default_rng([seed, site])) for site in range(1, n + 1)}
    sites = {site: local_site(site, held, schedule, tuple(data)) for site, held in data.items()}
    return simulation_of(schedule, sites), sites, data


def sites_of(plan, n=4):
    """Records of n sites, twelve each; of six persons where the unit is one."""
    rng = np.random.default_rng(3)
    made = []
    for site in range(1, n + 1):
        ids = tuple(f"p{site}-{i // 2 if plan.unit == 'task' else i}" for i in range(12))
        features = rng.uniform(0, 10, (len(ids), FEATURES))
        drawn = rng.normal(size=len(ids)) if plan.loss == "squared" else rng.integers(0, plan.classes, len(ids))
        classes = 0 if plan.loss == "squared" else plan.classes
        made.append(
            SiteRecords(f"clinic-{site}", features, drawn.astype(float), ids, classes, rows_repeat=plan.unit == "task")
        )
    return made
