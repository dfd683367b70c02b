# SPDX-License-Identifier: Apache-2.0
"""Pre-training of the character transformer on generated plays: the same bits from the same seed on one machine.

Every second batch stands behind its plays' headings, so that the network learns to be told a dialect and to do without.
AdamW (Loshchilov and Hutter, arXiv 1711.05101v3) with a one-cycle rate (Smith and Topin, arXiv 1708.07120v3).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch.nn import functional

from ..errors import PromptRefused, WeightsRefused
from .text import Play, encode, heading, plays
from .transformer import CharTransformer, Size

MOST_BYTES = 8 * 2**20
"""Of a file of weights: a million float64 numbers and their names."""


@dataclass(frozen=True, slots=True)
class Training:
    """Settings of the pre-training; all public.

    `steps` batches of `batch` windows from `plays` plays of 1000 characters, rate `lr` at its highest, `threads` of
    torch: another number of threads adds in another order and gives other bits.
    """

    seed: int = 0
    steps: int = 2000
    batch: int = 32
    plays: int = 2000
    lr: float = 4e-3
    threads: int = 1

    def __post_init__(self) -> None:
        whole = (self.steps, self.batch, self.plays, self.threads)
        if not (all(isinstance(n, int) and 1 <= n <= 10**6 for n in whole) and 0 < self.lr < 1 and self.seed >= 0):
            raise PromptRefused(f"{self} cannot be trained", "pre-training", "give positive whole numbers, lr below 1")


def pretrain(size: Size, training: Training) -> CharTransformer:
    """Train on the public corpus, without touching torch's global generator.

    Example:
        >>> tiny = Size(width=8, layers=1, heads=2, window=16)
        >>> model = pretrain(tiny, Training(steps=3, batch=4, plays=2))
        >>> weights_digest(model) == weights_digest(pretrain(tiny, Training(steps=3, batch=4, plays=2)))
        True
    """
    corpus = plays(training.seed, training.plays)
    with _threads(training.threads), torch.random.fork_rng(devices=[]):
        torch.manual_seed(training.seed)
        model = CharTransformer(size)
        optimizer = torch.optim.AdamW(model.parameters(), lr=training.lr, betas=(0.9, 0.95), weight_decay=0.01)
        rates = torch.optim.lr_scheduler.OneCycleLR(
            optimizer, training.lr, total_steps=training.steps + 1, pct_start=0.1
        )
        for step, (frames, marks) in enumerate(_batches(corpus, size.window, training)):
            prompt = model.letters(marks) if step % 2 else None
            logits = model(frames[:, :-1], prompt)
            loss = functional.cross_entropy(logits.flatten(0, 1), frames[:, 1:].flatten())
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            rates.step()
    return model


def _batches(corpus: list[Play], window: int, training: Training) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Frames (batch, window + 1) of ids, and the headings of their plays (batch, 12)."""
    texts = torch.from_numpy(np.stack([encode(play.text) for play in corpus]))
    marks = torch.from_numpy(np.stack([heading(play.dialect) for play in corpus]))
    rng, inside = np.random.default_rng([training.seed, 3]), torch.arange(window + 1)
    for _ in range(training.steps):
        play = torch.from_numpy(rng.integers(0, len(texts), training.batch))
        start = torch.from_numpy(rng.integers(0, texts.shape[1] - window, training.batch))
        yield texts[play[:, None], start[:, None] + inside], marks[play]


@contextmanager
def _threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def weights_digest(model: CharTransformer) -> str:
    """SHA-256 of size and weights, in hexadecimal."""
    content = hashlib.sha256(json.dumps(asdict(model.size), sort_keys=True).encode())
    for name, values in sorted(model.state_dict().items()):
        content.update(name.encode() + np.ascontiguousarray(values.numpy(), dtype="<f4").tobytes())
    return content.hexdigest()


def save_weights(path: Path, model: CharTransformer) -> None:
    """Write a safetensors file with the size in its header."""
    state = {name: values.contiguous() for name, values in model.state_dict().items()}
    path.write_bytes(save(state, {"size": json.dumps(asdict(model.size), sort_keys=True)}))


def load_weights(path: Path, size: Size) -> CharTransformer:
    """Read weights of this size.

    Raises:
        WeightsRefused: no such file, no safetensors file, or weights of another network or not finite.
    """
    try:
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
        if len(content) > MOST_BYTES:
            raise WeightsRefused(f"more than {MOST_BYTES} bytes", str(path), "give a file of `save_weights`")
        state = load(content)
        model = CharTransformer(size)
        model.load_state_dict(state)
    except OSError as error:
        raise WeightsRefused(f"cannot be read: {error.strerror}", str(path), "check the path") from None
    except (SafetensorError, RuntimeError) as error:
        what = f"not the weights of {size} ({type(error).__name__})"
        raise WeightsRefused(what, str(path), "pre-train anew") from None
    if not all(bool(torch.isfinite(values).all()) for values in model.parameters()):
        raise WeightsRefused("a weight is not finite", str(path), "pre-train anew")
    return model
