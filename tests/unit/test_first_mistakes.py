"""What a newcomer gets wrong first is answered with a number, the cause and a remedy, and without any record."""

import numpy as np
import pytest
import torch
from networks import MAML
from small_runs import small_book, small_plan, small_records
from torch import nn

from secure_fedmeta import federate
from secure_fedmeta.datasets.few_shot import episodes
from secure_fedmeta.datasets.labelled import Labelled, bundled
from secure_fedmeta.datasets.leaf import Femnist, Sent140, leaf_users
from secure_fedmeta.datasets.records import SiteRecords
from secure_fedmeta.engines.auto import AutoEngine
from secure_fedmeta.engines.loop import LoopEngine
from secure_fedmeta.engines.stacked import StackedEngine
from secure_fedmeta.engines.vmap import VmapEngine
from secure_fedmeta.errors import DataRefused, ModelRefused, SettingError, UserError
from secure_fedmeta.parameters import bind
from secure_fedmeta.performance import Performance
from secure_fedmeta.population.clients import Shards
from secure_fedmeta.population.local_sgd import LocalSgd
from secure_fedmeta.tasks import Task

CLIENT = {"unit": "client", "mode": "client-vector", "adjacency": "zero-out", "rounds": 1}
ENGINES = [LoopEngine, StackedEngine, VmapEngine, AutoEngine]


def image_net():
    return bind(nn.Sequential(nn.Unflatten(1, (1, 4, 4)), nn.Conv2d(1, 2, 3), nn.Flatten(), nn.Linear(8, 3)))


def task(*shape, label=1.0):
    rng = np.random.default_rng(0)
    return Task(rng.normal(size=(2, *shape)), np.zeros(2), rng.normal(size=(3, *shape)), np.full(3, label))


@pytest.mark.parametrize(
    "settings", [{"engine": "fast"}, {"rows": 4}, {"rows": (4.5, 2)}, {"chunk": "3"}, {"chunk": 1.5}, {"threads": 0}]
)
def test_performance_of_other_things(settings):
    with pytest.raises(SettingError, match=r"SFM-101: .*Remedy: use "):
        Performance(**settings)


def test_the_name_of_an_engine_where_its_settings_are_asked_for():
    with pytest.raises(SettingError, match="performance is a str"):
        federate(small_plan(**CLIENT), small_records(), small_book(), model=nn.Linear(3, 1), performance="stacked")


@pytest.mark.parametrize(
    ("model", "said"),
    [
        (nn.Sequential(nn.Conv2d(1, 4, 3), nn.Flatten(), nn.Linear(4, 1)), "rows of 3 features: .*nn.Unflatten"),
        (nn.Sequential(nn.Unflatten(1, (1, 4, 4)), nn.Flatten(), nn.Linear(16, 1)), "rows of 3 features: unflatten"),
        (nn.Linear(3, 2), r"shape \(2, 2\), not \(2, 1\)"),
    ],
)
def test_a_network_for_other_rows(model, said):
    with pytest.raises(ModelRefused, match=f"SFM-114: .*{said}"):
        federate(small_plan(**CLIENT), small_records(), small_book(), model=model)


def test_whole_or_true_or_false_labels_are_labels():
    features, ids = np.zeros((2, 1)), ("a", "b")
    for labels in (np.array([0, 1]), np.array([False, True]), [0, 1]):
        assert SiteRecords("s", features, labels, ids).labels.dtype == np.float64
        assert Labelled("s", features, np.asarray(labels).astype(int)).y.shape == (2,)
    net = image_net()
    for kind in ENGINES:
        engine = kind(net, MAML, loss="cross-entropy")
        found = [
            engine.contributions(net.start, [task(16)]),
            engine.contributions(net.start, [task(16, label=1)]),
        ]
        assert np.array_equal(*found) and np.isfinite(found[0]).all()


