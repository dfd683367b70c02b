# SPDX-License-Identifier: Apache-2.0
"""Losses of many users' text at once, for prompts and for all weights: every character after those before it.

A frame is `window` + 1 characters, that is the LEAF samples that end inside it, each with the context that it has
there. One pass gives a frame's 80 losses where LEAF's form gives one.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch.nn import functional

from ..parameters import Architecture
from .transformer import CharTransformer

Tensor = torch.Tensor


@dataclass(frozen=True, slots=True, eq=False)
class PromptLosses:
    """`algorithms.core.Losses` of T users at prompts (T, m * width), by one pass of the frozen transformer.

    Frames: support (T, S, window + 1) and query (T, Q, window + 1), ids.

    Example:
        >>> from secure_fedmeta.prompts.transformer import Size
        >>> frozen = CharTransformer(Size(width=8, layers=1, heads=2, window=5)).requires_grad_(False)
        >>> losses = PromptLosses(frozen, torch.zeros(3, 1, 6, dtype=torch.long), torch.ones(3, 2, 6, dtype=torch.long))
        >>> losses.query(torch.zeros(3, 2 * 8)).shape
        torch.Size([3])
    """

    transformer: CharTransformer
    support_frames: Tensor
    query_frames: Tensor

    def __repr__(self) -> str:
        return f"PromptLosses(<{len(self.query_frames)} users>)"

    def support(self, at: Tensor) -> Tensor:
        """On the support frames."""
        return self._mean(at, self.support_frames)

    def query(self, at: Tensor) -> Tensor:
        """On the query frames."""
        return self._mean(at, self.query_frames)

    def every(self, at: Tensor) -> Tensor:
        """On all frames."""
        return self._mean(at, torch.cat([self.support_frames, self.query_frames], dim=1))

    def _mean(self, at: Tensor, frames: Tensor) -> Tensor:
        users, each, _ = frames.shape
        prompts = at.reshape(users, -1, self.transformer.size.width).repeat_interleave(each, dim=0)
        flat = frames.flatten(0, 1)
        return _character_losses(self.transformer(flat[:, :-1], prompts), flat).view(users, -1).mean(dim=1)


@dataclass(frozen=True, slots=True, eq=False)
class WeightLosses:
    """The same of one user at all weights (P,), for `torch.func`: frames (S, window + 1) and (Q, window + 1)."""

    architecture: Architecture
    support_frames: Tensor
    query_frames: Tensor

    def __repr__(self) -> str:
        return "WeightLosses(<one user>)"

    def support(self, at: Tensor) -> Tensor:
        """On the support frames."""
        return self._mean(at, self.support_frames)

    def query(self, at: Tensor) -> Tensor:
        """On the query frames."""
        return self._mean(at, self.query_frames)

    def every(self, at: Tensor) -> Tensor:
        """On all frames."""
        return self._mean(at, torch.cat([self.support_frames, self.query_frames]))

    def _mean(self, at: Tensor, frames: Tensor) -> Tensor:
        return _character_losses(self.architecture.outputs(at, frames[:, :-1]), frames).mean()


def _character_losses(logits: Tensor, frames: Tensor) -> Tensor:
    """Cross-entropy of each character after the first, (n, window)."""
    return functional.cross_entropy(logits.transpose(1, 2), frames[:, 1:], reduction="none")
