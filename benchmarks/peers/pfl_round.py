# SPDX-License-Identifier: Apache-2.0
"""pfl 0.6.0 on the work of benchmarks/federated_round.py: run by that file, in an environment of its own.

python benchmarks/peers/pfl_round.py mlp 1 data.npz start.npy

Prints one JSON object: milliseconds of each round after the first three, and the accuracy after 30 rounds.
"""

import json
import os
import sys
import time
from typing import Any

os.environ.setdefault("PFL_PYTORCH_DEVICE", "cpu")

import numpy as np
import torch
from pfl.aggregate.simulate import SimulatedBackend
from pfl.aggregate.weighting import WeightByUser
from pfl.algorithm.base import NNAlgorithmParams
from pfl.algorithm.federated_averaging import FederatedAveraging
from pfl.callback.base import TrainingProcessCallback
from pfl.data.federated_dataset import FederatedDataset
from pfl.data.pytorch import PyTorchTensorDataset
from pfl.data.sampling import get_user_sampler
from pfl.hyperparam import NNEvalHyperParams, NNTrainHyperParams
from pfl.metrics import Metrics
from pfl.model.pytorch import PyTorchModel
from pfl.privacy.gaussian_mechanism import GaussianMechanism
from torch import nn

BATCH, RATE, CLIP, DEVIATION, ROUNDS = 7, 0.1, 1.0, 0.5, 30


def network(model: str) -> nn.Sequential:
    if model == "mlp":
        return nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 10))
    return nn.Sequential(
        nn.Unflatten(1, (1, 8, 8)),
        nn.Conv2d(1, 16, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(16, 32, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(512, 192),
        nn.ReLU(),
        nn.Linear(192, 10),
    )


class Net(nn.Module):
    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: torch.Tensor) -> Any:
        return self.inner(x)

    def loss(self, x: torch.Tensor, y: torch.Tensor, eval: bool = False) -> Any:  # noqa: A002 - pfl's own signature
        self.train(not eval)
        return nn.functional.cross_entropy(self(x), y)

    def metrics(self, x: Any, y: Any, eval: bool = False) -> dict[str, Any]:  # noqa: A002, ARG002
        return {}


class Clock(TrainingProcessCallback):
    def __init__(self) -> None:
        self.ends: list[float] = []

    def after_central_iteration(self, *_: Any, **__: Any) -> tuple[bool, Metrics]:
        self.ends.append(time.perf_counter())
        return False, Metrics()


def main() -> None:
    model, noisy, data, start = sys.argv[1], int(sys.argv[2]), np.load(sys.argv[3]), np.load(sys.argv[4])
    torch.set_num_threads(1)
    torch.manual_seed(0)
    np.random.seed(0)
    rows, labels = torch.tensor(data["rows"]), torch.tensor(data["labels"])
    net = Net(network(model))
    nn.utils.vector_to_parameters(torch.tensor(start), net.parameters())
    clients = FederatedDataset(
        lambda user: PyTorchTensorDataset((rows[user], labels[user])),
        get_user_sampler("minimize_reuse", list(range(len(rows)))),
    )
    after = [WeightByUser()] + ([GaussianMechanism(CLIP, DEVIATION)] if noisy else [])
    backend = SimulatedBackend(training_data=clients, val_data=clients, postprocessors=after)
    clock = Clock()
    FederatedAveraging().run(
        algorithm_params=NNAlgorithmParams(
            central_num_iterations=ROUNDS,
            evaluation_frequency=10**9,
            train_cohort_size=len(rows),
            val_cohort_size=0,
        ),
        backend=backend,
        model=PyTorchModel(net, torch.optim.SGD, torch.optim.SGD(list(net.parameters()), 1.0)),
        model_train_params=NNTrainHyperParams(local_learning_rate=RATE, local_num_epochs=1, local_batch_size=BATCH),
        model_eval_params=NNEvalHyperParams(local_batch_size=None),
        callbacks=[clock],
    )
    times = [1e3 * (end - start) for start, end in zip(clock.ends[3:], clock.ends[4:], strict=False)]
    found = net(torch.tensor(data["held_rows"])).argmax(1)
    right = float((found == torch.tensor(data["held_labels"])).float().mean())
    print(json.dumps({"ms": times, "accuracy": right}))


if __name__ == "__main__":
    main()
