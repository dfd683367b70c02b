# SPDX-License-Identifier: Apache-2.0
"""A tiny transformer, prompts in front of it, and sites that hold windows of generated text."""

import numpy as np
import torch

from secure_fedmeta.datasets.records import SiteRecords
from secure_fedmeta.prompts.soft_prompt import SoftPrompt, character_codebook
from secure_fedmeta.prompts.text import encode, user_text
from secure_fedmeta.prompts.transformer import CharTransformer, Size
from secure_fedmeta.tasks import Task

TINY = Size(width=8, layers=1, heads=2, window=6)
LETTERS = TINY.letters


def tiny_transformer(seed=0, size=TINY):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return CharTransformer(size)


def tiny_prompt(seed=0, size=TINY):
    return SoftPrompt.from_text(tiny_transformer(seed, size), "Ho!")


def windows_of(user, count, size=TINY):
    """Ids (count, window) as float64, and the next characters."""
    ids = encode(user_text(0, user, count + size.window))
    frames = np.lib.stride_tricks.sliding_window_view(ids, size.window + 1)[:count]
    return frames[:, :-1].astype(np.float64), frames[:, -1].astype(np.float64)


def book(size=TINY):
    return character_codebook(size.window, size.letters)


def encoded_task(user, support, query, size=TINY):
    features, labels = windows_of(user, support + query, size)
    rows = book(size).encode(features)[:, :-1]
    return Task(rows[:support], labels[:support], rows[support:], labels[support:])


def text_sites(n, windows=10, size=TINY):
    made = []
    for site in range(1, n + 1):
        features, labels = windows_of(site, windows, size)
        ids = tuple(f"window-{site}-{i}" for i in range(windows))
        made.append(SiteRecords(f"theatre-{site}", features, labels, ids, LETTERS))
    return made
