"""What a module's own forward may do, what is refused, and layers that must not be mistaken for the library's."""

import pytest
import torch
from networks import Branching
from torch import nn
from torch.nn import functional

from secure_fedmeta.engines.stacked import batched_outputs
from secure_fedmeta.errors import ModelRefused
from secure_fedmeta.parameters import bind


class Own(nn.Module):
    """A module whose forward is given."""

    def __init__(self, forward):
        super().__init__()
        self.line, self.scale = nn.Linear(4, 4), nn.Parameter(torch.randn(4))
        self.own = forward

    def forward(self, x):
        return self.own(self, x)


def agrees(module, rows):
    """Two tasks with parameters and rows of their own, against the module itself."""
    net = bind(module)
    theta = net.start_tensor() + 0.1 * torch.randn(2, net.dimension, dtype=torch.float64)
    found = batched_outputs(net)(theta, rows)
    expected = torch.stack([net.outputs(theta[task], rows[task]) for task in (0, 1)])
    return torch.allclose(found, expected, rtol=0, atol=1e-12)


TAKEN = {
    "arithmetic": lambda m, x: 2 * m.line(x) - x / 3 + m.scale * x,
    "activations": lambda m, x: functional.gelu(m.line(x)).tanh() + torch.sigmoid(x),
    "reductions": lambda m, x: m.line(x).mean(dim=1, keepdim=True) + x.sum(-1, keepdim=True),
    "softmax": lambda m, x: torch.softmax(m.line(x), dim=1),
    "shapes": lambda m, x: m.line(x).view(x.size(0), 2, 2).transpose(1, 2).reshape(-1, 4).unsqueeze(1).flatten(1),
    "permutation": lambda m, x: m.line(x).reshape(x.shape[0], 2, 2).permute(0, 2, 1).flatten(1),
    "choices": lambda m, x: torch.cat([m.line(x)[:, -1:], x[:, 0:2], x[:, None, 1]], dim=1),
    "chunks": lambda m, x: m.line(x).chunk(2, dim=1)[0] * x.chunk(2, -1)[1],
    "expanded": lambda m, x: torch.cat([m.scale.expand(x.shape[0], -1), m.line(x)], 1),
    "called twice": lambda m, x: m.line(torch.relu(m.line(x))),
}

REFUSED = {
    "a mean over rows": lambda m, x: m.line(x) - x.mean(0),
    "a mean over everything": lambda m, x: m.line(x) * x.mean(),
    "a choice of rows": lambda m, x: m.line(x)[0],
    "a choice by values": lambda m, x: m.line(x)[:, x[0].long()],
    "rows turned": lambda m, x: m.line(x).transpose(0, 1),
    "rows mixed": lambda m, x: m.line(x).reshape(2, -1),
    "rows joined": lambda m, x: torch.cat([m.line(x), x], 0),
    "softmax over rows": lambda m, x: functional.softmax(m.line(x), dim=0),
    "random numbers": lambda m, x: m.line(x) + torch.rand(4, dtype=torch.float64),
    "another function": lambda m, x: torch.cumsum(m.line(x), 0),
    "rows expanded": lambda m, x: m.line(x).expand(x.shape[0], 4),
    "a value read": lambda m, x: m.line(x) * x[0, 0].item(),
    "parameters alone": lambda m, x: m.line(x) * (m.scale + m.scale),
}


@pytest.mark.parametrize("name", TAKEN)
def test_forwards_that_stack(name):
    torch.manual_seed(0)
    assert agrees(Own(TAKEN[name]), torch.randn(2, 5, 4, dtype=torch.float64))


@pytest.mark.parametrize("name", REFUSED)
def test_forwards_that_are_refused_not_guessed(name):
    with pytest.raises(ModelRefused, match="no batched form"):
        agrees(Own(REFUSED[name]), torch.randn(2, 5, 4, dtype=torch.float64))


class Doubled(nn.Linear):
    def forward(self, x):
        return 2 * super().forward(x)


