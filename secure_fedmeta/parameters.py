# SPDX-License-Identifier: Apache-2.0
"""A network and its flat vector: the round carries one float64 vector, a module has named tensors.

A parameter with `requires_grad=False` is *frozen*: a public constant of the network, like its number of layers. It is
not in the vector, no round changes it, and the digest takes in every bit of it: gradients at other frozen weights are
gradients of another function, so two sites whose weights differ anywhere must never sum together.
"""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.func import functional_call
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.dropout import _DropoutNd

from .errors import ModelRefused

Float = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Architecture:
    """A network whose parameters are its only state, in float64.

    Attributes:
        names, shapes: of the parameters that are learned, in the order of the flat vector.
        start: their initial values, flat, (P,); public.
        digest: SHA-256 of names, shapes and the printed form of the module, and of the frozen parameters with their
            values, where there are any; bound into the masks.
        frozen: names of the frozen parameters.
    """

    names: tuple[str, ...]
    shapes: tuple[tuple[int, ...], ...]
    start: Float
    digest: bytes
    _module: torch.nn.Module = field(repr=False)
    frozen: tuple[str, ...] = ()

    @property
    def dimension(self) -> int:
        """P, parameters in all."""
        return len(self.start)

    @property
    def lengths(self) -> tuple[int, ...]:
        """Numbers in each named parameter, in the order of the flat vector."""
        return tuple(int(np.prod(shape, dtype=np.int64)) for shape in self.shapes)

    def start_tensor(self) -> torch.Tensor:
        """A copy of the initial parameters, (P,), float64."""
        return torch.from_numpy(self.start.copy())

    def unflatten(self, flat: torch.Tensor) -> dict[str, torch.Tensor]:
        """Views of a flat vector by name; differentiable."""
        parts = torch.split(flat, list(self.lengths))
        return {name: part.view(shape) for name, part, shape in zip(self.names, parts, self.shapes, strict=True)}

    def outputs(self, flat: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        """The network's outputs for rows (n, p) at these parameters."""
        result: torch.Tensor = functional_call(self._module, self.unflatten(flat), (rows,))
        return result

    @property
    def skeleton(self) -> torch.nn.Module:
        """The module itself, for an engine that reads its layers; its parameters are not the vector's."""
        return self._module

    def of_type(self, dtype: torch.dtype) -> Architecture:
        """The same network computing in another floating-point type; `start` stays float64."""
        module = copy.deepcopy(self._module).to(dtype)
        return replace(self, _module=module)

    def module_at(self, theta: Float) -> torch.nn.Module:
        """A module of its own with these parameters."""
        module = copy.deepcopy(self._module)
        parts = self.unflatten(torch.from_numpy(np.array(theta, dtype=np.float64)))
        module.load_state_dict(parts, strict=False)  # what is frozen stays as it was copied
        return module

    def check_fits(self, inputs: int, outputs: int) -> None:
        """Try two rows that hold no data: shapes must fit, and a second time must give the same.

        Raises:
            ModelRefused: the network does not take such rows, gives another number of outputs, or draws random numbers.
        """
        rows, flat = torch.ones(2, inputs, dtype=torch.float64), self.start_tensor()
        try:
            with torch.no_grad():
                first, second, alone = self.outputs(flat, rows), self.outputs(flat, rows), self.outputs(flat, rows[:1])
        except (RuntimeError, ValueError, TypeError, LookupError) as error:
            said = (str(error).strip().splitlines() or [type(error).__name__])[0][:160]
            raise _refused(f"it does not take rows of {inputs} features: {said}", _SHAPES) from None
        shapes = {(2, outputs), (2,)} if outputs == 1 else {(2, outputs)}
        if tuple(first.shape) not in shapes or alone.shape != (1, *first.shape[1:]):
            raise _refused(f"two rows give outputs of shape {tuple(first.shape)}, not (2, {outputs})", _SHAPES)
        if not torch.equal(first, second):
            raise _refused("the same rows give other outputs a second time", "make the forward pass deterministic")


_SHAPES = "take rows (n, features), for images by an nn.Unflatten first, and give the outputs that the loss asks for"


def bind(model: torch.nn.Module | Callable[[], torch.nn.Module]) -> Architecture:
    """Take a copy of a module, or of what a factory returns, in float64.

    Raises:
        ModelRefused: no module; state besides its parameters (buffers, running statistics, arrays as attributes); batch
            normalisation, which mixes the rows of different records; dropout while training, which draws random
            numbers; parameters that are shared, lazy or none; none that is learned.

    Example:
        >>> bind(torch.nn.Linear(2, 1)).names
        ('weight', 'bias')
        >>> pretrained = torch.nn.Sequential(torch.nn.Linear(2, 8).requires_grad_(False), torch.nn.Linear(8, 1))
        >>> bound = bind(pretrained)
        >>> bound.names, bound.frozen, bound.dimension
        (('1.weight', '1.bias'), ('0.weight', '0.bias'), 9)
        >>> bind(torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.BatchNorm1d(2)))
        Traceback (most recent call last):
        ...
        secure_fedmeta.errors.ModelRefused: SFM-114: ...
    """
    made: Any = model if isinstance(model, torch.nn.Module) or not callable(model) else model()
    if not isinstance(made, torch.nn.Module):
        raise _refused(f"a {type(made).__name__} is no torch.nn.Module", "pass a module or a function that makes one")
    _check(made)
    module = copy.deepcopy(made).double()
    named = [(name, p) for name, p in module.named_parameters() if p.requires_grad]
    fixed = [(name, p) for name, p in module.named_parameters() if not p.requires_grad]
    if not named:
        raise _refused("all of its parameters are frozen", "leave requires_grad on what is to be learned")
    for name, values in named + fixed:
        if not bool(torch.isfinite(values).all()):
            raise _refused(f"the initial parameter {name!r} is not finite", "initialise it")
    names, shapes = tuple(name for name, _ in named), tuple(tuple(p.shape) for _, p in named)
    start = torch.cat([p.detach().reshape(-1) for _, p in named]).numpy().copy()
    digest = hashlib.sha256(b"sfm-architecture/1" + _spelled([names, shapes, repr(module)]))
    if fixed:
        digest.update(_frozen_digest(fixed))
    return Architecture(names, shapes, start, digest.digest(), module, tuple(name for name, _ in fixed))


def _frozen_digest(fixed: Sequence[tuple[str, torch.Tensor]]) -> bytes:
    """SHA-256 of names, shapes and values, the values as little-endian float64; of known length, so it ends a digest.

    Float32 and shorter become float64 exactly, so each bit counts, the sign of a zero too.
    """
    content = hashlib.sha256(b"sfm-frozen/1")
    listed = _spelled([(name, list(values.shape)) for name, values in fixed])
    content.update(len(listed).to_bytes(8, "big") + listed)
    for _, values in fixed:
        content.update(np.ascontiguousarray(values.detach().numpy(), dtype="<f8").tobytes())
    return content.digest()


def _spelled(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _check(module: torch.nn.Module) -> None:
    for name, part in module.named_modules():
        where = f"{name or 'the module'} ({type(part).__name__})"
        if isinstance(part, _BatchNorm):
            # Without running statistics too: a record's gradient then depends on who else is in the batch.
            raise _refused(
                f"{where} normalises over the batch, so that a record's contribution depends on the others",
                "use GroupNorm or LayerNorm",
            )
        random = isinstance(part, _DropoutNd) and part.p > 0
        random |= isinstance(part, torch.nn.RNNBase) and part.dropout > 0
        random |= isinstance(part, torch.nn.MultiheadAttention) and part.dropout > 0
        if part.training and random:
            raise _refused(f"{where} drops at random while training", "remove it, or call .eval() on the module")
    buffers = [name for name, _ in module.named_buffers()]
    if buffers:
        raise _refused(f"the buffer {buffers[0]!r} is state that no round carries", "make it a constant or a parameter")
    for name, part in module.named_modules():
        for attribute, value in vars(part).items():
            if isinstance(value, torch.Tensor | np.ndarray):
                where = f"{name}.{attribute}".lstrip(".")
                raise _refused(f"the plain array {where!r} is in no digest", "make it a parameter; frozen, if constant")
    every = list(module.named_parameters(remove_duplicate=False))
    if not every:
        raise _refused("it has no parameters", "pass a network that can learn")
    if len(every) != len({id(p) for _, p in every}):
        raise _refused("two of its parameters are one tensor", "give each its own")
    for name, parameter in every:
        if isinstance(parameter, torch.nn.parameter.UninitializedParameter) or not parameter.is_floating_point():
            raise _refused(f"parameter {name!r} is lazy or holds no real numbers", "initialise it as real numbers")


def check_bound(given: object) -> None:
    """Refuse a module where an `Architecture` is asked for.

    Raises:
        ModelRefused: it is not what `bind` makes.
    """
    if not isinstance(given, Architecture):
        raise _refused(f"a {type(given).__name__} is not bound", "pass `secure_fedmeta.parameters.bind(module)`")


def _refused(what: str, remedy: str) -> ModelRefused:
    return ModelRefused(what, "model", remedy)
