# SPDX-License-Identifier: Apache-2.0
"""The Opacus adapter: the only file of this room that knows torch.

Opacus clips and accumulates; the noise is ours. Its own noise is floating point from a generator that is
not cryptographic, and float noise that is rounded afterwards breaks the guarantee of the sum.
"""

from __future__ import annotations

import logging
import math
import warnings
from collections.abc import Iterable, Sequence
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray

_handlers = list(logging.getLogger().handlers)
from opacus.optimizers import DPOptimizer, DPPerLayerOptimizer  # noqa: E402
from opacus.optimizers.optimizer import _check_processed_flag, _mark_as_processed  # noqa: E402

# Opacus calls logging.basicConfig on import; a library must not configure its user's root logger.
for _handler in set(logging.getLogger().handlers) - set(_handlers):
    logging.getLogger().removeHandler(_handler)

from .clipping import AdaptiveClip, Clipping, FlatClip, PerLayerClip, unclipped, usable  # noqa: E402
from .encoding import IntegerEncoding  # noqa: E402
from .errors import PlanError, TooManyRecords, UnsupportedEvent  # noqa: E402
from .events import DiscreteGaussianSum, Event, Gaussian, NonPrivate, PoissonGaussian  # noqa: E402
from .noise import DiscreteGaussian, Words  # noqa: E402
from .rounding import ConditionalRounding  # noqa: E402


class _IntegerNoise:
    """Mixin over an Opacus optimizer: the integer discrete Gaussian in place of its float noise.

    After `pre_step`, `released` holds the sum in encoding steps, the parameters' coordinates one after the other and
    `marks` last if it was set; `p.grad` holds the same steps, whole numbers, exact in float64.
    """

    params: list[torch.nn.Parameter]

    def _set_up(self, encoding: IntegerEncoding, noise: DiscreteGaussian | None) -> None:
        if any(p.dtype != torch.float64 for p in self.params):
            # A row clipped in float32 exceeds the norm by up to 3e-7, in bfloat16 by half a per cent.
            raise PlanError("a parameter is not float64, and narrower clipping exceeds its norm", "use float64")
        self.encoding = encoding
        self.noise = noise
        self.rounding: ConditionalRounding | None = None
        self.words: Words | None = None
        self.marks: float | None = None
        self.released: NDArray[np.int64] | None = None

    def add_noise(self) -> None:
        """Round the clipped sum to steps and add one draw per coordinate; one-shot, as in Opacus."""
        parts = []
        for p in self.params:
            summed = cast(Any, p).summed_grad
            _check_processed_flag(summed)
            parts.append(summed.detach().reshape(-1).numpy())
        if self.marks is not None:
            parts.append(np.array([self.marks]))
        if self.words is None and not (self.noise is None and self.rounding is None):
            raise RuntimeError("no keystream was given for this step")
        vector = np.concatenate(parts)
        if self.rounding is not None:
            steps = self.rounding.round(vector, cast(Words, self.words))
        else:
            steps = self.encoding.encode(vector)
        if self.noise is not None:
            steps = steps + self.noise.sample(steps.size, cast(Words, self.words))
        self.words = self.marks = None
        self.released = steps
        start = 0
        for p in self.params:
            p.grad = torch.from_numpy(steps[start : start + p.numel()].astype(np.float64)).view_as(p)
            start += p.numel()
            _mark_as_processed(cast(Any, p).summed_grad)


class IntegerNoiseOptimizer(_IntegerNoise, DPOptimizer):
    """Opacus' flat clipping with integer noise; any number of float64 parameters of any shape."""

    def __init__(
        self,
        optimizer: torch.optim.Optimizer,
        *,
        max_grad_norm: float,
        encoding: IntegerEncoding,
        noise: DiscreteGaussian | None,
    ) -> None:
        """Wrap `optimizer`; `noise=None` gives no guarantee and is for non-private runs only.

        Raises:
            PlanError: a parameter that is not float64.
        """
        DPOptimizer.__init__(
            self,
            optimizer,
            noise_multiplier=0.0,  # unused: add_noise is replaced
            max_grad_norm=max_grad_norm,
            expected_batch_size=None,
            loss_reduction="sum",
        )
        self._set_up(encoding, noise)