def hooked():
    line = nn.Linear(4, 4)
    line.register_forward_hook(lambda module, rows, out: 2 * out)
    return line


@pytest.mark.parametrize(
    "make",
    [
        hooked,
        lambda: Doubled(4, 4),
        lambda: nn.Sequential(hooked()),
        lambda: nn.utils.parametrizations.weight_norm(nn.Linear(4, 4)),
        lambda: nn.Sequential(nn.Linear(4, 4), nn.Softmax(dim=0)),
        lambda: nn.Sequential(nn.Linear(4, 4), nn.Flatten(0)),
        lambda: nn.Sequential(nn.Linear(4, 4), nn.Softmax(dim=-2)),
        lambda: nn.Bilinear(4, 4, 2),
        lambda: nn.LSTM(4, 3),
        lambda: nn.LSTM(4, 3, batch_first=True, bidirectional=True),
        lambda: nn.GRU(4, 3),
        lambda: nn.Conv2d(1, 2, 3, padding="same"),
        lambda: nn.Conv2d(1, 2, 3, padding=1, padding_mode="circular"),
        lambda: nn.Embedding(5, 2, max_norm=1.0),
        lambda: nn.MultiheadAttention(4, 2),
        lambda: nn.TransformerEncoderLayer(4, 2, 8, 0.0, activation=torch.tanh, batch_first=True),
        Branching,
    ],
)
def test_layers_that_are_refused(make):
    with pytest.raises(ModelRefused, match="no batched form"):
        agrees(make(), torch.randn(2, 5, 4, dtype=torch.float64))


@pytest.mark.parametrize(
    ("make", "shape"),
    [
        (lambda: nn.Conv2d(2, 6, 3, stride=2, padding=1, dilation=2, groups=2), (2, 7, 8)),
        (lambda: nn.Conv1d(3, 4, 2, bias=False), (3, 9)),
        (lambda: nn.Sequential(nn.Conv1d(3, 4, 2), nn.AvgPool1d(2), nn.AdaptiveAvgPool1d(1), nn.Flatten()), (3, 9)),
        (lambda: nn.Linear(4, 3, bias=False), (5, 4)),
        (lambda: nn.Linear(80, 60), (80,)),
        (lambda: nn.LayerNorm((3, 4), bias=False), (3, 4)),
        (lambda: nn.Sequential(nn.Linear(4, 4), nn.LayerNorm(4, elementwise_affine=False)), (4,)),
        (lambda: nn.Sequential(nn.Linear(4, 6), nn.GroupNorm(3, 6)), (4,)),
        (lambda: nn.Sequential(nn.Unflatten(1, (2, 2)), nn.Flatten(), nn.Linear(4, 2), nn.LogSoftmax(-1)), (4,)),
        (lambda: nn.Sequential(nn.Linear(4, 4), nn.Dropout(0.5), nn.ELU(inplace=True)).eval(), (4,)),
        (lambda: nn.TransformerEncoder(encoder(), 2, nn.LayerNorm(4), enable_nested_tensor=False), (3, 4)),
    ],
)
def test_layers_in_batched_form(make, shape):
    torch.manual_seed(0)
    rows = torch.randn(2, 5, *shape, dtype=torch.float64)
    before = rows.clone()
    assert agrees(make(), rows)
    assert torch.equal(rows, before)


def encoder():
    return nn.TransformerEncoderLayer(4, 2, 8, 0.0, batch_first=True, activation="gelu")


def test_frozen_parameters_stay_as_they_are():
    net = bind(nn.Sequential(nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, 2)))
    rows = torch.randn(2, 5, 4, dtype=torch.float64)
    # The network as one whose first layer is not learned: its names and shapes are the last layer's alone.
    part = type(net)(net.names[2:], net.shapes[2:], net.start[-8:], net.digest, net.skeleton)
    theta = torch.randn(2, 8, dtype=torch.float64)
    found = batched_outputs(part)(theta, rows)
    assert torch.allclose(found[1], part.outputs(theta[1], rows[1]), rtol=0, atol=1e-12)
