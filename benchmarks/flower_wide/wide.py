"""A pilot of an app's own: generated intensive-care records, and a network of four million parameters."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from secure_fedmeta.pilots.icu import PILOT as ICU

if TYPE_CHECKING:
    from torch.nn import Module

WIDTH = 2000


def network() -> Module:
    """Two hidden layers; the start is public and always the same."""
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(7)
        return torch.nn.Sequential(
            torch.nn.Linear(12, WIDTH), torch.nn.Tanh(), torch.nn.Linear(WIDTH, WIDTH), torch.nn.Tanh(),
            torch.nn.Linear(WIDTH, 1),
        )  # fmt: skip


# A whole unit is protected: one clipped vector a site, however many patients it has.
CHANGES = {"unit": "client", "mode": "client-vector", "adjacency": "zero-out", "epsilon": 8.0, "delta": 1e-3}
PILOT = replace(
    ICU,
    name="wide",
    title="A wide network",
    defaults={**{k: v for k, v in ICU.defaults.items() if k != "support_fraction"}, **CHANGES},
    slots=lambda _: {"support_slots": 1500, "query_slots": 1500},
    network=network,
)
