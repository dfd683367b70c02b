# SPDX-License-Identifier: Apache-2.0
"""Layers in batched form: parameters (T, ...) of T tasks and rows (T, n, ...) to outputs (T, n, ...).

Each takes exactly the library's class, not a subclass, whose forward could be another. What has no parameters works row
by row, so it runs as it is on rows of shape (T n, ...).
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from ..errors import ModelRefused

Tensor = torch.Tensor
Parts = dict[str, Tensor]
Layer = Callable[..., Any]  # (parts, rows, ...) to rows, or to what a recurrent or attention layer returns
Builder = Callable[[Any, str], Layer]

ELEMENTWISE = (
    *(
        nn.ReLU,
        nn.ReLU6,
        nn.Tanh,
        nn.Sigmoid,
        nn.GELU,
        nn.SiLU,
        nn.ELU,
        nn.SELU,
        nn.LeakyReLU,
        nn.Softplus,
        nn.Softsign,
    ),
    *(nn.Hardtanh, nn.LogSigmoid, nn.Identity, nn.Dropout, nn.Dropout2d),
)
ROWWISE = (
    *(nn.MaxPool1d, nn.MaxPool2d, nn.AvgPool1d, nn.AvgPool2d, nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d),
    *(nn.ZeroPad2d, nn.Softmax, nn.LogSoftmax, nn.Flatten, nn.Unflatten),
)


# Up to so many entries the rows come first in a product, where the bias is added for nothing; a larger weight comes
# first itself: its gradient then has its own layout and is not copied into it.
_SMALL = 4096


def refused(what: str) -> ModelRefused:
    """A network that does not stack."""
    return ModelRefused(f"{what} has no batched form", "engine stacked", "use engine vmap, loop or auto")


def folded(function: Callable[..., Tensor], rows: Tensor, *more: Any) -> Tensor:
    """Run what treats every row alike on (T n, ...).

    Example:
        >>> folded(lambda x: x.flatten(1), torch.zeros(2, 3, 4, 5)).shape
        torch.Size([2, 3, 20])
    """
    out = function(rows.flatten(0, 1), *more)
    return out.view(*rows.shape[:2], *out.shape[1:])


def over_rows(parameter: Tensor, rank: int) -> Tensor:
    """(T, *s) to (T, 1, ..., 1, *s) of this rank, to be broadcast over rows."""
    return parameter.reshape(len(parameter), *[1] * (rank - parameter.dim()), *parameter.shape[1:])


def affine(rows: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Rows (T, n, ..., I) times weight (T, O, I), plus bias (T, O).

    Example:
        >>> affine(torch.ones(2, 3, 7, 4), torch.ones(2, 5, 4), torch.zeros(2, 5)).shape
        torch.Size([2, 3, 7, 5])
    """
    flat = rows if rows.dim() == 3 else rows.flatten(1, -2)
    if weight.shape[1:].numel() <= _SMALL:
        turned = weight.transpose(1, 2)
        out = torch.bmm(flat, turned) if bias is None else torch.baddbmm(bias.unsqueeze(1), flat, turned)
    else:
        turned = flat.transpose(1, 2)
        out = torch.bmm(weight, turned) if bias is None else torch.baddbmm(bias.unsqueeze(2), weight, turned)
        out = out.transpose(1, 2)
    return out if rows.dim() == 3 else out.reshape(*rows.shape[:-1], -1)


def linear(module: nn.Linear, prefix: str) -> Layer:
    """One batched product."""
    weight, bias = f"{prefix}weight", f"{prefix}bias"
    has_bias = module.bias is not None
    return lambda parts, rows: affine(rows, parts[weight], parts[bias] if has_bias else None)


