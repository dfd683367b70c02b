# SPDX-License-Identifier: Apache-2.0
"""One affine map of many clients that start from the same weights and take a few gradient steps each.

Gradient descent moves a client's weights by W_k = W_0 - sum over its steps j of D_j^T A_j, with A_j (r, in) the inputs
of step j and D_j (r, out) the gradient at its outputs times the learning rate. So with all inputs so far one below the
other,

    A W_k^T + b_k = A W_0^T + b_0 - (A A_past^T + 1) D_past,         the 1 for the bias,
    D W_k         = D W_0 - (D D_past^T) A_past,
    ||W_0 - W_k||^2 + ||b_0 - b_k||^2 = sum of (D D^T) * (A A^T + 1), over all pairs of rows,

and nobody's weights are ever written down: W_0 multiplies the rows of all clients at once. This is exact algebra
(`Recalled`), and pays while the rows that a client has seen are fewer than the weights' own size; beyond that each
client gets a matrix of its own (`Written`). Norms of per-example gradients by the same products: Goodfellow 2015,
arXiv 1510.01799v2, here for several steps.
"""

from __future__ import annotations

from typing import Protocol

import torch

Tensor = torch.Tensor


class Affine(Protocol):
    """Shapes: inputs and gradients are (n, r, in) and (n, r, out), one block of rows a client."""

    def forward(self, rows: Tensor) -> Tensor:
        """Outputs at each client's own weights."""

    def back(self, gradient: Tensor) -> Tensor:
        """The gradient at the inputs of the last `forward`."""

    def step(self, moved: Tensor) -> None:
        """Move by the gradient of the last `forward`, already times the learning rate, at its outputs."""

    def squared_norm(self) -> Tensor:
        """Of each client's way from the start, (n,)."""

    def total(self, factors: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Sum over clients of start minus end, each times its factor: weight (out, in) and bias (out,)."""

    def each(self) -> tuple[Tensor, Tensor | None]:
        """Start minus end of each client: (n, out, in) and (n, out)."""


def affine(weight: Tensor, bias: Tensor | None, *, clients: int, rows: int, steps: int) -> Affine:
    """The cheaper form for `steps` steps of `rows` rows each; weight (out, in), bias (out,).

    Example:
        >>> type(affine(torch.zeros(128, 64), None, clients=100, rows=7, steps=2)).__name__
        'Recalled'
        >>> type(affine(torch.zeros(4, 4), None, clients=100, rows=7, steps=2)).__name__
        'Written'
    """
    out, inside = weight.shape
    few = rows * steps * (out + inside) <= out * inside
    return Recalled(weight, bias, clients, rows * steps) if few else Written(weight, bias, clients)


class Recalled:
    """Weights as the start and the rows that moved them."""

    def __init__(self, weight: Tensor, bias: Tensor | None, clients: int, rows: int) -> None:
        out, inside = weight.shape
        self._weight, self._bias, self._biased = weight, bias, 0.0 if bias is None else 1.0
        self._inputs, self._moved = weight.new_empty(clients, rows, inside), weight.new_empty(clients, rows, out)
        self._seen = self._coming = 0

    def forward(self, rows: Tensor) -> Tensor:
        """As `Affine.forward`."""
        flat = rows.reshape(-1, rows.shape[-1])
        shared = flat @ self._weight.T if self._bias is None else torch.addmm(self._bias, flat, self._weight.T)
        outputs = shared.view(*rows.shape[:2], -1)
        self._coming = self._seen + rows.shape[1]
        self._inputs[:, self._seen : self._coming] = rows
        if self._seen:
            past = self._inputs[:, : self._seen]
            products = torch.bmm(rows, past.transpose(1, 2)).add_(self._biased)
            outputs.baddbmm_(products, self._moved[:, : self._seen], alpha=-1)
        return outputs

    def back(self, gradient: Tensor) -> Tensor:
        """As `Affine.back`."""
        at = (gradient.reshape(-1, gradient.shape[-1]) @ self._weight).view(*gradient.shape[:2], -1)
        if self._seen:
            products = torch.bmm(gradient, self._moved[:, : self._seen].transpose(1, 2))
            at.baddbmm_(products, self._inputs[:, : self._seen], alpha=-1)
        return at

    def step(self, moved: Tensor) -> None:
        """As `Affine.step`."""
        self._moved[:, self._seen : self._coming] = moved
        self._seen = self._coming

    def squared_norm(self) -> Tensor:
        """As `Affine.squared_norm`; differences of large products, so no bound for a proof."""
        inputs, moved = self._inputs[:, : self._seen], self._moved[:, : self._seen]
        products = torch.bmm(inputs, inputs.transpose(1, 2)).add_(self._biased)
        return products.mul_(torch.bmm(moved, moved.transpose(1, 2))).sum((1, 2)).clamp_min_(0.0)

    def total(self, factors: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """As `Affine.total`: one product for all clients."""
        inputs, moved = self._inputs[:, : self._seen], self._moved[:, : self._seen]
        if factors is not None:
            moved = moved * factors.view(-1, 1, 1)
        flat = moved.reshape(-1, moved.shape[-1])
        return flat.T @ inputs.reshape(-1, inputs.shape[-1]), None if self._bias is None else flat.sum(0)

    def each(self) -> tuple[Tensor, Tensor | None]:
        """As `Affine.each`."""
        moved = self._moved[:, : self._seen]
        weights = torch.bmm(moved.transpose(1, 2), self._inputs[:, : self._seen])
        return weights, None if self._bias is None else moved.sum(1)


class Written:
    """Weights of each client, written out from the first step on."""

    def __init__(self, weight: Tensor, bias: Tensor | None, clients: int) -> None:
        self._weight, self._bias, self._clients = weight, bias, clients
        self._own: Tensor | None = None  # until the first step, all clients have the start
        self._own_bias: Tensor | None = None
        self._rows = weight.new_empty(0)

    def forward(self, rows: Tensor) -> Tensor:
        """As `Affine.forward`."""
        self._rows = rows
        if self._own is None:
            flat = rows.reshape(-1, rows.shape[-1])
            shared = flat @ self._weight.T if self._bias is None else torch.addmm(self._bias, flat, self._weight.T)
            return shared.view(*rows.shape[:2], -1)
        turned = self._own.transpose(1, 2)
        if self._own_bias is None:
            return torch.bmm(rows, turned)
        return torch.baddbmm(self._own_bias.unsqueeze(1), rows, turned)

    def back(self, gradient: Tensor) -> Tensor:
        """As `Affine.back`."""
        if self._own is None:
            return (gradient.reshape(-1, gradient.shape[-1]) @ self._weight).view(*gradient.shape[:2], -1)
        return torch.bmm(gradient, self._own)

    def step(self, moved: Tensor) -> None:
        """As `Affine.step`."""
        turned = moved.transpose(1, 2)
        if self._own is None:
            self._own = torch.baddbmm(self._weight.expand(self._clients, -1, -1), turned, self._rows, alpha=-1)
            self._own_bias = None if self._bias is None else self._bias - moved.sum(1)
            return
        self._own.baddbmm_(turned, self._rows, alpha=-1)
        if self._own_bias is not None:
            self._own_bias.sub_(moved.sum(1))

    def squared_norm(self) -> Tensor:
        """As `Affine.squared_norm`."""
        weights, biases = self.each()
        squares = weights.flatten(1).square().sum(1)
        return squares if biases is None else squares + biases.square().sum(1)

    def total(self, factors: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """As `Affine.total`."""
        weights, biases = self.each()
        if factors is None:
            return weights.sum(0), None if biases is None else biases.sum(0)
        weight = (factors @ weights.flatten(1)).view_as(self._weight)
        return weight, None if biases is None else factors @ biases

    def each(self) -> tuple[Tensor, Tensor | None]:
        """As `Affine.each`."""
        if self._own is None:
            still = self._weight.new_zeros(self._clients, *self._weight.shape)
            return still, None if self._bias is None else self._bias.new_zeros(self._clients, len(self._bias))
        return self._weight - self._own, None if self._bias is None else self._bias - self._own_bias
