# SPDX-License-Identifier: Apache-2.0
"""A whole network in batched form: known layers directly, a module's own `forward` by tracing it (torch.fx).

A traced forward may call layers and the functions listed here, which treat every row alike. Whatever else it does
(tensors of its own, branches on values, operations along the rows) is refused, never guessed.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import torch
from torch import fx, nn
from torch.nn import functional

from . import layers, recurrent
from .layers import Layer, Parts, Tensor, folded, over_rows, refused

_BUILDERS: dict[type[nn.Module], layers.Builder] = {
    nn.Linear: layers.linear,
    nn.Conv1d: layers.convolution,
    nn.Conv2d: layers.convolution,
    nn.LayerNorm: layers.layer_norm,
    nn.GroupNorm: layers.group_norm,
    nn.Embedding: layers.embedding,
    nn.LSTM: recurrent.recurrent,
    nn.GRU: recurrent.recurrent,
    nn.MultiheadAttention: recurrent.attention,
    nn.TransformerEncoderLayer: recurrent.encoder_layer,
    nn.TransformerEncoder: recurrent.encoder,
    **dict.fromkeys(layers.ELEMENTWISE, layers.elementwise),
    **dict.fromkeys(layers.ROWWISE, layers.rowwise),
}
_ALIKE: set[Any] = {
    *(operator.add, operator.sub, operator.mul, operator.truediv, operator.neg, operator.pow),
    *(torch.add, torch.sub, torch.mul, torch.div, torch.relu, torch.tanh, torch.sigmoid, torch.exp, torch.square),
    *(functional.relu, functional.gelu, functional.silu, functional.elu, functional.leaky_relu, functional.softplus),
    *("add", "sub", "mul", "div", "relu", "tanh", "sigmoid", "exp", "square", "long", "contiguous"),
}
_ALONG: set[Any] = {  # operations along the dimension that is their second argument or `dim`
    *(torch.softmax, torch.log_softmax, functional.softmax, functional.log_softmax, torch.mean, torch.sum),
    *("softmax", "log_softmax", "mean", "sum", "chunk", "unsqueeze", "squeeze"),
}
_POOLS: set[Any] = {functional.max_pool2d, functional.avg_pool2d, functional.adaptive_avg_pool2d}


def layer_of(module: nn.Module, prefix: str = "") -> Layer:
    """The batched form of a module whose parameters are named with this prefix.

    Raises:
        ModelRefused: it has none.
    """
    if module._forward_hooks or module._forward_pre_hooks:
        raise refused(f"a {type(module).__name__} with hooks")
    build = _BUILDERS.get(type(module))
    if build is not None:
        return build(module, prefix)
    if type(module) is nn.Sequential:
        chain = [layer_of(part, f"{prefix}{name}.") for name, part in module.named_children()]

        def run(parts: Parts, rows: Tensor) -> Tensor:
            for layer in chain:
                rows = layer(parts, rows)
            return rows

        return run
    if type(module).__module__.startswith("torch."):
        raise refused(f"{type(module).__name__}")
    return _traced(module, prefix)


class _Tracer(fx.Tracer):
    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:  # noqa: ARG002
        return type(m) in _BUILDERS or bool(m._forward_hooks or m._forward_pre_hooks)


class _Shared:
    """A parameter used by a forward itself: (T, *s), the same for every row."""

    def __init__(self, tensor: Tensor) -> None:
        self.tensor = tensor

    def expand(self, rows: int, *sizes: int) -> Tensor:
        """As a parameter's own `expand` to (rows, *sizes)."""
        whole = over_rows(self.tensor, 2 + len(sizes))
        return whole.expand(len(whole), rows, *sizes)


def _traced(module: nn.Module, prefix: str) -> Layer:
    name = type(module).__name__
    try:
        graph = _Tracer().trace(module)
    except ModuleNotFoundError:
        raise
    except Exception as error:  # noqa: BLE001 - any code may stand in a forward, and fail on a proxy in any way
        raise refused(f"the forward of {name} ({type(error).__name__} while tracing)") from None
    if any(True for _ in module.named_buffers()) or len([n for n in graph.nodes if n.op == "placeholder"]) != 1:
        raise refused(f"{name}, with buffers or not of one input,")
    calls: dict[str, Layer] = {
        node.target: layer_of(module.get_submodule(node.target), f"{prefix}{node.target}.")
        for node in graph.nodes
        if node.op == "call_module"
    }
    for node in graph.nodes:
        if node.op in ("call_function", "call_method"):
            _rule(node.target)

    def run(parts: Parts, rows: Tensor) -> Any:
        values: dict[fx.Node, Any] = {}

        def take(arguments: Any) -> Any:
            return fx.node.map_arg(arguments, lambda node: values[node])

        for node in graph.nodes:
            if node.op == "placeholder":
                values[node] = rows
            elif node.op == "get_attr":
                values[node] = _Shared(parts[prefix + node.target])
            elif node.op == "call_module":
                values[node] = calls[node.target](parts, *take(node.args), **take(node.kwargs))
            elif node.op == "output":
                return take(node.args[0])
            else:
                values[node] = _rule(node.target)(*take(node.args), **take(node.kwargs))
        raise AssertionError("a graph ends with its output")

    return run