@pytest.mark.parametrize("kind", ENGINES)
def test_engines_of_other_things(kind):
    with pytest.raises(ModelRefused, match=r"a Linear is not bound .*bind\(module\)"):
        kind(nn.Linear(2, 1), MAML, loss="logistic").contributions(np.zeros(3), [task(2)])
    with pytest.raises(SettingError, match=r"loss 'ce' .*cross-entropy"):
        kind(image_net(), MAML, loss="ce")


@pytest.mark.parametrize("kind", [StackedEngine, VmapEngine])
def test_tasks_that_do_not_fit_an_engine(kind):
    net = image_net()
    engine = kind(net, MAML, loss="cross-entropy")
    for theta, given, said in [
        (net.start, task(15), "unflatten"),
        (net.start, task(2, 8), "unflatten|shape|size"),
        (net.start[:-1], task(16), "split"),
        (net.start, task(16, label=77.0), "beyond its range"),
    ]:
        with pytest.raises(ModelRefused, match=f"SFM-114: .*({said})") as caught:
            engine.contributions(theta, [given])
        assert "77" not in str(caught.value)  # a label is a record


def test_the_loop_gives_nan_for_what_does_not_fit():
    net = image_net()
    found = LoopEngine(net, MAML, loss="cross-entropy").contributions(net.start, [task(15), task(16)])
    assert np.isnan(found[0]).all() and np.isfinite(found[1]).all()


def test_more_ways_or_shots_than_there_are():
    digits = bundled("digits").scaled()
    for settings, said in [({"ways": 11}, "10 classes for 11 ways"), ({"shots": 180}, "samples for 180 shots")]:
        with pytest.raises(UserError, match=f"SFM-138: .*{said}"):
            episodes(digits, **{"ways": 5, "shots": 1, "queries": 1, "tasks": 1, "seed": 0} | settings)


def test_leaf_sets_that_are_not_there(tmp_path):
    file = tmp_path / "data.json"
    file.write_text("{}")
    for place, said in [(file, "a file, not a directory"), (tmp_path, "no such directory")]:
        with pytest.raises(UserError, match=f"SFM-139: {said}"):
            leaf_users(place, "train", Femnist())
    (tmp_path / "train").mkdir()
    with pytest.raises(UserError, match=r"SFM-139: no \.json files"):
        leaf_users(tmp_path, "train", Femnist())
    for kind in (Femnist, "femnist"):
        with pytest.raises(UserError, match=r"SFM-137: .* is no set"):
            leaf_users(tmp_path, "train", kind)
    with pytest.raises(UserError, match="SFM-137: the vocabulary is a str"):
        Sent140("glove.txt")


def test_local_training_of_frozen_parameters_is_refused():
    frozen = nn.Sequential(nn.Linear(3, 3).requires_grad_(False), nn.ReLU(), nn.Linear(3, 3))
    with pytest.raises(ModelRefused, match="frozen"):
        LocalSgd(bind(frozen), loss="cross-entropy", lr=0.1, batch_size=2)
    with pytest.raises(ModelRefused, match="a Sequential is not bound"):
        LocalSgd(nn.Sequential(nn.Linear(3, 3)), loss="cross-entropy", lr=0.1, batch_size=2)


@pytest.mark.parametrize(
    ("width", "label", "parameters", "said"),
    [(4, 0, 12, "cannot be multiplied"), (3, 77, 12, "beyond its range"), (3, 0, 11, "split")],
)
def test_local_training_of_what_does_not_fit(width, label, parameters, said):
    sgd = LocalSgd(bind(nn.Sequential(nn.Linear(3, 3))), loss="cross-entropy", lr=0.1, batch_size=2)
    held = Shards(torch.zeros(2, 4, width), torch.full((2, 4), label))
    for compute in (sgd.rows, sgd.total):
        with pytest.raises(DataRefused, match=f"SFM-140: .*{said}") as caught:
            compute(torch.zeros(parameters), held)
        assert "77" not in str(caught.value)