class IntegerNoisePerLayerOptimizer(_IntegerNoise, DPPerLayerOptimizer):
    """Opacus' per-layer clipping with integer noise. Parameters must have a dimension: it fails on scalars."""

    def __init__(
        self,
        optimizer: torch.optim.Optimizer,
        *,
        max_grad_norm: Sequence[float],
        encoding: IntegerEncoding,
        noise: DiscreteGaussian | None,
    ) -> None:
        """As `IntegerNoiseOptimizer`, with one norm per parameter."""
        DPPerLayerOptimizer.__init__(
            self,
            optimizer,
            noise_multiplier=0.0,
            max_grad_norm=list(max_grad_norm),
            expected_batch_size=None,
            loss_reduction="sum",
        )
        self._set_up(encoding, noise)


Rows = NDArray[np.float64] | Iterable[NDArray[np.float64]]


class ClippedNoisySum:
    """One site's release: clip each unit's row, sum, round, add noise.

    Guarantee: with noise of scale s, each call is a `DiscreteGaussianSum` with one party of that scale and the
        sensitivity in steps that `encoding.l2_sensitivity` makes of `clipping.l2_sensitivity` (a unit that owns one
        row), or of `sensitivity.logistic_sensitivity` (records through the adaptation; not with `AdaptiveClip`). Every
        call is a release of its own, to be charged as one, and takes its own words; calls may share a stream, which
        goes on, but never a key. A row that is not finite counts as zero; nothing observable depends on it.
    Shapes: rows (m, d) float64, or an iterable of (m_k, d) blocks, two of them held at a time, to
        (encoding.dimension,) int64, in steps; encoding.dimension = d + clipping.extra_coordinates.
    `rounding`, for a whole client under zero-out, takes the place of rounding to the nearest step; the sensitivity is
        then its own. It takes its words ahead of the noise, the same number whatever the rows.
    Opacus clips: `DPOptimizer` for flat and adaptive, `DPPerLayerOptimizer` for per-layer. Not its AdaClip, which
        divides by the number of rows that there truly were and fails on none.

    Raises:
        TooManyRecords: more rows than `slots`.  PlanError: rows of another form, or neither norm nor clipping given.

    Example:
        >>> encoding = IntegerEncoding(step=2.0**-10, dimension=2, modulus_bits=32)
        >>> release = ClippedNoisySum(clip_norm=1.0, encoding=encoding, noise=None)
        >>> release(np.array([[3.0, 4.0], [0.0, 0.5]]), None)
        array([ 614, 1331])
    """

    def __init__(
        self,
        *,
        clip_norm: float | None = None,
        clipping: Clipping | None = None,
        encoding: IntegerEncoding,
        noise: DiscreteGaussian | None,
        slots: int | None = None,
        rounding: ConditionalRounding | None = None,
    ) -> None:
        if rounding is not None and (rounding.step, rounding.dimension) != (encoding.step, encoding.dimension):
            raise PlanError("the rounding is of another encoding", "make both of one step and dimension")
        if (clip_norm is None) == (clipping is None):
            raise PlanError("either clip_norm or clipping must be given", "pass one of them")
        self.clipping: Clipping = FlatClip(cast(float, clip_norm)) if clipping is None else clipping
        self.slots = slots
        width = encoding.dimension - self.clipping.extra_coordinates
        lengths = self.clipping.lengths if isinstance(self.clipping, PerLayerClip) else (width,)
        if width < 1 or sum(lengths) != width:
            raise PlanError(f"layers of {sum(lengths)} coordinates in an encoding of {width}", "match the dimensions")
        self._lengths = lengths
        self._parameters = [torch.nn.Parameter(torch.zeros(n, dtype=torch.float64)) for n in lengths]
        inner = torch.optim.SGD(self._parameters, lr=0.0)
        self._optimizer: IntegerNoiseOptimizer | IntegerNoisePerLayerOptimizer
        if isinstance(self.clipping, PerLayerClip):
            self._optimizer = IntegerNoisePerLayerOptimizer(
                inner, max_grad_norm=self.clipping.clip_norms, encoding=encoding, noise=noise
            )
        else:
            norm = 1.0 if isinstance(self.clipping, AdaptiveClip) else self.clipping.clip_norm
            self._optimizer = IntegerNoiseOptimizer(inner, max_grad_norm=norm, encoding=encoding, noise=noise)
        self._optimizer.rounding = rounding

    def set_clip_norm(self, clip_norm: float) -> None:
        """Move an adaptive norm to the announced C_t, within the rule's limits."""
        if not isinstance(self.clipping, AdaptiveClip):
            raise PlanError("only an adaptive clipping norm changes during a run", "use AdaptiveClip")
        self.clipping = self.clipping.at(clip_norm)

    def __call__(self, contributions: Rows, words: Words | None) -> NDArray[np.int64]:
        """Release one sum; `words` is a fresh keystream, used once."""
        optimizer = self._optimizer
        count, marks = 0, 0.0
        last = np.zeros((0, sum(self._lengths)))
        try:
            for rows in [contributions] if isinstance(contributions, np.ndarray) else contributions:
                count += len(rows)
                if self.slots is not None and count > self.slots:
                    raise TooManyRecords(f"more than {self.slots} rows in a sum", "register more slots before the run")
                safe, intact = usable(rows, self.clipping)
                if isinstance(self.clipping, AdaptiveClip):
                    marks += float(unclipped(safe, intact).sum())  # exact: halves of whole numbers
                if len(last):
                    self._load(last)
                    optimizer.signal_skip_step(do_skip=True)  # Opacus' way to sum a batch that comes in parts
                    optimizer.pre_step()
                last = safe
            self._load(last)
            if isinstance(self.clipping, AdaptiveClip):
                optimizer.marks = marks * self.clipping.count_weight
            optimizer.words = words
            optimizer.pre_step()
            return cast(NDArray[np.int64], optimizer.released)
        finally:
            self._forget()

    def _load(self, rows: NDArray[np.float64]) -> None:
        start = 0
        for p, length in zip(self._parameters, self._lengths, strict=True):
            part = np.ascontiguousarray(rows[:, start : start + length])
            # Opacus reads per-record gradients from this attribute, which torch's types do not know.
            cast(Any, p).grad_sample = torch.from_numpy(part)
            start += length

    def _forget(self) -> None:
        """Leave nothing of the records behind, after a failure either."""
        self._optimizer.released = self._optimizer.words = self._optimizer.marks = None
        self._optimizer._step_skip_queue.clear()
        for p in self._parameters:
            for name in ("grad", "grad_sample", "summed_grad"):
                setattr(p, name, None)