def _rule(target: Any) -> Callable[..., Any]:
    """How a function or method of a forward runs on batched values."""
    if target in _ALIKE:
        return lambda *given, **named: _alike(target, *given, **named)
    if target in _ALONG:
        return lambda rows, *given, **named: _along(target, rows, *given, **named)
    if target in _POOLS:
        return lambda rows, *given, **named: folded(lambda one: target(one, *given, **named), rows)
    rules: dict[Any, Callable[..., Any]] = {
        operator.getitem: _item,
        getattr: _shape,
        "size": lambda rows, dim=None: rows.shape[1:] if dim is None else rows.shape[1:][dim],
        "dim": lambda rows: rows.dim() - 1,
        "view": _reshape,
        "reshape": _reshape,
        "flatten": _flatten,
        torch.flatten: _flatten,
        "transpose": _transpose,
        torch.transpose: _transpose,
        "permute": _permute,
        "expand": lambda shared, *sizes: shared.expand(*sizes),
        torch.cat: _cat,
    }
    if target not in rules:
        raise refused(f"`{getattr(target, '__name__', target)}` in a forward")
    return rules[target]


def _call(target: Any, first: Any, *given: Any, **named: Any) -> Any:
    return getattr(first, target)(*given, **named) if isinstance(target, str) else target(first, *given, **named)


def _alike(target: Any, *given: Any, **named: Any) -> Any:
    named.pop("inplace", None)
    tensors = [one for one in given if isinstance(one, Tensor)]
    if not tensors:
        if any(isinstance(one, _Shared) for one in given):
            raise refused("arithmetic among parameters alone")
        return _call(target, *given, **named)  # sizes and other numbers
    if len({one.dim() for one in tensors}) > 1:
        raise refused("arithmetic on rows of different rank")
    rank = tensors[0].dim()
    return _call(target, *(over_rows(one.tensor, rank) if isinstance(one, _Shared) else one for one in given), **named)


def _inner(dim: Any, rank: int) -> int:
    """A dimension of a row, counted from the end so that it means the same with T before it."""
    if not isinstance(dim, int) or dim % rank == 0:
        raise refused("an operation along the rows")
    return dim % rank - rank


def _along(target: Any, rows: Tensor, *given: Any, **named: Any) -> Any:
    rank = rows.dim() - 1
    if target == "unsqueeze":
        rank += 1
    place = 1 if target == "chunk" else 0
    if "dim" not in named and len(given) > place:
        named, given = named | {"dim": given[place]}, given[:place] + given[place + 1 :]
    dim = named.get("dim")
    named["dim"] = tuple(_inner(one, rank) for one in dim) if isinstance(dim, tuple | list) else _inner(dim, rank)
    named.pop("_stacklevel", None)
    return _call(target, rows, *given, **named)


def _item(value: Any, key: Any) -> Any:
    if not isinstance(value, Tensor):
        return value[key]
    if not isinstance(key, tuple) or not key or key[0] != slice(None):
        raise refused("a choice among the rows")
    if any(not (isinstance(one, int | slice) or one is None or one is Ellipsis) for one in key):
        raise refused("a choice by values")
    return value[(slice(None), *key)]


def _shape(value: Any, name: str) -> Any:
    if name == "shape" and isinstance(value, Tensor):
        return value.shape[1:]
    raise refused(f"`{name}` in a forward")


def _reshape(rows: Tensor, *sizes: Any) -> Tensor:
    wanted = sizes[0] if len(sizes) == 1 and isinstance(sizes[0], tuple | list) else sizes
    out = rows.reshape(len(rows), *wanted)
    if out.shape[:2] != rows.shape[:2]:
        raise refused("a reshape across rows")
    return out


def _flatten(rows: Tensor, start_dim: int = 0, end_dim: int = -1) -> Tensor:
    rank = rows.dim() - 1
    return rows.flatten(_inner(start_dim, rank), _inner(end_dim, rank))


def _transpose(rows: Tensor, one: int, other: int) -> Tensor:
    rank = rows.dim() - 1
    return rows.transpose(_inner(one, rank), _inner(other, rank))


def _permute(rows: Tensor, *order: Any) -> Tensor:
    wanted = order[0] if len(order) == 1 and isinstance(order[0], tuple | list) else order
    if wanted[0] != 0:
        raise refused("a permutation of the rows")
    return rows.permute(0, 1, *(1 + one % len(wanted) for one in wanted[1:]))


def _cat(tensors: Any, dim: int = 0) -> Tensor:
    return torch.cat(list(tensors), _inner(dim, tensors[0].dim() - 1))
