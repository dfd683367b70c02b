# SPDX-License-Identifier: Apache-2.0
"""Local training of many small clients at once: what each of them sends after a few steps of SGD (FedAvg).

A client starts at theta, takes one step a mini-batch in the order of its rows, `epochs` times over, and sends
theta - theta_local: the server goes down along the mean, as along any contribution (McMahan et al. 2017, arXiv
1602.05629v4, with the server's rate 1). All clients start at the same theta, so their first step shares its weights.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from torch import nn

from ..engines.batched import cause
from ..errors import DataRefused, ModelRefused, SettingError
from ..parameters import Architecture, check_bound
from .clients import Shards
from .layers import (
    Convolution,
    Dense,
    Flat,
    HyperbolicTangent,
    Image,
    Layer,
    MaxPool,
    Rectified,
    check_layer,
)

Tensor = torch.Tensor


@contextmanager
def _fitting() -> Iterator[None]:
    """Refuse what the layers cannot compute, without any record in the text."""
    try:
        yield
    except (RuntimeError, ValueError, IndexError) as error:
        raise DataRefused(
            f"it does not run on these rows: {cause(error)}",
            "local training",
            "give rows and labels that the network and the loss take, and the network's own number of parameters",
        ) from None


@dataclass(frozen=True, slots=True)
class LocalSgd:
    """FedAvg's client step for stacks of linear, convolutional, ReLU, tanh, pooling and reshaping layers.

    Attributes:
        architecture: the network, an `nn.Sequential` of these.
        loss: "cross-entropy", "logistic" or "squared"; the mean over a mini-batch's own rows.
        lr, batch_size, epochs: of the local SGD. The last mini-batch of a client may be smaller.
        chunk: clients worked on at once.

    Shapes: theta (P,) to rows (n, P) or their sum (P,), in theta's type.
    Raises:
        ModelRefused: another layer.  SettingError: a setting out of range.
        DataRefused: (when called) rows, labels or a model that do not fit.

    Example:
        >>> import numpy as np
        >>> from secure_fedmeta.parameters import bind
        >>> net = bind(nn.Sequential(nn.Linear(2, 1)))
        >>> sgd = LocalSgd(net, loss="squared", lr=0.5, batch_size=1)
        >>> one = Shards(torch.tensor([[[1.0, 0.0]]]), torch.tensor([[2.0]]))
        >>> sgd.rows(torch.zeros(3), one).tolist()  # lr * 2 * (0 - 2) for the first weight and the bias
        [[-2.0, 0.0, -2.0]]
    """

    architecture: Architecture
    loss: str
    lr: float
    batch_size: int
    epochs: int = 1
    chunk: int = 128
    _modules: tuple[nn.Module, ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if self.loss not in _GRADIENTS or not self.lr > 0 or min(self.batch_size, self.epochs, self.chunk) < 1:
            raise SettingError(
                f"loss={self.loss!r}, lr={self.lr}, batch_size={self.batch_size}, epochs={self.epochs}, "
                f"chunk={self.chunk}",
                "local training",
                f"use a loss of {sorted(_GRADIENTS)}, a positive rate and counts from 1",
            )
        check_bound(self.architecture)
        if self.architecture.frozen:
            raise ModelRefused("some of its parameters are frozen", "model", "learn all of them, or use an engine")
        if not isinstance(self.architecture.skeleton, nn.Sequential):
            raise ModelRefused("the network is no nn.Sequential", "model", "stack its layers, or use an engine")
        modules = tuple(self.architecture.skeleton)
        for module in modules:
            check_layer(module)
        object.__setattr__(self, "_modules", modules)

    @property
    def dimension(self) -> int:
        """P."""
        return self.architecture.dimension

    @torch.no_grad()
    def rows(self, theta: Tensor, clients: Shards) -> Tensor:
        """What each client sends, (n, P); a matrix of n P numbers, so pass a chunk."""
        parts = [self._gathered(self._trained(theta, part), len(part)) for part in clients.chunks(self.chunk)]
        return torch.cat(parts) if len(parts) != 1 else parts[0]

    @torch.no_grad()
    def total(self, theta: Tensor, clients: Shards, *, clip_norm: float | None = None) -> Tensor:
        """The sum of what they send, (P,), each clipped to `clip_norm` in norm; no client's vector is written out."""
        total = torch.zeros_like(theta)
        for part in clients.chunks(self.chunk):
            layers = self._trained(theta, part)
            maps = [layer for layer in layers if isinstance(layer, Dense | Convolution)]
            factors = None
            if clip_norm is not None:
                norms = torch.stack([layer.map.squared_norm() for layer in maps]).sum(0).sqrt_()
                factors = (clip_norm / norms.clamp_min_(1e-12)).clamp_max_(1.0)
            parts: list[Tensor] = []
            for layer in maps:
                weight, moved = layer.map.total(factors)
                parts.append(layer.shaped(weight).reshape(-1))
                parts += [] if moved is None else [moved]
            total += torch.cat(parts)
        return total

    @_fitting()
    def _trained(self, theta: Tensor, part: Shards) -> list[Layer]:
        steps, size = -(-part.slots // self.batch_size) * self.epochs, min(self.batch_size, part.slots)
        layers = self._at(theta, clients=len(part), rows=size, steps=steps)
        first = next(i for i, layer in enumerate(layers) if isinstance(layer, Dense | Convolution))
        gradient_of = _GRADIENTS[self.loss]
        for _ in range(self.epochs):
            for rows, labels, weights in part.of_type(theta.dtype).batches(self.batch_size):
                values = rows.clone() if first else rows  # layers before the first weights may work in place
                for layer in layers:
                    values = layer.forward(values)
                at = gradient_of(values, labels).mul_(weights.unsqueeze(-1) if isinstance(weights, Tensor) else weights)
                for place in range(len(layers) - 1, first - 1, -1):
                    at = layers[place].back(at, self.lr, inputs=place > first)
        return layers

    def _at(self, theta: Tensor, *, clients: int, rows: int, steps: int) -> list[Layer]:
        """Fresh layers at theta."""
        named = iter(_shaped(theta, self.architecture))
        layers: list[Layer] = []
        bias: Tensor | None
        for module in self._modules:
            match module:
                case nn.Linear():
                    weight, bias = next(named), next(named) if module.bias is not None else None
                    layers.append(Dense(weight, bias, clients=clients, rows=rows, steps=steps))
                case nn.Conv2d():
                    weight, bias = next(named), next(named) if module.bias is not None else None
                    layers.append(Convolution(module, weight, bias, clients=clients, rows=rows, steps=steps))
                case nn.ReLU():
                    layers.append(Rectified())
                case nn.Tanh():
                    layers.append(HyperbolicTangent())
                case nn.MaxPool2d():
                    side = module.kernel_size
                    layers.append(MaxPool((side, side) if isinstance(side, int) else side))
                case nn.Flatten():
                    layers.append(Flat())
                case nn.Unflatten():
                    c, h, w = module.unflattened_size
                    layers.append(Image((int(c), int(h), int(w))))
        return layers

    def _gathered(self, layers: list[Layer], clients: int) -> Tensor:
        parts: list[Tensor] = []
        for layer in layers:
            if isinstance(layer, Dense | Convolution):
                weight, bias = layer.map.each()
                parts.append(layer.shaped(weight).reshape(clients, -1))
                parts += [] if bias is None else [bias]
        return torch.cat(parts, 1)


def _shaped(theta: Tensor, architecture: Architecture) -> Iterator[Tensor]:
    for part, shape in zip(torch.split(theta, list(architecture.lengths)), architecture.shapes, strict=True):
        yield part.view(shape)


def _cross_entropy(outputs: Tensor, labels: Tensor) -> Tensor:
    shares = torch.softmax(outputs, -1)
    return shares.scatter_add_(-1, labels.long().unsqueeze(-1), shares.new_full((*labels.shape, 1), -1.0))


def _logistic(outputs: Tensor, labels: Tensor) -> Tensor:
    return torch.sigmoid(outputs) - labels.unsqueeze(-1)


def _squared(outputs: Tensor, labels: Tensor) -> Tensor:
    return 2 * (outputs - labels.unsqueeze(-1))


# Loss -> its gradient at the outputs (n, r, C), a fresh tensor.
_GRADIENTS = {"cross-entropy": _cross_entropy, "logistic": _logistic, "squared": _squared}
