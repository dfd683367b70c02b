# SPDX-License-Identifier: Apache-2.0
"""The work of one meta-step, the same for us and for a peer: networks, tasks and losses from one seed. torch alone."""

import torch
from torch import nn
from torch.nn import functional

TASKS, SHOTS, RATE = 32, 10, 0.01
CLASSES = {"mlp": 10, "conv": 5}


def network(model: str) -> nn.Module:
    """Sine 1-40-40-1; MLP 64-128-10; four convolutions of 64 channels, normalised in groups, for 28x28."""
    torch.manual_seed(0)
    if model == "sine":
        return nn.Sequential(nn.Linear(1, 40), nn.ReLU(), nn.Linear(40, 40), nn.ReLU(), nn.Linear(40, 1))
    if model == "mlp":
        return nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 10))
    blocks: list[nn.Module] = []
    for place in range(4):
        inputs = 64 if place else 1
        blocks += [nn.Conv2d(inputs, 64, 3, padding=1), nn.GroupNorm(8, 64), nn.ReLU(), nn.MaxPool2d(2)]
    return nn.Sequential(*blocks, nn.Flatten(), nn.Linear(64, 5))


def tasks(model: str) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Support and query as (rows, labels), 32 tasks of 10 rows each."""
    generator = torch.Generator().manual_seed(1)
    if model == "sine":
        height = torch.rand(TASKS, 1, generator=generator) * 4.9 + 0.1
        phase = torch.rand(TASKS, 1, generator=generator) * torch.pi
        rows = [torch.rand(TASKS, SHOTS, generator=generator) * 10 - 5 for _ in range(2)]
        return [(x.unsqueeze(-1), height * torch.sin(x - phase)) for x in rows]
    shape = (64,) if model == "mlp" else (1, 28, 28)
    return [
        (
            torch.randn(TASKS, SHOTS, *shape, generator=generator),
            torch.randint(0, CLASSES[model], (TASKS, SHOTS), generator=generator).float(),
        )
        for _ in range(2)
    ]


def loss(model: str, outputs: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Mean over one task's rows."""
    if model == "sine":
        return functional.mse_loss(outputs.squeeze(-1), labels)
    return functional.cross_entropy(outputs, labels.long())
