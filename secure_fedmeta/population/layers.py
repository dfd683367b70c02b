# SPDX-License-Identifier: Apache-2.0
"""Layers of many clients, forward and backward by hand: every product is one call for all clients of a chunk.

Values are (n, r, ...): n clients, r rows each; images are channel-last, (n, r, H, W, C), so that the windows of a
convolution are copied in long runs and its products need no transposition.

`engines.layers` has the same layers in another form, and neither can stand in for the other. There, parameters (T, P)
are written out for each task and autograd differentiates them, to any order, as meta-gradients need. Here a step is
plain SGD: without a tape, one product with the common weights serves all clients, and what a client moved is kept as
two thin matrices (`affine`), so norms and sums come without anybody's vector. `benchmarks/federated_round.py
--engine hand` and `--engine stacked` measure the two.
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch import nn
from torch.nn import functional

from ..errors import ModelRefused
from .affine import Affine, affine

Tensor = torch.Tensor


class Layer(Protocol):
    """One layer at work on one chunk of clients."""

    def forward(self, values: Tensor) -> Tensor:
        """Outputs; keeps what `back` needs."""

    def back(self, gradient: Tensor, lr: float, *, inputs: bool) -> Tensor:
        """Take one step of rate `lr`; the gradient at the inputs of the last `forward`, if asked for."""


class Dense:
    """`nn.Linear`."""

    def __init__(self, weight: Tensor, bias: Tensor | None, *, clients: int, rows: int, steps: int) -> None:
        self.map: Affine = affine(weight, bias, clients=clients, rows=rows, steps=steps)

    def forward(self, values: Tensor) -> Tensor:
        """As `Layer.forward`."""
        return self.map.forward(values)

    def back(self, gradient: Tensor, lr: float, *, inputs: bool) -> Tensor:
        """As `Layer.back`."""
        at = self.map.back(gradient) if inputs else gradient
        self.map.step(gradient * lr)
        return at

    def shaped(self, weight: Tensor) -> Tensor:
        """Weights (..., out, in) in the module's own shape."""
        return weight


