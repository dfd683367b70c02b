# SPDX-License-Identifier: Apache-2.0
"""The wearables pilot: two thousand people, each with a wrist sensor; a whole person's device is the unit of privacy.

So many parties are a *population simulation* (docs/population.md): clients' vectors, clipping, rounding, noise and the
account are those of a deployment, keys and masks are not there. It leaves charges and an account, and no ledger.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ..errors import SettingError
from ..plan import setting_error

if TYPE_CHECKING:
    from torch.nn import Module

    from ..population.settings import Training

NAME = "wearables"
TITLE = "Wearables pilot"
SOURCE = "generated sensor windows: no wearer exists (docs/pilots.md)"
TRAINED_WINDOWS = 12  # of a person's twenty; the others are for the evaluation
LATER = 200
SHOTS = (1, 5, 10)


class WearablesPlan(BaseModel):
    """Settings of the pilot, checked when made.

    `users` people take part in every round but for those who drop out (`dropout`); noise is counted for `floor` of
    them (a share) less `colluders` (a share) who may work with the server. `epsilon` None: no noise.

    Raises:
        SettingError: an unknown setting, or a value out of range.

    Example:
        >>> WearablesPlan.of({"rounds": 5}).users
        2000
        >>> WearablesPlan.of({"users": 3})
        Traceback (most recent call last):
        ...
        secure_fedmeta.errors.SettingError: SFM-101: users = 3 is not accepted: ...
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, strict=True)

    users: int = Field(2000, ge=50, le=20_000)
    rounds: int = Field(10, ge=1, le=1000)
    epsilon: float | None = Field(3.0, gt=0, le=100)
    delta: float = Field(1e-5, gt=0, lt=1)
    clip_norm: float = Field(1.0, ge=1e-3, le=100)
    lr: float = Field(1.0, gt=0, le=10)
    batch_size: int = Field(6, ge=1, le=TRAINED_WINDOWS)
    epochs: int = Field(3, ge=1, le=50)
    server_lr: float = Field(3.0, gt=0, le=100)
    dropout: float = Field(0.05, ge=0, lt=0.5)
    floor: float = Field(0.85, gt=0.3, le=1)
    colluders: float = Field(0.1, ge=0, lt=0.3)
    seed: int = Field(0, ge=0, lt=2**31)

    @classmethod
    def of(cls, settings: Mapping[str, Any], *, where: str = "settings") -> WearablesPlan:
        """Check settings from outside; the word "none" for epsilon is no noise."""
        given: dict[str, Any] = {
            name: None if name == "epsilon" and value == "none" else value for name, value in settings.items()
        }
        try:
            return cls(**given)
        except ValidationError as error:
            raise setting_error(error, where, cls.model_fields) from None


def network() -> Module:
    """Sixteen features, twelve hidden units, five activities; the start is public and always the same."""
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(7)
        return torch.nn.Sequential(torch.nn.Linear(16, 12), torch.nn.Tanh(), torch.nn.Linear(12, 5))


def training_of(plan: WearablesPlan, rows: Any, labels: Any) -> Training:
    """The run: everybody in every round, a discrete noise drawn by each person, calibrated to the budget.

    Args:
        plan: settings.
        rows: what each trains on, (users, windows, 16).
        labels: of these windows, (users, windows).

    Raises:
        SettingError: delta is not below one over the number of people.
    """
    import torch

    from fedmeta_privacy.encoding import IntegerEncoding, choose_step

    from ..parameters import bind
    from ..population.clients import Shards, StackedClients
    from ..population.cohorts import Dropouts, Everyone
    from ..population.local_sgd import LocalSgd
    from ..population.rounds import DiscreteNoise
    from ..population.settings import Training
    from ..population.updates import Trained

    net = bind(network())
    sgd = LocalSgd(net, loss="cross-entropy", lr=plan.lr, batch_size=plan.batch_size, epochs=plan.epochs)
    encoding = IntegerEncoding(choose_step(plan.clip_norm, net.dimension), net.dimension, 32)

    def made(scale: float | None) -> Training:
        return Training(
            updates=Trained(sgd),
            source=StackedClients(Shards(torch.from_numpy(rows), torch.from_numpy(labels))),
            cohorts=Everyone(plan.users),
            rounds=plan.rounds,
            divisor=float(plan.users),
            server_lr=plan.server_lr,
            clip_norm=plan.clip_norm,
            noise=None if scale is None else DiscreteNoise(scale),
            encoding=encoding,
            dropouts=Dropouts(plan.dropout),
            floor=round(plan.floor * plan.users),
            colluders=round(plan.colluders * plan.users),
            data=f"{NAME}/{plan.seed}",
            delta=plan.delta,
            seed=plan.seed,
        )

    if plan.epsilon is None:
        return made(None)
    return made(_scale_for(plan.epsilon, plan, made, plan.clip_norm / encoding.step))


def _scale_for(epsilon: float, plan: WearablesPlan, made: Callable[[float], Training], unit: float) -> float:
    """The smallest noise of each person, in steps and to 0.1 %, whose account stays within the budget."""
    from fedmeta_privacy.claims import View

    def cost(scale: float) -> float:
        return made(scale).account.epsilon(View.SERVER, rounds=plan.rounds, delta=plan.delta)

    high = min(64.0 * unit, 2.0**31 / plan.users / 20.0)  # so that the sum of all has room in the ring
    if cost(high) > epsilon:
        raise SettingError(f"epsilon {epsilon:g} is out of reach", "epsilon", "use fewer rounds, or more people")
    low = high
    while cost(low) <= epsilon:
        high, low = low, low / 2
    while high / low > 1.001:
        middle = (high * low) ** 0.5
        low, high = (low, middle) if cost(middle) <= epsilon else (middle, high)
    return high


def plan_words(plan: WearablesPlan, training: Training) -> list[str]:
    """The plan before any window is read."""
    from fedmeta_privacy.claims import View

    honest = round(plan.floor * plan.users) - round(plan.colluders * plan.users)
    said = {
        "people": f"{plan.users} in every round but {plan.dropout:.0%} who drop out, {LATER} later ones; "
        "unit of privacy: one whole person (zeroed out)",
        "learning": f"FedAvg, network, {training.encoding.dimension if training.encoding else 0} parameters, "
        f"{plan.epochs} pass(es) over {TRAINED_WINDOWS} windows",
        "kind": "population simulation: no keys, no masks, no ledger; vectors, noise and account as in a deployment",
    }
    if plan.epsilon is None:
        said["privacy"] = "none: epsilon none adds no noise"
    else:
        cost = training.account.epsilon(View.SERVER, rounds=plan.rounds, delta=plan.delta)
        said["privacy"] = f"epsilon {plan.epsilon:g} at delta {plan.delta:g} for the server; planned {cost:.4f}"
        said["noise"] = f"counted for {honest} honest people: {plan.floor:.0%} survive, {plan.colluders:.0%} collude"
    return [f" {name:<9} {text}" for name, text in said.items()]


def folder_files(out: Path) -> dict[str, str]:
    """What a run leaves, with what it is."""
    meanings = {
        "config.toml": "the settings; `secure-fedmeta run config.toml` runs them again",
        "account.json": "what was charged, and the sentence of the guarantee",
        "charges.jsonl": "each round's charge, durable before the round",
        "metrics.jsonl": "loss and accuracy per round (simulation only, not covered by epsilon)",
        "model.safetensors": "the released model",
        "scores.json": "the model beside baselines (simulation only, not covered by epsilon)",
        "report.html": "all of it for reading",
    }
    return {name: meaning for name, meaning in meanings.items() if (out / name).exists()}
