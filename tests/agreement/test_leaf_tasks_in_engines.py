"""Users of LEAF files become tasks, and every engine that takes LEAF's model says the same about them."""

import copy

import leaf_files
import numpy as np
import pytest
import torch
from torch.nn import functional

from secure_fedmeta.algorithms.inner import GradientSteps
from secure_fedmeta.algorithms.maml import Maml
from secure_fedmeta.datasets.few_shot import episodes, sine_episodes
from secure_fedmeta.datasets.labelled import bundled
from secure_fedmeta.datasets.leaf import Femnist, Sent140, Shakespeare, Synthetic, Vocabulary, leaf_users
from secure_fedmeta.datasets.leaf.models import TokenLSTM, femnist_cnn, synthetic_logistic
from secure_fedmeta.datasets.synthetic import leaf_synthetic, write_leaf
from secure_fedmeta.engines.batch import TaskBatch
from secure_fedmeta.engines.loop import LoopEngine
from secure_fedmeta.engines.stacked import StackedEngine
from secure_fedmeta.engines.vmap import VmapEngine
from secure_fedmeta.parameters import bind

MAML = Maml(GradientSteps(0.1, 1))
FOMAML = Maml(GradientSteps(0.1, 1), first_order=True)


def small_lstm(ids, classes):
    """LEAF's kind of model, small enough for a test in float64."""
    torch.manual_seed(0)
    return TokenLSTM(torch.nn.Embedding(ids, 4), torch.nn.LSTM(4, 6, 2, batch_first=True), torch.nn.Linear(6, classes))


def compare(net, algorithm, tasks, engines, loss="cross-entropy"):
    bound = bind(net)
    slow = LoopEngine(bound, algorithm, loss=loss).contributions(bound.start, tasks)
    assert np.isfinite(slow).all() and (np.abs(slow).max(axis=1) > 1e-4).all()
    for engine in engines:
        fast = engine(bound, algorithm, loss=loss).contributions(bound.start, tasks)
        np.testing.assert_allclose(fast, slow, rtol=0, atol=1e-10)


def test_synthetic_users_of_unequal_size(tmp_path):
    write_leaf(tmp_path / "train", leaf_synthetic(tasks=6))
    users = leaf_users(tmp_path, "train", Synthetic(60, 5))
    tasks = [user.task(0.2, seed=0) for user in users]
    assert len({len(task.query_labels) for task in tasks}) > 3
    compare(synthetic_logistic(), MAML, tasks, [StackedEngine, VmapEngine])


@pytest.mark.filterwarnings("ignore:There is a performance drop:UserWarning")  # nn.LSTM under vmap: right, and said
@pytest.mark.parametrize("name", ["shakespeare", "sent140"])
def test_text_users_against_steps_written_out(tmp_path, name):
    """FOMAML on copies of the module; vmap gets parameters of its own for each task, as nn.LSTM in float64 needs."""
    rng = np.random.default_rng(0)
    leaf_files.write(tmp_path / "train", {f"u{i}": getattr(leaf_files, name)(rng, 3 + i) for i in range(3)})
    words = Vocabulary(("good", "day", "so"))
    kind, net = (Shakespeare(), small_lstm(81, 81)) if name == "shakespeare" else (Sent140(words), small_lstm(4, 2))
    tasks = [user.task(0.5, seed=0) for user in leaf_users(tmp_path, "train", kind)]
    bound = bind(net)
    found = LoopEngine(bound, FOMAML, loss="cross-entropy").contributions(bound.start, tasks)
    for row, task in zip(found, tasks, strict=True):
        copied = copy.deepcopy(net).double()
        for rows, labels in ((task.support_rows, task.support_labels), (task.query_rows, task.query_labels)):
            copied.zero_grad()
            outputs = copied(torch.from_numpy(rows))
            functional.cross_entropy(outputs, torch.from_numpy(labels).long()).backward()
            gradient = torch.cat([p.grad.reshape(-1) for p in copied.parameters()]).clone()
            with torch.no_grad():
                for parameter in copied.parameters():
                    parameter.sub_(0.1 * parameter.grad)
        np.testing.assert_allclose(row, gradient.numpy(), rtol=0, atol=1e-12)
    each = bound.start_tensor().expand(len(tasks), -1)
    fast = VmapEngine(bound, FOMAML, loss="cross-entropy").of_batch(each, TaskBatch.of(tasks))
    np.testing.assert_allclose(fast.numpy(), found, rtol=0, atol=1e-12)


def test_femnist_users(tmp_path):
    rng = np.random.default_rng(0)
    leaf_files.write(tmp_path / "train", {f"f{i}": leaf_files.femnist(rng, 3) for i in range(2)})
    tasks = [user.task(0.5, seed=0) for user in leaf_users(tmp_path, "train", Femnist())]
    net = femnist_cnn()
    net[8], net[10] = torch.nn.Linear(64 * 7 * 7, 8), torch.nn.Linear(8, 62)  # the same layers, narrower
    compare(net, FOMAML, tasks, [VmapEngine])


def test_episodes_and_sine_tasks():
    digits = episodes(bundled("digits").scaled(), ways=3, shots=2, queries=4, tasks=3, seed=0)
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Linear(64, 8), torch.nn.ReLU(), torch.nn.Linear(8, 3))
    compare(net, MAML, list(digits), [StackedEngine, VmapEngine])
    sine = sine_episodes(3, support=5, query=5, rng=np.random.default_rng(0))
    net = torch.nn.Sequential(torch.nn.Linear(1, 8), torch.nn.ReLU(), torch.nn.Linear(8, 1))
    compare(net, MAML, list(sine), [StackedEngine, VmapEngine], loss="squared")
