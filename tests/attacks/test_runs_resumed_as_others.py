"""A checkpoint resumed under another algorithm, network, schedule or data, and charges without their settings."""

import dataclasses

import numpy as np
import pytest
import torch
from populations import client, small_net, small_training, start_of
from torch import nn

from secure_fedmeta.algorithms.inner import GradientSteps
from secure_fedmeta.algorithms.maml import Maml
from secure_fedmeta.engines.stacked import StackedEngine
from secure_fedmeta.errors import CheckpointDamaged, SettingError
from secure_fedmeta.parameters import bind
from secure_fedmeta.population.clients import MadeClients
from secure_fedmeta.population.cohorts import Available
from secure_fedmeta.population.training import train
from secure_fedmeta.population.updates import Adapted


def adapted(net=None, *, lr=0.1, loss="cross-entropy", first_order=False, **settings):
    maml = Maml(GradientSteps(lr=lr, count=1), first_order=first_order)
    return Adapted(StackedEngine(net or small_net(), maml, loss=loss, **settings))


def frozen(value):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 3))
    nn.init.constant_(net[0].weight, value)
    net[0].requires_grad_(False)
    return bind(net)


@pytest.mark.parametrize(
    "other",
    [
        adapted(lr=0.2),
        adapted(first_order=True),
        adapted(small_net(width=5)),
        adapted(loss="logistic"),
        adapted(dtype=torch.float32),
        adapted(slots=(9, 9)),
        adapted(chunk=3),
        dataclasses.replace(adapted(), chunk=7),
    ],
)
def test_another_mechanism_is_another_run(other):
    own = small_training(updates=adapted())
    assert own.digest == small_training(updates=adapted()).digest
    assert own.digest != small_training(updates=other).digest


def test_frozen_weights_count():
    one, same, other = (small_training(updates=adapted(frozen(value))).digest for value in (0.5, 0.5, 0.25))
    assert one == same != other


def test_another_schedule_is_another_run():
    def windows(starts, lengths=(1, 1, 1, 1), period=2):
        return Available.windows(np.array(starts), np.array(lengths), period=period)

    digests = [
        small_training(4, cohorts=one).digest
        for one in (windows([0, 1, 0, 1]), windows([1, 1, 0, 1]), windows([0, 1, 0, 1], period=3))
    ]
    assert len(set(digests)) == 3
    assert small_training(4, cohorts=windows([0, 1, 0, 1])).digest == digests[0]


def test_a_schedule_keeps_to_what_it_was_made_of():
    starts = np.array([0, 1])
    made = Available.windows(starts, np.array([1, 1]), period=2)
    starts[:] = 1
    assert made.trace(2).tolist() == [0]


def test_other_data_are_another_run(tmp_path):
    def stop(*_):
        raise InterruptedError

    training = small_training()
    with pytest.raises(InterruptedError):
        train(training, start_of(training), folder=tmp_path, watch=stop, progress=False)
    for other in (small_training(data="others"), small_training(source=MadeClients(201, client))):
        with pytest.raises(CheckpointDamaged, match="other settings"):
            train(other, start_of(other), folder=tmp_path, resume=True, progress=False)


@pytest.mark.parametrize("changes", [{"data": ""}, {"cohorts": Available(200, np.arange)}])
def test_what_has_no_name_is_not_kept(tmp_path, changes):
    training = small_training(**changes)
    with pytest.raises(SettingError, match="no name"):
        train(training, start_of(training), folder=tmp_path, progress=False)
    assert not list(tmp_path.iterdir())


def test_updates_that_nothing_tells_from_others_are_not_kept(tmp_path):
    class Mine:
        def total(self, theta, source, cohort, clip_norm):
            return torch.zeros_like(theta)

    training = small_training(updates=Mine())
    with pytest.raises(SettingError, match="nothing tells one Mine from another"):
        train(training, torch.zeros(3), folder=tmp_path, progress=False)


@pytest.mark.parametrize("reproducible", [True, False])
def test_charges_without_a_checkpoint_are_refused(tmp_path, reproducible):
    """Else a run's charges could be carried on under any settings with the same event."""

    def stop(*_):
        raise InterruptedError

    training = small_training(reproducible=reproducible, spare=3)
    with pytest.raises(InterruptedError):
        train(training, start_of(training), folder=tmp_path, every=6, watch=stop, progress=False)
    other = small_training(reproducible=reproducible, spare=3, server_lr=3.0)
    with pytest.raises(CheckpointDamaged, match="other settings"):
        train(other, start_of(other), folder=tmp_path, resume=True, progress=False)
    (tmp_path / "checkpoint.json").unlink()
    with pytest.raises(CheckpointDamaged, match="charges and no checkpoint"):
        train(training, start_of(training), folder=tmp_path, resume=True, progress=False)


def test_a_cohort_of_more_clients_than_there_are():
    with pytest.raises(SettingError, match="of whom the data hold 100"):
        small_training(source=MadeClients(100, client))
