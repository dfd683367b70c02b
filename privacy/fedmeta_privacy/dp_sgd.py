# SPDX-License-Identifier: Apache-2.0
"""The Opacus adapter: the only file of this room that knows torch.

Opacus clips and accumulates; the noise is ours. Its own noise is floating point from a generator that is
not cryptographic, and float noise that is rounded afterwards breaks the guarantee of the sum.
"""

from __future__ import annotations

import logging
import math
import warnings
from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray

_handlers = list(logging.getLogger().handlers)
from opacus.optimizers import DPOptimizer  # noqa: E402
from opacus.optimizers.optimizer import _check_processed_flag, _mark_as_processed  # noqa: E402

# Opacus calls logging.basicConfig on import; a library must not configure its user's root logger.
for _handler in set(logging.getLogger().handlers) - set(_handlers):
    logging.getLogger().removeHandler(_handler)

from .encoding import IntegerEncoding  # noqa: E402
from .errors import UnsupportedEvent  # noqa: E402
from .events import DiscreteGaussianSum, Event, Gaussian, NonPrivate, PoissonGaussian  # noqa: E402
from .noise import DiscreteGaussian, Words  # noqa: E402


class IntegerNoiseOptimizer(DPOptimizer):
    """Opacus' optimizer with the integer discrete Gaussian in place of its float noise.

    After `pre_step`, `p.grad` holds encoding steps: whole numbers, exact in float64.
    """

    def __init__(
        self,
        optimizer: torch.optim.Optimizer,
        *,
        max_grad_norm: float,
        encoding: IntegerEncoding,
        noise: DiscreteGaussian | None,
    ) -> None:
        """Wrap `optimizer`; `noise=None` gives no guarantee and is for non-private runs only."""
        super().__init__(
            optimizer,
            noise_multiplier=0.0,  # unused: add_noise is replaced
            max_grad_norm=max_grad_norm,
            expected_batch_size=None,
            loss_reduction="sum",
        )
        self.encoding = encoding
        self.noise = noise
        self.words: Words | None = None

    def add_noise(self) -> None:
        """Round the clipped sum to steps and add one draw per coordinate; one-shot, as in Opacus."""
        (p,) = self.params
        _check_processed_flag(p.summed_grad)
        steps = self.encoding.encode(p.summed_grad.detach().numpy())
        if self.noise is not None:
            if self.words is None:
                raise RuntimeError("no keystream was given for this step")
            steps = steps + self.noise.sample(steps.size, self.words)
            self.words = None
        p.grad = torch.from_numpy(steps.astype(np.float64))
        _mark_as_processed(p.summed_grad)


class ClippedNoisySum:
    """One site's release: clip each record's contribution, sum, round, add noise.

    Guarantee: with noise of scale s, the result is a `DiscreteGaussianSum` with one party of that scale
        and the sensitivity of `sensitivity.logistic_sensitivity` in steps. A record whose contribution is
        not finite counts as zero; nothing observable depends on it.
    Shapes: `contributions` (m, d) float64 to (d,) int64, in steps.

    Example:
        >>> encoding = IntegerEncoding(step=2.0**-10, dimension=2, modulus_bits=32)
        >>> release = ClippedNoisySum(clip_norm=1.0, encoding=encoding, noise=None)
        >>> release(np.array([[3.0, 4.0], [0.0, 0.5]]), None)
        array([ 614, 1331])
    """

    def __init__(self, *, clip_norm: float, encoding: IntegerEncoding, noise: DiscreteGaussian | None) -> None:
        self._parameter = torch.nn.Parameter(torch.zeros(encoding.dimension, dtype=torch.float64))
        self._optimizer = IntegerNoiseOptimizer(
            torch.optim.SGD([self._parameter], lr=0.0),
            max_grad_norm=clip_norm,
            encoding=encoding,
            noise=noise,
        )

    def __call__(self, contributions: NDArray[np.float64], words: Words | None) -> NDArray[np.int64]:
        """Release one sum; `words` is a fresh keystream, used once."""
        finite = np.isfinite(contributions).all(axis=1, keepdims=True)
        safe = np.where(finite, contributions, 0.0)
        # Opacus reads per-record gradients from this attribute, which torch's types do not know.
        cast(Any, self._parameter).grad_sample = torch.from_numpy(np.ascontiguousarray(safe, dtype=np.float64))
        self._optimizer.words = words
        self._optimizer.pre_step()
        steps: NDArray[np.int64] = cast(torch.Tensor, self._parameter.grad).numpy().astype(np.int64)
        for name in ("grad", "grad_sample", "summed_grad"):  # nothing of the records stays behind
            setattr(self._parameter, name, None)
        return steps


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
