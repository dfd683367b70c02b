# SPDX-License-Identifier: Apache-2.0
"""The plan of a run: everything that changes who can see what, and nothing that only changes speed."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from .aggregation import Aggregation
from .errors import FileError, SettingError


def _none_word(value: object) -> object:
    return None if value == "none" else value


def _as_tuple(value: object) -> object:
    return tuple(value) if isinstance(value, list) else value


class Plan(BaseModel):
    """Settings of a run, checked when made. TOML files, the command line and the API all make one.

    Privacy: `epsilon` ("none" for a run without a guarantee), `delta`, `clip_norm`, `planned_survivors` (default: what
    `dropout` leaves), `dropout_noise`: sites that may drop out are made up for by more noise of all others
    ("over-provision"), or by parts of noise that are taken off the sum again where they were not needed ("surplus").
    Hiding: `strength` says what the protocol withstands; `corrupt_fraction` and `colluders` how many sites may work
    with the server (A is the larger one; at semi-honest `colluders` alone counts, 0 unless stated);
    `dropout_fraction` how many may fall silent (default: a tenth, or `dropout` if that is more). `threshold` t is for
    strength semi-honest alone (default: the smallest with 2t > n). `aggregation` "mask" adds under masks,
    "bfv" masked words that a second server decrypts, "rlwe32" and "rlwe64" lattice ciphertexts whose key only exists as
    a sum: all exactly, and with the server's epsilon. "ckks" is approximate and readable by the decryptor, "none" hides
    nothing: to compare. `modulus_bits` B is of the ring of the sum (default: what `aggregation` has room for).
    Claim: `unit`, `adjacency` and `mode` (`fedmeta_privacy.claims`); `task_slots` persons a site may register (unit
    task), `inner_clip` and `hessian_clip` of the noisy adaptation (mode noisy-inner, where algorithm maml means second
    order with private Hessian products).
    Clipping: `clipping` says how a row of an upload is brought to `clip_norm`: "flat"; "per-layer", each named
    parameter of a network to its share (`layer_weights`, relative; equal ones unless given); "adaptive", to a public
    norm that starts at `clip_norm` and follows the `clip_quantile` of the rows' norms at the rate `clip_lr` within
    [`clip_min`, `clip_max`], by a count of weight `count_weight` in the same noisy sum (units task and client). Sums
    inside a noisy adaptation are clipped flat in every case.
    `rounding` "conditional" costs less than "nearest" (unit client, adjacency zero-out).
    Learning: `algorithm` (docs/meta_learning.md), `loss`, `classes`, `inner_lr`, `inner_steps`, slots, `outer_*`;
    `outside` says what a site does with a feature outside its public range. Labels of loss "squared" are real numbers
    within [-`label_bound`, `label_bound`], a public range; one beyond it is refused when a site registers.
    Adaptation: `inner_rule` of its steps and `inner_max_norm`, the longest gradient of a step ("none": any length).
    `head`: names of the parameters or modules that anil adapts (default: the last module). `rates`: what meta-sgd
    learns a rate for. `regularization` lambda and `cg_steps` of imaml. `local_steps` of rate `local_lr` of per-fedavg,
    whose adaptation is one step of `inner_lr`. A setting of another algorithm means nothing and reads as its default.
    Simulation: `clients`, `dropout`, `seed`, `insecure_reproducible`.

    Raises:
        SettingError: with the setting's name; unknown names, and values of another type, are refused.

    Example:
        >>> Plan(rounds=5).strength
        'malicious'
        >>> Plan.make({"epsilom": 3})
        Traceback (most recent call last):
        ...
        secure_fedmeta.errors.SettingError: SFM-101: unknown setting 'epsilom' (settings)...
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, strict=True)

    if not TYPE_CHECKING:  # type checkers see the fields

        def __init__(self, **settings: object) -> None:
            try:
                super().__init__(**settings)
            except ValidationError as error:
                raise setting_error(error, "settings", Plan.model_fields) from None

    epsilon: Annotated[Annotated[float, Field(gt=0, le=100)] | None, BeforeValidator(_none_word)] = 3.0
    delta: float = Field(1e-3, gt=0, lt=1)
    rounds: int = Field(40, ge=1, le=100_000)
    unit: Literal["record", "task", "client"] = "record"
    adjacency: Literal["slot", "replace-one", "zero-out"] = "slot"
    mode: Literal["bounded-glm", "noisy-inner", "task-is-person", "client-vector"] = "bounded-glm"
    algorithm: Literal["maml", "fomaml", "anil", "meta-sgd", "reptile", "per-fedavg", "imaml", "fedavg"] = "maml"
    loss: Literal["logistic", "cross-entropy", "squared"] = "logistic"
    classes: int = Field(2, ge=2, le=1000)
    aggregation: Aggregation = "mask"
    strength: Literal["malicious", "semi-malicious", "semi-honest"] = "malicious"
    clients: int = Field(10, ge=2, le=2000)
    corrupt_fraction: float = Field(0.1, ge=0, lt=1)
    dropout_fraction: float | None = Field(None, ge=0, lt=1)
    colluders: int | None = Field(None, ge=0)
    threshold: int | None = Field(None, ge=1)
    planned_survivors: int | None = Field(None, ge=1)
    dropout_noise: Literal["over-provision", "surplus"] = "over-provision"
    modulus_bits: int | None = Field(None, ge=8, le=32)

    row_bound: float = Field(1.0, gt=0, le=1e3)
    clip_norm: float = Field(0.3, gt=0)
    clipping: Literal["flat", "per-layer", "adaptive"] = "flat"
    layer_weights: Annotated[
        tuple[Annotated[float, Field(ge=1e-6, le=1e6)], ...], Field(max_length=10_000), BeforeValidator(_as_tuple)
    ] = ()
    clip_quantile: float = Field(0.5, gt=0, lt=1)
    clip_lr: float = Field(0.2, gt=0, le=10)
    count_weight: float = Field(0.5, ge=1e-3, le=100)
    clip_min: float = Field(1e-4, ge=1e-6, le=1e6)
    clip_max: float = Field(1e4, ge=1e-6, le=1e6)
    rounding: Literal["nearest", "conditional"] = "nearest"
    inner_lr: float = Field(1.0, gt=0)
    inner_steps: int = Field(1, ge=1, le=100)
    inner_rule: Literal["gradient", "momentum", "adam"] = "gradient"
    inner_max_norm: Annotated[Annotated[float, Field(ge=1e-6, le=1e6)] | None, BeforeValidator(_none_word)] = None
    head: Annotated[
        tuple[Annotated[str, Field(min_length=1, max_length=200)], ...],
        Field(max_length=1000),
        BeforeValidator(_as_tuple),
    ] = ()
    rates: Literal["per-parameter", "per-tensor"] = "per-parameter"
    regularization: float = Field(1.0, gt=0, le=1e6)
    cg_steps: int = Field(5, ge=1, le=1000)
    local_lr: float = Field(0.1, gt=0, le=1e6)
    local_steps: int = Field(1, ge=1, le=1000)
    label_bound: float = Field(1e3, gt=0, le=1e6)
    support_slots: int = Field(48, ge=1, le=100_000)
    query_slots: int = Field(48, ge=1, le=100_000)
    task_slots: int = Field(48, ge=1, le=100_000)
    inner_clip: float = Field(1.0, gt=0, le=1e6)
    hessian_clip: float = Field(1.0, gt=0, le=1e6)
    support_fraction: float = Field(0.5, gt=0, lt=1)
    outside: Literal["refuse", "clip"] = "refuse"

    outer: Literal["sgd", "adam"] = "sgd"
    outer_lr: float = Field(30.0, gt=0)
    outer_momentum: float = Field(0.0, ge=0, lt=1)
    tail_average: float = Field(0.0, ge=0, lt=1)

    dropout: float = Field(0.0, ge=0, lt=1)
    seed: int = Field(0, ge=0, lt=2**63)
    insecure_reproducible: bool = False

    @property
    def outputs(self) -> int:
        """Outputs of the model: one for two classes or a number, else one a class."""
        return self.classes if self.loss == "cross-entropy" else 1

    @property
    def second_order(self) -> bool:
        """Whether a contribution reads the loss's Hessian, exactly or by differences."""
        return self.algorithm not in {"fomaml", "reptile", "fedavg"}

    @property
    def one_role(self) -> bool:
        """Whether a record-level claim has all records in one role: the upload is where training on them led."""
        return self.unit == "record" and self.algorithm in {"reptile", "fedavg"}

    @property
    def support_share(self) -> float:
        """Share of the records that are for adapting on."""
        return 1.0 if self.one_role else self.support_fraction

    @property
    def unit_slots(self) -> int:
        """Vectors that a site clips and sums in a round, at most: a public number."""
        records = 1 if self.one_role else self.query_slots
        return {"record": records, "task": self.task_slots, "client": 1}[self.unit]

    @property
    def registered_slots(self) -> int:
        """Units that a site may register."""
        records = self.support_slots + (0 if self.one_role else self.query_slots)
        return records if self.unit == "record" else self.unit_slots

    @property
    def dropout_assumed(self) -> float:
        """Share of the cohort that may fall silent in a round that still opens."""
        return self.dropout_fraction if self.dropout_fraction is not None else max(0.1, self.dropout)

    def changed(self, **settings: object) -> Plan:
        """A checked copy with these settings changed."""
        return Plan.make({**self.model_dump(), **settings})

    @classmethod
    def make(cls, settings: Mapping[str, Any], *, where: str = "settings") -> Plan:
        """Check settings from outside."""
        try:
            return cls(**settings)
        except SettingError as error:
            raise SettingError(error.what, error.where.replace("settings", where, 1), error.remedy) from None

    @classmethod
    def from_toml(cls, path: Path) -> tuple[str, Plan]:
        """Read `pilot` and the settings from a TOML file.

        Raises:
            FileError: the file is missing or is not TOML.
            SettingError: a setting is unknown or wrong.
        """
        pilot, settings = read_toml(path)
        return pilot, cls.make(settings, where=str(path))


def read_toml(path: Path) -> tuple[str, dict[str, Any]]:
    """The pilot's name and the raw settings of a TOML file."""
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise FileError(f"cannot read the file: {error.strerror}", str(path), "check the path") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise FileError(f"not a TOML file: {error}", str(path), "correct the file") from None
    pilot = content.pop("pilot", None)
    if not isinstance(pilot, str):
        raise SettingError("no pilot is named", f"{path}, pilot", 'add a line such as pilot = "hospital"')
    return pilot, content


def setting_error(error: ValidationError, where: str, known: Iterable[str]) -> SettingError:
    """The first thing that is wrong with settings, in the house's words; `known` are the names that there are."""
    first = error.errors(include_url=False)[0]
    name = ".".join(str(part) for part in first["loc"]) or "?"
    if first["type"] == "extra_forbidden":
        return SettingError(f"unknown setting {name!r}", where, f"use one of: {', '.join(sorted(known))}")
    shown = repr(first.get("input"))
    return SettingError(
        f"{name} = {shown[:60]} is not accepted: {first['msg']}",
        f"{where}, {name}",
        "give a value in the stated range",
    )
