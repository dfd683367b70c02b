# SPDX-License-Identifier: Apache-2.0
"""A small causal transformer over characters, in operations that every engine can differentiate twice.

The form is GPT-2's (Radford et al. 2019): learned positions, LayerNorm in front of attention and of a feed-forward part
with GELU, a last LayerNorm. Attention is written out with softmax: the fused kernel has no second derivative on a CPU,
which second-order MAML needs. The causal mask is made anew in each call, so that the module has no buffer: parameters
are its only state.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional

from ..errors import PromptRefused
from .text import ALPHABET, WINDOW

MOST_PARAMETERS = 1_000_000


@dataclass(frozen=True, slots=True)
class Size:
    """Of a transformer: `layers` blocks of width `width` with `heads` heads, over `window` characters of `letters`.

    Raises:
        PromptRefused: heads that do not divide the width, or numbers out of range.

    Example:
        >>> Size(width=10, heads=4)
        Traceback (most recent call last):
        ...
        secure_fedmeta.errors.PromptRefused: SFM-115: ...
    """

    width: int = 64
    layers: int = 2
    heads: int = 4
    window: int = WINDOW
    letters: int = len(ALPHABET)

    def __post_init__(self) -> None:
        numbers = (self.width, self.layers, self.heads, self.window, self.letters)
        if not all(isinstance(number, int) and 1 <= number <= 4096 for number in numbers) or self.width % self.heads:
            raise PromptRefused(f"{self} is no size", "transformer", "give whole numbers, heads that divide the width")


class Block(nn.Module):
    """Attention over what came before, then a feed-forward part; both added to their input."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.before_attention = nn.LayerNorm(width)
        self.attention = nn.Linear(width, 3 * width)
        self.projection = nn.Linear(width, width)
        self.before_forward = nn.LayerNorm(width)
        self.widen = nn.Linear(width, 4 * width)
        self.narrow = nn.Linear(4 * width, width)

    def extra_repr(self) -> str:
        """What no parameter's shape tells: it belongs to a network's digest."""
        return f"heads={self.heads}"

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(n, places, width) to the same."""
        n, places, width = x.shape
        parts = self.attention(self.before_attention(x)).view(n, places, 3, self.heads, width // self.heads)
        query, key, value = parts.permute(2, 0, 3, 1, 4).unbind(0)
        scores = query @ key.transpose(-1, -2) / math.sqrt(width // self.heads)
        ahead = torch.ones(places, places, dtype=torch.bool, device=x.device).triu(1)
        weights = torch.softmax(scores.masked_fill(ahead, -math.inf), dim=-1)
        x = x + self.projection((weights @ value).transpose(1, 2).reshape(n, places, width))
        result: torch.Tensor = x + self.narrow(functional.gelu(self.widen(self.before_forward(x))))
        return result


class CharTransformer(nn.Module):
    """Logits of the next character after each one of a window.

    Args:
        size: at most 1 000 000 parameters in all.
    Raises:
        PromptRefused: a larger network.

    Example:
        >>> model = CharTransformer(Size())
        >>> model(torch.zeros(2, 80, dtype=torch.long)).shape, sum(p.numel() for p in model.parameters())
        (torch.Size([2, 80, 80]), 115536)
    """

    def __init__(self, size: Size) -> None:
        super().__init__()
        planned = size.width * (size.layers * (12 * size.width + 13) + 2 * size.letters + size.window + 2)
        if planned + size.letters > MOST_PARAMETERS:
            raise PromptRefused(
                f"{planned + size.letters} parameters", "transformer", f"stay within {MOST_PARAMETERS:,}"
            )
        self.size = size
        self.letters = nn.Embedding(size.letters, size.width)
        self.places = nn.Parameter(torch.zeros(size.window, size.width))
        self.blocks = nn.ModuleList(Block(size.width, size.heads) for _ in range(size.layers))
        self.last = nn.LayerNorm(size.width)
        self.head = nn.Linear(size.width, size.letters)

    def forward(self, ids: torch.Tensor, prompt: torch.Tensor | None = None) -> torch.Tensor:
        """Logits (n, window, letters) for ids (n, up to window), after a prompt (m, width) or one each (n, m, width).

        The prompt stands in front without positions of its own: its numbers are free, they may hold any.
        """
        x = self.letters(ids) + self.places[: ids.shape[1]]
        length = 0
        if prompt is not None:
            length = prompt.shape[-2]
            x = torch.cat([prompt.expand(len(ids), length, self.size.width), x], dim=1)
        for block in self.blocks:
            x = block(x)
        logits: torch.Tensor = self.head(self.last(x[:, length:]))
        return logits
