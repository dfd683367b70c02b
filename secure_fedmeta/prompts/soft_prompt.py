# SPDX-License-Identifier: Apache-2.0
"""A soft prompt in front of a frozen transformer, as a network that a federation can learn.

Prompt tuning (Lester, Al-Rfou and Constant 2021, arXiv 2104.08691v2): the transformer's weights stay as they were
pre-trained, and m virtual characters, rows of d free numbers in front of the text, are all that is learned. The vector
that sites clip, blur and mask has m d numbers (512 here) where the transformer has 10^5: at one epsilon the noise on
it is shorter by the square root of that ratio.

A federation's rows are features encoded by a public codebook. Characters go through it as numbers 0 to 79 within
public limits; the module undoes the encoding by the same public constants.
"""

from __future__ import annotations

import copy
import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from ..datasets.codebook import Codebook, Feature
from ..errors import PromptRefused
from .text import encode
from .transformer import CharTransformer

GAIN = 0.5
_CONSTANT = 0.5


def character_codebook(window: int, letters: int) -> Codebook:
    """Public ranges of rows of `window` characters, each a number 0 to `letters` - 1.

    A gain of one half keeps every row within the norm bound, so none is projected and the encoding can be undone.

    Example:
        >>> rows = character_codebook(3, 80).encode(np.array([[0.0, 79.0, 41.0]]))
        >>> character_ids(torch.from_numpy(rows[:, :-1]), letters=80).tolist()
        [[0, 79, 41]]
    """
    places = tuple(Feature(f"character {place}", 0.0, letters - 1.0, origin="the alphabet") for place in range(window))
    return Codebook("characters", 1, places, norm_bound=1.0, constant=_CONSTANT, gain=GAIN)


def character_ids(rows: torch.Tensor, *, letters: int) -> torch.Tensor:
    """Undo `character_codebook`: rows (..., window) to whole numbers from 0 to `letters` - 1.

    Whatever a row holds, its ids are in range, so that no unit can end the batch that it stands in.

    Example:
        >>> character_ids(torch.tensor([[math.inf, math.nan, -7.0]]), letters=80).tolist()
        [[79, 40, 0]]
    """
    unscaled = (rows * (math.sqrt(rows.shape[-1]) / GAIN) + 1.0) * ((letters - 1) / 2.0)
    middle = float(letters // 2)
    return torch.nan_to_num(unscaled, nan=middle, posinf=letters - 1.0, neginf=0.0).round().clamp(0, letters - 1).long()


class SoftPrompt(nn.Module):
    """Logits of the character after a window, by a frozen transformer behind a prompt that is learned.

    Args:
        transformer: copied and frozen; its every bit goes into the digest of the bound network.
        start: initial prompt (m, width); public, so never made from a site's text.
    Shapes:
        rows (n, window), encoded by `character_codebook`, to (n, letters).
    Raises:
        PromptRefused: a prompt that does not fit the transformer.

    Example:
        >>> from secure_fedmeta.parameters import bind
        >>> from secure_fedmeta.prompts.transformer import Size
        >>> module = SoftPrompt.from_text(CharTransformer(Size(width=8, layers=1, heads=2, window=5)), "Hark!")
        >>> bound = bind(module)
        >>> bound.names, bound.dimension, module(torch.zeros(3, 5)).shape
        (('prompt',), 40, torch.Size([3, 80]))
    """

    def __init__(self, transformer: CharTransformer, start: torch.Tensor | NDArray[np.float64]) -> None:
        super().__init__()
        given = torch.as_tensor(start).detach().clone()
        if given.dim() != 2 or not len(given) or given.shape[1] != transformer.size.width:
            width = transformer.size.width
            raise PromptRefused(f"a prompt of shape {tuple(given.shape)}", "start", f"give (m, {width}), m at least 1")
        if not given.is_floating_point() or not bool(torch.isfinite(given).all()):
            raise PromptRefused("a prompt that is not of finite real numbers", "start", "give finite numbers")
        self.prompt = nn.Parameter(given)
        self.transformer = copy.deepcopy(transformer).requires_grad_(requires_grad=False)

    @classmethod
    def from_text(cls, transformer: CharTransformer, text: str) -> SoftPrompt:
        """Begin with the embeddings of a public text, a character a row: where the transformer is at home."""
        with torch.no_grad():
            return cls(transformer, transformer.letters(torch.from_numpy(encode(text))))

    def extra_repr(self) -> str:
        """The public constants by which rows become characters: they belong to the digest."""
        return f"window={self.transformer.size.window}, letters={self.transformer.size.letters}, gain={GAIN}"

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        """Logits (n, letters) of the next character."""
        size = self.transformer.size
        if rows.shape[-1] != size.window:
            raise PromptRefused(f"rows of {rows.shape[-1]} characters", "rows", f"give windows of {size.window}")
        logits: torch.Tensor = self.transformer(character_ids(rows, letters=size.letters), self.prompt)
        return logits[:, -1]