def prv_lower_bound(events: Sequence[Event], delta: float, *, error: float = 2e-3) -> float:
    """Lower end of Opacus' PRV accountant: a second opinion of another origin.

    Guarantee: no epsilon below the result holds, by the error bounds of Gopi et al. 2021, Theorem 5.1
        (arXiv 2106.02848v3); 0 where that accountant does not come to an end.
    Raises:
        UnsupportedEvent: an event it cannot express.
    """
    from opacus.accountants import PRVAccountant

    accountant = PRVAccountant()
    shift = 0.0  # Gaussian releases compose to one, exactly
    for event in events:
        match event:
            case Gaussian():
                shift += event.mu_squared
            case PoissonGaussian():
                accountant.history.append((event.noise_multiplier, event.sampling_probability, event.count))
            case NonPrivate():
                return math.inf
            case DiscreteGaussianSum():
                raise UnsupportedEvent("the PRV accountant has no discrete Gaussian", "use the exact bound")
    if shift > 0:
        accountant.history.append((1 / math.sqrt(shift), 1.0, 1))
    if not accountant.history:
        return 0.0
    try:
        # At q = 1 it takes the logarithm of 0 on purpose; its RDP helper warns about orders we do not use.
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            distribution = accountant._get_dprv(eps_error=error, delta_error=delta / 1000)
            lower = float(distribution.compute_epsilon(delta, delta / 1000, error)[0])
    except (RuntimeError, ValueError, FloatingPointError, OverflowError, MemoryError):
        return 0.0  # a valid, empty statement
    return max(0.0, lower) if math.isfinite(lower) else 0.0
