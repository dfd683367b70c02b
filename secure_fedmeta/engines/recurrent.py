# SPDX-License-Identifier: Apache-2.0
"""Recurrent and attention layers in batched form (see `layers`)."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn import functional

from .layers import Layer, Parts, Tensor, affine, layer_norm, linear, refused


def recurrent(module: nn.LSTM | nn.GRU, prefix: str) -> Layer:
    """Equations of torch.nn.LSTM and torch.nn.GRU, from zero states; one batched product a step.

    States come back as tuples of layers, (T, n, H) each.
    """
    if not module.batch_first or module.bidirectional or module.proj_size:
        raise refused(f"a {type(module).__name__} that is bidirectional, projected or not batch_first")
    step = _lstm_step if isinstance(module, nn.LSTM) else _gru_step

    def run(parts: Parts, rows: Tensor, *states: Any) -> tuple[Tensor, Any]:
        if states:
            raise refused("an initial state")
        last = []
        for layer in range(module.num_layers):
            names = [f"{prefix}{kind}_l{layer}" for kind in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")]
            into, back, bias_in, bias_back = (parts.get(name) for name in names)
            assert into is not None and back is not None
            given = affine(rows, into, bias_in).unbind(2)
            state = (rows.new_zeros(*rows.shape[:2], module.hidden_size),) * 2
            steps = []
            for gates in given:
                state = step(gates, affine(state[0], back, bias_back), *state)
                steps.append(state[0])
            rows = torch.stack(steps, 2)
            last.append(state)
        hidden, cells = zip(*last, strict=True)
        return rows, (hidden, cells) if isinstance(module, nn.LSTM) else hidden

    return run


def _lstm_step(given: Tensor, back: Tensor, _: Tensor, cell: Tensor) -> tuple[Tensor, Tensor]:
    i, f, g, o = (given + back).chunk(4, -1)
    cell = f.sigmoid() * cell + i.sigmoid() * g.tanh()
    return o.sigmoid() * cell.tanh(), cell


def _gru_step(given: Tensor, back: Tensor, hidden: Tensor, _: Tensor) -> tuple[Tensor, Tensor]:
    (r, z, n), (r2, z2, n2) = given.chunk(3, -1), back.chunk(3, -1)
    update = (z + z2).sigmoid()
    new = (n + (r + r2).sigmoid() * n2).tanh()
    hidden = new + update * (hidden - new)
    return hidden, hidden


def attention(module: nn.MultiheadAttention, prefix: str) -> Layer:
    """Scaled dot products by their definition, which has derivatives of every order; (outputs, None)."""
    if not module.batch_first or module.bias_k is not None or module.add_zero_attn or module.in_proj_weight is None:
        raise refused("a MultiheadAttention not batch_first, with added keys, or with keys of another width")
    heads, width = module.num_heads, module.head_dim

    def run(parts: Parts, query: Tensor, key: Tensor, value: Tensor, **settings: Any) -> tuple[Tensor, None]:
        if any(settings.pop(name, None) is not None for name in ("attn_mask", "key_padding_mask")):
            raise refused("a masked MultiheadAttention")
        if settings.pop("need_weights", True) not in (True, False) or settings:
            raise refused(f"a MultiheadAttention with {sorted(settings)}")
        weights = parts[f"{prefix}in_proj_weight"].chunk(3, 1)
        bias = parts.get(f"{prefix}in_proj_bias")
        biases = (None,) * 3 if bias is None else bias.chunk(3, 1)
        q, k, v = (
            affine(one, weight, bias).view(*one.shape[:3], heads, width).transpose(2, 3)  # (T, n, heads, L, width)
            for one, weight, bias in zip((query, key, value), weights, biases, strict=True)
        )
        shares = torch.softmax(q @ k.transpose(-1, -2) * width**-0.5, dim=-1)
        mixed = (shares @ v).transpose(2, 3).flatten(3)
        out = parts.get(f"{prefix}out_proj.bias")
        return affine(mixed, parts[f"{prefix}out_proj.weight"], out), None

    return run


def encoder_layer(module: nn.TransformerEncoderLayer, prefix: str) -> Layer:
    """Attention and two linear layers with their normalisations, before or after."""
    if module.activation not in (functional.relu, functional.gelu):
        raise refused("a TransformerEncoderLayer with another activation than relu or gelu")
    activation: Any = module.activation
    attend = attention(module.self_attn, f"{prefix}self_attn.")
    first, second = (layer_norm(getattr(module, name), f"{prefix}{name}.") for name in ("norm1", "norm2"))
    up, down = (linear(getattr(module, name), f"{prefix}{name}.") for name in ("linear1", "linear2"))

    def run(parts: Parts, rows: Tensor, **settings: Any) -> Tensor:
        if any(value not in (None, False) for value in settings.values()):
            raise refused("a masked TransformerEncoderLayer")

        def mixed(x: Tensor) -> Tensor:
            out: Tensor = attend(parts, x, x, x)[0]
            return out

        def fed(x: Tensor) -> Tensor:
            out: Tensor = down(parts, activation(up(parts, x)))
            return out

        if module.norm_first:
            rows = rows + mixed(first(parts, rows))
            return rows + fed(second(parts, rows))
        middle: Tensor = first(parts, rows + mixed(rows))
        out: Tensor = second(parts, middle + fed(middle))
        return out

    return run


def encoder(module: nn.TransformerEncoder, prefix: str) -> Layer:
    """Encoder layers one after the other, and a last normalisation if there is one."""
    chain = []
    for place, one in enumerate(module.layers):
        if type(one) is not nn.TransformerEncoderLayer:
            raise refused("a TransformerEncoder of other layers")
        chain.append(encoder_layer(one, f"{prefix}layers.{place}."))
    if isinstance(module.norm, nn.LayerNorm):
        chain.append(layer_norm(module.norm, f"{prefix}norm."))
    elif module.norm is not None:
        raise refused("a TransformerEncoder with another last layer")

    def run(parts: Parts, rows: Tensor, **settings: Any) -> Tensor:
        if any(value not in (None, False) for value in settings.values()):
            raise refused("a masked TransformerEncoder")
        for layer in chain:
            rows = layer(parts, rows)
        return rows

    return run
