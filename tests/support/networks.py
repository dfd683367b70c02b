"""Networks of every kind that an engine takes, with public tasks for them."""

from dataclasses import dataclass

import torch
from torch import nn

from secure_fedmeta.algorithms.inner import GradientSteps
from secure_fedmeta.algorithms.maml import Maml
from secure_fedmeta.parameters import bind
from secure_fedmeta.tasks import Task

KINDS, CLASSES = 9, 3
MAML = Maml(GradientSteps(0.3, 2))


class Recurrent(nn.Module):
    def __init__(self, kind, layers=2, *, by_state=False):
        super().__init__()
        self.embed, self.cells = nn.Embedding(KINDS, 4), kind(4, 5, num_layers=layers, batch_first=True)
        self.head, self.by_state = nn.Linear(5, CLASSES), by_state

    def forward(self, x):
        out, state = self.cells(self.embed(x.long()))
        if self.by_state:
            return self.head((state[0] if isinstance(self.cells, nn.LSTM) else state)[-1])
        return self.head(out[:, -1])


class Attentive(nn.Module):
    """Embedding, positions, a soft prompt and one encoder layer."""

    def __init__(self, *, norm_first=False):
        super().__init__()
        self.embed = nn.Embedding(KINDS, 8, padding_idx=2)
        self.layer = nn.TransformerEncoderLayer(8, 2, 16, 0.0, batch_first=True, norm_first=norm_first)
        self.head = nn.Linear(8, CLASSES)
        self.prompt, self.place = nn.Parameter(torch.randn(2, 8)), nn.Parameter(torch.randn(6, 8))

    def forward(self, x):
        rows = self.embed(x.long()) + self.place
        rows = torch.cat([self.prompt.expand(x.shape[0], -1, -1), rows], 1)
        return self.head(self.layer(rows).mean(1))


class Residual(nn.Module):
    def __init__(self):
        super().__init__()
        self.up, self.norm, self.mix, self.head = (
            nn.Linear(6, 8),
            nn.LayerNorm(8),
            nn.Linear(8, 8),
            nn.Linear(8, CLASSES),
        )

    def forward(self, x):
        rows = torch.relu(self.up(x))
        return self.head(rows + torch.tanh(self.mix(self.norm(rows))))


class Branching(nn.Module):
    """What it does depends on its rows' values."""

    def __init__(self):
        super().__init__()
        self.one, self.other = nn.Linear(6, CLASSES), nn.Linear(6, CLASSES)

    def forward(self, x):
        return self.one(x) if x.sum().item() > 0 else self.other(x)


def convolving():
    return nn.Sequential(
        *(nn.Unflatten(1, (1, 6, 6)), nn.Conv2d(1, 4, 3, padding=1), nn.GroupNorm(2, 4), nn.ReLU(inplace=True)),
        *(nn.MaxPool2d(2), nn.Conv2d(4, 6, 2, groups=2), nn.Tanh(), nn.Flatten(), nn.Linear(24, CLASSES)),
    )


@dataclass(frozen=True)
class Net:
    make: object
    width: int
    whole: bool = False  # rows are whole numbers

    def bound(self):
        torch.manual_seed(0)
        return bind(self.make())

    def rows(self, rng, count):
        shape = (count, self.width)
        return rng.integers(0, KINDS, shape).astype(float) if self.whole else rng.normal(size=shape)

    def task(self, rng, support, query):
        labels = [rng.integers(0, CLASSES, count).astype(float) for count in (support, query)]
        return Task(self.rows(rng, support), labels[0], self.rows(rng, query), labels[1])


NETS = {
    "linear": Net(lambda: nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, CLASSES)), 6),
    "wide": Net(lambda: nn.Sequential(nn.Linear(70, 64), nn.ReLU(), nn.Linear(64, CLASSES)), 70),
    "conv": Net(convolving, 36),
    "lstm": Net(lambda: Recurrent(nn.LSTM), 6, whole=True),
    "lstm-state": Net(lambda: Recurrent(nn.LSTM, 1, by_state=True), 6, whole=True),
    "gru": Net(lambda: Recurrent(nn.GRU, by_state=True), 6, whole=True),
    "attention": Net(Attentive, 6, whole=True),
    "attention-norm-first": Net(lambda: Attentive(norm_first=True), 6, whole=True),
    "layer-norm": Net(Residual, 6),
    "embedding": Net(
        lambda: nn.Sequential(Whole(), nn.Embedding(KINDS, 4), nn.Flatten(), nn.Linear(24, CLASSES)), 6, whole=True
    ),
}


class Whole(nn.Module):
    def forward(self, x):
        return x.long()