class Convolution:
    """`nn.Conv2d` with zero padding: each window is a row of an affine map."""

    def __init__(
        self, module: nn.Conv2d, weight: Tensor, bias: Tensor | None, *, clients: int, rows: int, steps: int
    ) -> None:
        self._kernel, self._stride = module.kernel_size, module.stride
        self._padding = (int(module.padding[0]), int(module.padding[1]))
        flat = weight.permute(0, 2, 3, 1).reshape(len(weight), -1)
        self._channels = weight.shape[1]
        # A client's rows are its windows: so many that each client's weights are written out.
        self.map: Affine = affine(flat, bias, clients=clients, rows=rows * 64, steps=steps)
        self._padded: tuple[int, ...] = ()
        self._places = (0, 0)

    def forward(self, values: Tensor) -> Tensor:
        """As `Layer.forward`."""
        (kh, kw), (sh, sw), (ph, pw) = self._kernel, self._stride, self._padding
        if ph or pw:
            values = functional.pad(values, (0, 0, pw, pw, ph, ph))
        values = values.contiguous()
        n, r, height, width, c = self._padded = tuple(values.shape)
        oh, ow = self._places = ((height - kh) // sh + 1, (width - kw) // sw + 1)
        a, b, h, w, one = values.stride()
        windows = values.as_strided((n, r, oh, ow, kh, kw, c), (a, b, h * sh, w * sw, h, w, one))
        return self.map.forward(windows.reshape(n, r * oh * ow, kh * kw * c)).view(n, r, oh, ow, -1)

    def back(self, gradient: Tensor, lr: float, *, inputs: bool) -> Tensor:
        """As `Layer.back`."""
        n, r, height, width, c = self._padded
        (kh, kw), (sh, sw), (ph, pw), (oh, ow) = self._kernel, self._stride, self._padding, self._places
        flat = gradient.reshape(n, r * oh * ow, -1)
        at = gradient
        if inputs:
            windows = self.map.back(flat).view(n, r, oh, ow, kh, kw, c)
            padded = windows.new_zeros(n, r, height, width, c)
            for i in range(kh):
                for j in range(kw):
                    padded[:, :, i : i + sh * oh : sh, j : j + sw * ow : sw].add_(windows[:, :, :, :, i, j])
            at = padded[:, :, ph : height - ph, pw : width - pw]
        self.map.step(flat * lr)
        return at

    def shaped(self, weight: Tensor) -> Tensor:
        """Weights (..., out, kh kw c) in the module's own shape."""
        return weight.reshape(*weight.shape[:-1], *self._kernel, self._channels).movedim(-1, -3)


class Rectified:
    """`nn.ReLU`."""

    def forward(self, values: Tensor) -> Tensor:
        """As `Layer.forward`."""
        self._values = values.relu_()  # in place: whatever needs `values` again needs their positive part alone
        return self._values

    def back(self, gradient: Tensor, lr: float, *, inputs: bool) -> Tensor:  # noqa: ARG002
        """As `Layer.back`."""
        return torch.ops.aten.threshold_backward(gradient, self._values, 0) if inputs else gradient


class HyperbolicTangent:
    """`nn.Tanh`."""

    def forward(self, values: Tensor) -> Tensor:
        """As `Layer.forward`."""
        self._values = values.tanh()  # not in place: what came before may need its own outputs
        return self._values

    def back(self, gradient: Tensor, lr: float, *, inputs: bool) -> Tensor:  # noqa: ARG002
        """As `Layer.back`."""
        return gradient * (1 - self._values.square()) if inputs else gradient


class MaxPool:
    """`nn.MaxPool2d` whose windows lie side by side; of equal values the first in a row-by-row reading wins."""

    def __init__(self, kernel: tuple[int, int]) -> None:
        self._kernel = kernel

    def _parts(self, values: Tensor) -> list[Tensor]:
        """The values at each place of all windows, as views."""
        kh, kw = self._kernel
        height, width = values.shape[2] // kh * kh, values.shape[3] // kw * kw
        return [values[:, :, i:height:kh, j:width:kw] for i in range(kh) for j in range(kw)]

    def forward(self, values: Tensor) -> Tensor:
        """As `Layer.forward`."""
        self._shape = values.shape
        best, *others = self._parts(values)
        self._kept = []  # for each further place, whether what came before was no smaller
        for part in others:
            self._kept.append((best >= part).to(values.dtype))
            best = torch.maximum(best, part)
        return best if others else best.clone()

    def back(self, gradient: Tensor, lr: float, *, inputs: bool) -> Tensor:  # noqa: ARG002
        """As `Layer.back`."""
        if not inputs:
            return gradient
        kh, kw = self._kernel
        exact = self._shape[2] % kh == 0 and self._shape[3] % kw == 0
        at = gradient.new_empty(self._shape) if exact else gradient.new_zeros(self._shape)
        first, *others = self._parts(at)
        for part, kept in zip(reversed(others), reversed(self._kept), strict=True):
            left = gradient * kept
            torch.sub(gradient, left, out=part)
            gradient = left
        first.copy_(gradient)
        return at


class Flat:
    """`nn.Flatten`: channels first, as the module has it."""

    def forward(self, values: Tensor) -> Tensor:
        """As `Layer.forward`."""
        self._shape = values.shape
        return values.movedim(-1, 2).flatten(2) if values.dim() == 5 else values.flatten(2)

    def back(self, gradient: Tensor, lr: float, *, inputs: bool) -> Tensor:  # noqa: ARG002
        """As `Layer.back`."""
        if len(self._shape) != 5:
            return gradient.reshape(self._shape)
        n, r, h, w, c = self._shape
        return gradient.reshape(n, r, c, h, w).movedim(2, -1)


class Image:
    """`nn.Unflatten` of a row into (C, H, W)."""

    def __init__(self, shape: tuple[int, int, int]) -> None:
        self._shape = shape

    def forward(self, values: Tensor) -> Tensor:
        """As `Layer.forward`."""
        return values.reshape(*values.shape[:2], *self._shape).movedim(2, -1)

    def back(self, gradient: Tensor, lr: float, *, inputs: bool) -> Tensor:  # noqa: ARG002
        """As `Layer.back`."""
        return gradient.movedim(-1, 2).flatten(2)


def check_layer(module: nn.Module) -> None:
    """Refuse a module that is not computed as its own class would.

    Raises:
        ModelRefused: with the layer's name and what to use instead.
    """
    remedy = "use nn.Linear, nn.Conv2d (zeros, one group), ReLU, Tanh, MaxPool2d, Flatten and Unflatten, or an engine"
    ok: bool
    match module:
        case nn.Conv2d():
            plain = module.groups == 1 and module.dilation == (1, 1) and module.padding_mode == "zeros"
            ok = plain and not isinstance(module.padding, str)
        case nn.MaxPool2d():
            side_by_side = module.stride == module.kernel_size and module.padding == 0 and module.dilation == 1
            ok = side_by_side and not module.ceil_mode and not module.return_indices
        case nn.Flatten():
            ok = module.start_dim == 1 and module.end_dim == -1
        case nn.Unflatten():
            ok = module.dim == 1 and isinstance(module.unflattened_size, tuple) and len(module.unflattened_size) == 3
        case _:
            ok = type(module) in {nn.Linear, nn.ReLU, nn.Tanh}
    if not ok:
        raise ModelRefused(f"{module} has no hand-batched form", "model", remedy)