def convolution(module: nn.Conv1d | nn.Conv2d, prefix: str) -> Layer:
    """All tasks' convolutions as the groups of one: channels (n, T C, ...), weights (T O, C / g, ...)."""
    if isinstance(module.padding, str) or module.padding_mode != "zeros":
        raise refused(f"padding {module.padding!r} in mode {module.padding_mode!r}")
    convolve = functional.conv1d if isinstance(module, nn.Conv1d) else functional.conv2d
    has_bias = module.bias is not None

    def run(parts: Parts, rows: Tensor) -> Tensor:
        weight, bias = parts[f"{prefix}weight"], parts[f"{prefix}bias"] if has_bias else None
        out = convolve(
            rows.transpose(0, 1).flatten(1, 2),
            weight.flatten(0, 1),
            None if bias is None else bias.flatten(),
            module.stride,
            module.padding,
            module.dilation,
            module.groups * len(rows),
        )
        return out.view(len(out), len(rows), module.out_channels, *out.shape[2:]).transpose(0, 1)

    return run


def layer_norm(module: nn.LayerNorm, prefix: str) -> Layer:
    """Normalised without parameters, then scaled by each task's own."""

    def run(parts: Parts, rows: Tensor) -> Tensor:
        out = functional.layer_norm(rows, module.normalized_shape, eps=module.eps)
        for name, apply in (("weight", torch.mul), ("bias", torch.add)):
            if getattr(module, name) is not None:
                out = apply(out, over_rows(parts[prefix + name], rows.dim()))
        return out

    return run


def group_norm(module: nn.GroupNorm, prefix: str) -> Layer:
    """As `layer_norm`, with one scale a channel."""

    def run(parts: Parts, rows: Tensor) -> Tensor:
        out = folded(lambda one: functional.group_norm(one, module.num_groups, eps=module.eps), rows)
        for name, apply in (("weight", torch.mul), ("bias", torch.add)):
            if getattr(module, name) is not None:
                parameter = parts[prefix + name]
                out = apply(out, parameter.reshape(len(rows), 1, -1, *[1] * (rows.dim() - 3)))
        return out

    return run


def embedding(module: nn.Embedding, prefix: str) -> Layer:
    """All tasks' tables one below the other.

    An index without a row gives NaN and no exception: it may spoil its own task and must not stop the others.
    """
    if module.max_norm is not None or module.scale_grad_by_freq or module.sparse:
        raise refused("an Embedding with max_norm, scale_grad_by_freq or sparse")

    def run(parts: Parts, index: Tensor) -> Tensor:
        if index.is_floating_point():
            raise refused("an Embedding of rows that are no whole numbers")
        table = parts[f"{prefix}weight"]
        kinds = table.shape[1]
        outside = (index < 0) | (index >= kinds)
        offset = torch.arange(len(table)).mul(kinds).reshape(-1, *[1] * (index.dim() - 1))
        found = functional.embedding(index.long().clamp(0, kinds - 1) + offset, table.flatten(0, 1))
        if module.padding_idx is not None:
            found = torch.where((index == module.padding_idx).unsqueeze(-1), found.detach(), found)
        return found.masked_fill(outside.unsqueeze(-1), torch.nan)

    return run


def elementwise(module: nn.Module, _: str) -> Layer:
    """The module itself; never in place, which would write into the batch."""
    if isinstance(module, nn.Dropout | nn.Dropout2d):  # one that draws was refused when the network was bound
        return lambda _, rows: rows
    own: Any = copy.deepcopy(module)
    if hasattr(own, "inplace"):
        own.inplace = False
    return lambda _, rows: own(rows)


def rowwise(module: Any, _: str) -> Layer:
    """The module itself on folded rows, if it leaves the rows' own dimension alone."""
    touched = module.start_dim if isinstance(module, nn.Flatten) else getattr(module, "dim", 1)
    if touched is None or touched == 0:
        raise refused(f"{type(module).__name__} along the rows")

    def run(_: Parts, rows: Tensor) -> Tensor:
        if touched + rows.dim() - 1 == 0:
            raise refused(f"{type(module).__name__} along the rows")
        return folded(module, rows)

    return run
