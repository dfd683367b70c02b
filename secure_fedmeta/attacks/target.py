# SPDX-License-Identifier: Apache-2.0
"""What is attacked: a pilot, or a run of one, whose records the simulation can make again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fedmeta_crypto import Entropy, Keystream
from fedmeta_privacy.dp_sgd import ClippedNoisySum
from fedmeta_privacy.noise import DiscreteGaussian

from ..algorithms import contributions
from ..datasets.codebook import Codebook
from ..datasets.records import SiteRecords
from ..entropy import role_key
from ..errors import FileError, UserError
from ..pilots import NAMES
from ..pilots.hospital import HospitalPilot, plan_with
from ..plan import Plan, read_toml
from ..schedule import Schedule, make_schedule
from ..tasks import Task, register

Float = NDArray[np.float64]


class NotAttackable(UserError):
    """A run whose records are not at hand, or that hides nothing to attack.

    Cause: Records that never left their sites, a mode or algorithm that the attacks do not know, or sites without
    query records.
    Remedy: Attack a pilot by name, or a run of one.
    """

    code = "SFM-128"


@dataclass(frozen=True, slots=True, eq=False)
class Target:
    """A round of a federation, seen from inside.

    Attributes:
        name: for people.
        theta: the model that was announced in the attacked round, (d,).
        tasks: each site's records, by client id.
        outsiders: rows and labels of people at no member site: the attacker's reference.
        held_out: rows and labels of people of each site that it did not register, by client id.
    """

    name: str
    plan: Plan
    schedule: Schedule
    theta: Float
    tasks: Mapping[int, Task]
    outsiders: tuple[Float, Float]
    held_out: Mapping[int, tuple[Float, Float]]

    def __repr__(self) -> str:
        return f"Target({self.name!r})"

    def clipped(self, site: int) -> Float:
        """Each query record's clipped contribution at one site, (m, d), as the site itself computes them."""
        return self.clip(contributions(self.theta, self.tasks[site], self.plan))

    def clip(self, rows: Float) -> Float:
        """The plan's clipping, record by record."""
        norms = np.linalg.norm(rows, axis=1, keepdims=True)
        clipped: Float = rows * np.minimum(1.0, self.plan.clip_norm / np.maximum(norms, 1e-300))
        return clipped

    def upload(self, site: int, entropy: Entropy | None) -> NDArray[np.int64]:
        """What the site would upload, in steps; with its noise if entropy for it is given."""
        scale = self.schedule.scale
        noise = DiscreteGaussian(scale) if scale is not None and entropy is not None else None
        words = Keystream(entropy(16)).words if noise is not None and entropy is not None else None
        encoding = self.schedule.encoding
        release = ClippedNoisySum(clip_norm=self.plan.clip_norm, encoding=encoding, noise=noise)
        return release(contributions(self.theta, self.tasks[site], self.plan), words)

    def noise(self, entropy: Entropy, *, draws: int, parties: int) -> Float:
        """`draws` sums of so many parties' noises, (draws, d), in the vector's own units; zeros without noise."""
        scale, encoding = self.schedule.scale, self.schedule.encoding
        total = np.zeros(draws * encoding.dimension, np.int64)
        if scale is not None:
            sampler = DiscreteGaussian(scale)
            for _ in range(parties):
                total += sampler.sample(total.size, Keystream(entropy(16)).words)
        in_units: Float = total.reshape(draws, encoding.dimension).astype(np.float64) * encoding.step
        return in_units

    def noise_deviation(self, parties: int) -> float:
        """Standard deviation of one coordinate of so many parties' noise, in the vector's own units."""
        schedule = self.schedule
        return (schedule.scale or 0.0) * schedule.encoding.step * float(np.sqrt(parties))


def load_target(what: str) -> Target:
    """A pilot by name (its first round), or the folder of a run (a round at its released model).

    Raises:
        NotAttackable: the run's records are not at hand.  FileError: no such pilot or folder.

    Example:
        >>> load_target("hospital").name
        'hospital pilot, round 1'
    """
    if what in NAMES:
        return _hospital(plan_with({}), None, f"{what} pilot, round 1")
    folder = Path(what)
    if not folder.is_dir():
        raise FileError("no such pilot or folder", what, f"name a run's folder, or one of: {', '.join(NAMES)}")
    pilot, settings = read_toml(folder / "config.toml")
    if pilot not in NAMES:
        raise NotAttackable(
            f"the run is of {pilot!r}, and its records never left its sites",
            what,
            f"attack a run of a pilot: {', '.join(NAMES)}",
        )
    return _hospital(plan_with(settings, where=what), _model(folder), f"run {folder.name}, a round at its last model")


def _hospital(plan: Plan, theta: Float | None, name: str) -> Target:
    known = (plan.mode, plan.loss, plan.dropout_noise) == ("bounded-glm", "logistic", "over-provision")
    if not known or plan.one_role:
        raise NotAttackable(
            f"mode {plan.mode}, algorithm {plan.algorithm}, loss {plan.loss}, dropout_noise {plan.dropout_noise}: the "
            "attacks know the uploads of MAML on logistic regression with one noise a site",
            name,
            "attack a run of mode bounded-glm, algorithm maml, loss logistic and dropout_noise over-provision",
        )
    pilot = HospitalPilot(plan)
    schedule = make_schedule(
        plan, clients=plan.clients, dimension=pilot.codebook.width, codebook_hash=pilot.codebook.digest()
    )
    if theta is not None and theta.shape != (schedule.dimension,):
        raise NotAttackable("the model does not belong to the pilot", name, "run it again")
    tasks = {number: _registered(plan, site, pilot.codebook) for number, site in enumerate(pilot.sites, start=1)}
    rows = np.concatenate([site.rows for site in pilot.unseen])
    labels = np.concatenate([site.labels for site in pilot.unseen])
    start = np.zeros(schedule.dimension) if theta is None else theta
    held_out = {number: (site.test_rows, site.test_labels) for number, site in enumerate(pilot.members, start=1)}
    return Target(name, plan, schedule, start, tasks, (rows, labels), held_out)


def _registered(plan: Plan, site: SiteRecords, codebook: Codebook) -> Task:
    """The task as the simulated site made it: its role key follows from the plan's seed."""
    features, _ = codebook.check_ranges(site.features, on_outside=plan.outside)
    rows = codebook.encode(features)
    return register(rows, site.labels, site.ids, plan=plan, key=role_key(site.name, plan.seed), site=site.name)


def _model(folder: Path) -> Float:
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    path = folder / "model.safetensors"
    try:
        theta: Float = load_file(path)["theta"]
    except (OSError, SafetensorError, KeyError):
        raise FileError("cannot read the run's model", str(path), "name the folder of a finished run") from None
    if theta.dtype != np.float64 or theta.ndim != 1 or not np.isfinite(theta).all():
        raise FileError("the run's model is not a finite vector", str(path), "name the folder of a finished run")
    return theta
