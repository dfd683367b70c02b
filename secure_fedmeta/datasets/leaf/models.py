# SPDX-License-Identifier: Apache-2.0
"""LEAF's reference models in torch (models/*/ in TalwalkarLab/leaf), for rows as `ClientData.task` makes them: (n, d).

Parameters start as in LEAF: Glorot-uniform weights and zero biases (TensorFlow's defaults), a forget bias of one in
Shakespeare's and Sent140's LSTM (BasicLSTMCell), U[-0.1, 0.1] for Reddit. The start follows from a seed. Two
differences that do not change what a network can express: torch's LSTM has two biases where TensorFlow's has one (2 048
parameters more for two layers of 256), and flattening runs over channels first.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional

from secure_fedmeta.datasets.clients import TaskError
from secure_fedmeta.datasets.leaf.sets import IGNORED
from secure_fedmeta.datasets.leaf.words import UNKNOWN_LETTER, Vocabulary

Tensor = torch.Tensor
Net = TypeVar("Net", bound=nn.Module)


def femnist_cnn(*, classes: int = 62, seed: int = 0) -> nn.Sequential:
    """Two 5x5 convolutions (32, 64) with pooling, one layer of 2048: rows (n, 784) to (n, classes).

    Example:
        >>> sum(p.numel() for p in femnist_cnn().parameters())
        6603710
    """
    net = nn.Sequential(
        nn.Unflatten(1, (1, 28, 28)),
        nn.Conv2d(1, 32, 5, padding=2),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 5, padding=2),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(64 * 7 * 7, 2048),
        nn.ReLU(),
        nn.Linear(2048, classes),
    )
    return _glorot(net, seed)


def celeba_cnn(*, norm: Literal["group", "batch"] = "group", groups: int = 8, seed: int = 0) -> nn.Sequential:
    """Four blocks of 3x3 convolution (32), normalisation, pooling, ReLU: rows (n, 84 * 84 * 3) of 0-255 to (n, 2).

    LEAF normalises over the batch, in training and in testing (`training=True`). That is `norm="batch"`, for runs
    without privacy only: it mixes the records of a batch, so no per-record bound holds, and `parameters.bind` refuses
    it (SFM-114). The default, GroupNorm, has the same number of parameters and looks at one image alone.

    Raises:
        TaskError: SFM-137 for another norm, or groups that do not divide 32.

    Example:
        >>> celeba_cnn()(torch.full((2, 84 * 84 * 3), 255.0)).shape
        torch.Size([2, 2])
    """
    if norm not in {"group", "batch"} or groups < 1 or 32 % groups:
        what = f"norm {norm!r} with {groups} groups"
        raise TaskError("SFM-137", what, "celeba_cnn", "use 'group' with a divisor of 32, or 'batch'")
    layers: list[nn.Module] = [ChannelsFirst(84, 84, 3)]
    for channels in (3, 32, 32, 32):
        middle = nn.GroupNorm(groups, 32) if norm == "group" else nn.BatchNorm2d(32, track_running_stats=False)
        layers += [nn.Conv2d(channels, 32, 3, padding=1), middle, nn.MaxPool2d(2, ceil_mode=True), nn.ReLU()]
    return _glorot(nn.Sequential(*layers, nn.Flatten(), nn.Linear(32 * 6 * 6, 2)), seed)


def synthetic_logistic(*, dimension: int = 60, classes: int = 5, sigmoid: bool = True, seed: int = 0) -> nn.Sequential:
    """Multinomial logistic regression; LEAF puts a sigmoid before the loss's softmax, `sigmoid=False` does not.

    Example:
        >>> sum(p.numel() for p in synthetic_logistic().parameters())
        305
    """
    layers: list[nn.Module] = [nn.Linear(dimension, classes)] + [nn.Sigmoid()] * sigmoid
    return _glorot(nn.Sequential(*layers), seed)


class TokenLSTM(nn.Module):
    """Embedding, LSTM layers, and a head on the last position or on every one.

    Shapes: ids (n, length) to (n, C), or to (n, length, C) with `every`. Ids may come as floats (a task's rows are
    float64); they are truncated to integers.
    """

    def __init__(self, embedding: nn.Embedding, lstm: nn.LSTM, head: nn.Module, *, every: bool = False) -> None:
        super().__init__()
        self.embedding = embedding
        self.lstm = lstm
        self.head = head
        self.every = every

    def forward(self, rows: Tensor) -> Tensor:
        """Scores of the classes."""
        states, _ = self.lstm(self.embedding(rows.long()))
        scores: Tensor = self.head(states if self.every else states[..., -1, :])
        return scores


def shakespeare_lstm(*, letters: int = UNKNOWN_LETTER + 1, seed: int = 0) -> TokenLSTM:
    """Embedding 8, two LSTM layers of 256, next letter: rows (n, 80) to (n, letters).

    The default has a class for unknown letters, which `Shakespeare()` needs; `letters=80` is LEAF's own size, for
    `Shakespeare(refuse_unknown=True)`.

    Example:
        >>> sum(p.numel() for p in shakespeare_lstm(letters=80).parameters())
        819920
    """
    net = TokenLSTM(nn.Embedding(letters, 8), nn.LSTM(8, 256, 2, batch_first=True), nn.Linear(256, letters))
    return _glorot(net, seed, forget_bias=1.0)


def sent140_lstm(
    *, words: int | None = None, vectors: NDArray[np.float32] | None = None, length: int = 100, seed: int = 0
) -> TokenLSTM:
    """Two LSTM layers of 100, layers 128 and 2 without a non-linearity between, as in LEAF: rows (n, 25) to (n, 2).

    Give `vectors` (V, D), from `words.glove`, for fixed embeddings (`requires_grad` off, so they are no part of what is
    trained); or `words` = len(vocabulary) for learned ones of width `length`, which is what LEAF's program really does,
    whatever its GloVe file holds.

    Raises:
        TaskError: SFM-137 unless exactly one of `words` and `vectors` is given.

    Example:
        >>> net = sent140_lstm(words=10)
        >>> net(torch.zeros(3, 25)).shape
        torch.Size([3, 2])
    """
    if (words is None) == (vectors is None):
        raise TaskError("SFM-137", "words and vectors exclude each other", "sent140_lstm", "give one of them")
    if vectors is not None:
        fixed = torch.from_numpy(np.array(vectors, dtype=np.float32))
        embedding = nn.Embedding(fixed.shape[0], fixed.shape[1], _weight=fixed)
        embedding.weight.requires_grad_(False)
    else:
        embedding = nn.Embedding(int(words or 0), length)
    lstm = nn.LSTM(embedding.embedding_dim, 100, 2, batch_first=True)
    net = TokenLSTM(embedding, lstm, nn.Sequential(nn.Linear(100, 128), nn.Linear(128, 2)))
    return _glorot(net, seed, forget_bias=1.0, keep=[embedding.weight] if vectors is not None else [])


def reddit_lstm(*, words: int = 10_000, seed: int = 0) -> TokenLSTM:
    """Embedding 256, two LSTM layers of 256, next word at every position: rows (n, 10) to (n, 10, words).

    Train with `token_loss`, judge with `reddit_accuracy`. Labels are a row of words, so the engines' task batches,
    which take one label a row, do not take this model.

    Example:
        >>> reddit_lstm(words=20)(torch.zeros(3, 10)).shape
        torch.Size([3, 10, 20])
    """
    lstm = nn.LSTM(256, 256, 2, batch_first=True)
    net = TokenLSTM(nn.Embedding(words, 256), lstm, nn.Linear(256, words), every=True)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.uniform_(-0.1, 0.1, generator=generator)
    return net


def token_loss(outputs: Tensor, labels: Tensor) -> Tensor:
    """Mean cross-entropy over a row's counted positions, (..., n); 0 for a row where none counts.

    Shapes: outputs (..., n, length, C), labels (..., n, length), `IGNORED` where a position does not count.
    """
    flat = functional.cross_entropy(
        outputs.reshape(-1, outputs.shape[-1]), labels.reshape(-1).long(), reduction="none", ignore_index=IGNORED
    )
    counted = (labels != IGNORED).sum(-1).clamp_min(1)
    return flat.reshape(labels.shape).sum(-1) / counted


def reddit_accuracy(outputs: Tensor, labels: Tensor, vocabulary: Vocabulary) -> float:
    """Share of counted positions whose word is right; a predicted <UNK> or <PAD> is always wrong."""
    guessed = outputs.argmax(-1)
    counted = labels != IGNORED
    right = counted & (guessed == labels) & (guessed != vocabulary.unknown) & (guessed != vocabulary.pad)
    return float(right.sum()) / max(int(counted.sum()), 1)


class ChannelsFirst(nn.Module):
    """Flat rows (n, height * width * channels), as images lie in files, to (n, channels, height, width)."""

    def __init__(self, height: int, width: int, channels: int) -> None:
        super().__init__()
        self.shape = (height, width, channels)

    def forward(self, rows: Tensor) -> Tensor:
        """The images."""
        return rows.reshape(-1, *self.shape).permute(0, 3, 1, 2)

    def extra_repr(self) -> str:
        """Height, width, channels."""
        return ", ".join(map(str, self.shape))


def _glorot(net: Net, seed: int, *, forget_bias: float = 0.0, keep: Sequence[Tensor] = ()) -> Net:
    """Glorot-uniform weights and zero biases; an LSTM's two weights of a layer are one kernel, as in TensorFlow."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for module in net.modules():
            if isinstance(module, nn.LSTM):
                hidden = module.hidden_size
                for name, parameter in module.named_parameters():
                    if name.startswith("weight"):
                        inputs = module.input_size if name.endswith("l0") else hidden
                        bound = math.sqrt(6.0 / (inputs + 5 * hidden))
                        parameter.uniform_(-bound, bound, generator=generator)
                    else:
                        parameter.zero_()
                        if name.startswith("bias_ih"):
                            parameter[hidden : 2 * hidden] = forget_bias  # gates stand in the order i, f, g, o
            elif isinstance(module, nn.Linear | nn.Conv2d | nn.Embedding):
                if not any(module.weight is kept for kept in keep):
                    nn.init.xavier_uniform_(module.weight, generator=generator)
                if not isinstance(module, nn.Embedding) and module.bias is not None:
                    nn.init.zeros_(module.bias)
    return net
