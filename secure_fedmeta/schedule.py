# SPDX-License-Identifier: Apache-2.0
"""A plan made exact for a cohort and a dimension: sensitivities, encoding, noise and budget.

Every client computes its own schedule from its own plan; nothing in it comes from the server.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fedmeta_crypto.homomorphic.rlwe import RlweScheme
from fedmeta_privacy import gdp
from fedmeta_privacy.calibration import Release
from fedmeta_privacy.clipping import Clipping
from fedmeta_privacy.encoding import IntegerEncoding
from fedmeta_privacy.errors import PlanError, SurplusRefused
from fedmeta_privacy.events import DiscreteGaussianSum
from fedmeta_privacy.ledger import Json, canonical
from fedmeta_privacy.sensitivity import RoleSensitivity
from fedmeta_privacy.surplus import SurplusNoise

from .aggregation import DECRYPTED, SPLIT, Scheme, ring_bits, scheme_of
from .behaviour import behaviour_of
from .clip_plan import clipping_of, largest_of_row
from .hiding import Hiding, hiding_for
from .mechanism import InnerRelease, claim_of, inner_counts, inner_releases, rounding_cost, upload_sensitivity
from .noise_plan import Counted, UploadNoise, plan_noise
from .plan import Plan

if TYPE_CHECKING:
    from .parameters import Architecture


@dataclass(frozen=True, slots=True)
class Schedule:
    """What every party of a run agrees on, derived from the plan.

    Attributes:
        plan: the settings.
        clients: n, members of the cohort.
        dimension: d, numbers that are learned: parameters of the model, and rates with meta-sgd.
        hiding: strength and graph; k, t, A, D and c.
        planned_survivors: how many the noise is planned for.
        sensitivity: per role, before encoding.
        noise: encoding, noise and budget of the uploads; its parts can be asked for here as well.
        codebook_hash: SHA-256 of the public ranges, bound into the masks.
        inner: noisy sums inside each adaptation (mode noisy-inner).
        architecture: the network; None for the closed-form models, and for an auditor, who has its digest alone.
        network: SHA-256 of the network's description; None for the closed-form models.
        layers: lengths of the named parts of what is learned, where they are clipped one by one; else ().
        scheme: the encryption that uploads travel in beside their masks; None where they are masked alone, or not at
            all.
        behaviour_digest: SHA-256 of all settings that change what a client sends or what it means.
    """

    plan: Plan
    clients: int
    dimension: int
    hiding: Hiding
    planned_survivors: int
    sensitivity: RoleSensitivity
    noise: UploadNoise
    codebook_hash: bytes
    inner: tuple[InnerRelease, ...] = ()
    architecture: Architecture | None = None
    network: bytes | None = None
    layers: tuple[int, ...] = ()
    scheme: Scheme | None = field(default=None, repr=False)
    behaviour_digest: bytes = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "behaviour_digest", hashlib.sha256(canonical(self.behaviour())).digest())

    @property
    def release(self) -> Release:
        """What one round releases, in steps."""
        return self.noise.release

    @property
    def encoding(self) -> IntegerEncoding:
        """Float to ring."""
        return self.noise.encoding

    @property
    def scale(self) -> float | None:
        """Each site's noise in steps, without its removable parts; None without a guarantee."""
        return self.noise.scale

    @property
    def surplus(self) -> SurplusNoise | None:
        """The law of each site's noise where parts of it are removed; None where none are."""
        return self.noise.surplus

    @property
    def clipping(self) -> Clipping:
        """How each row is clipped; of an adaptive rule the start."""
        return clipping_of(self.plan, self.layers)

    @property
    def length(self) -> int:
        """Coordinates of an upload: the model's, and with adaptive clipping a count."""
        return self.encoding.dimension

    @property
    def session_length(self) -> int:
        """Words that a round masks: of the upload, or of the secret that an encrypted upload is under."""
        return self.length if self.scheme is None else self.scheme.session_length

    @property
    def session_modulus_bits(self) -> int:
        """Ring of a round's masks, in bits."""
        if self.split:
            return 0  # its ring is the prime `SplitScheme.modulus`
        scheme = self.scheme
        return scheme.session_modulus_bits if isinstance(scheme, RlweScheme) else self.encoding.modulus_bits

    @property
    def split(self) -> bool:
        """Whether uploads are masked words under the key of a second server, the decryptor."""
        return self.hiding.aggregation in SPLIT

    @property
    def decrypted(self) -> bool:
        """Whether a second server, the decryptor, holds the key of each round."""
        return self.hiding.aggregation in DECRYPTED

    @property
    def rounding_cost(self) -> float:
        """By which fraction rounding to steps raised the sensitivity, and with it the noise for one epsilon."""
        return rounding_cost(self.release.l2_sensitivity, self.encoding, self.sensitivity.worst)

    @property
    def limit(self) -> float:
        """mu_B^2 of the budget; infinite without a guarantee."""
        return self.noise.limit

    @property
    def masked(self) -> bool:
        """Whether uploads are hidden in a masked sum."""
        return self.hiding.masked

    @property
    def threshold(self) -> int:
        """t: shares that open a secret."""
        return self.hiding.graph.threshold

    @property
    def colluders(self) -> int:
        """c: sites whose noise hides nobody, since they may work with the server; A under signatures."""
        return self.hiding.colluders

    @property
    def private(self) -> bool:
        """Whether an epsilon may be stated at all."""
        return self.scale is not None and not self.plan.insecure_reproducible

    def honest(self, survivors: int, votes: int | None = None) -> int:
        """Survivors whose noise still hides a record from the server."""
        return self.hiding.honest(survivors, votes)

    @property
    def start(self) -> NDArray[np.float64] | None:
        """What is learned, at first; None for zeros."""
        if self.architecture is None:
            return None
        from .algorithms.planned import algorithm_of

        first: NDArray[np.float64] = algorithm_of(self.plan, self.architecture).start(self.architecture).numpy()
        return first

    @property
    def columns(self) -> int:
        """Length of an encoded row."""
        return self.dimension // self.plan.outputs

    @property
    def shared(self) -> bool:
        """Whether the uploads' noises add up to hide a unit; not where Hessian products come after the noise."""
        return len(self.inner) < 2

    @property
    def surplus_parts(self) -> int:
        """D, removable parts of each site's noise; 0 where none is removed."""
        return 0 if self.surplus is None else self.surplus.dropped

    def counted(self, survivors: int, votes: int | None = None) -> Counted:
        """The noise that hides a unit from the server in a sum over these survivors."""
        dropped = 0 if self.surplus is None else self.clients - survivors
        return Counted(self.honest(survivors, votes), dropped)

    def shift(self, honest: int, dropped: int = 0) -> float:
        """Squared Gaussian shift of a round with this many honest noises, of the larger role; infinite without any.

        `dropped` sites left it; that changes what stays of each noise if parts of it are removed.
        """
        if self.scale is None or honest < 1:
            return math.inf
        upload = self.noise.shift(Counted(honest if self.shared else 1, dropped))
        return max(upload, self.inner_shift)

    @property
    def inner_shift(self) -> float:
        """Squared Gaussian shift of a support record by the noisy sums inside one adaptation."""
        return sum(one.shift for one in self.inner)

    def events(self, honest: int, dropped: int = 0) -> list[DiscreteGaussianSum]:
        """A round's releases of the costlier role, for another accountant."""
        upload = self.noise.event(Counted(honest if self.shared else 1, dropped))
        if upload.mu_squared >= self.inner_shift:
            return [upload]
        return [one.release.event(one.scale or 0.0, 1) for one in self.inner for _ in range(one.count)]

    @property
    def floor(self) -> Counted:
        """The least noise that a site can be sure of before its upload leaves.

        With removable parts every sum over n - d survivors, d <= D, holds the same honest noise, if c of them are
        corrupt; with other colluders in mind, the sum with the most dropouts holds the least.
        """
        if self.surplus is None:
            return Counted(self.hiding.floor_honest)
        return self.counted(self.hiding.min_survivors)

    @property
    def floor_shift(self) -> float:
        """What a round is charged before it starts."""
        return self.shift(*self.floor)

    @property
    def planned_shift(self) -> float:
        """What a round costs with the planned survivors."""
        return self.shift(*self.counted(self.planned_survivors))

    def epsilon(self, shift: float) -> float:
        """Epsilon at the plan's delta of releases with this total squared shift, rounded up.

        Infinite for a run without a guarantee, reproducible ones included.
        """
        if math.isinf(shift) or not self.private:
            return math.inf
        variation = self.release.variation(self.plan.rounds)
        return _epsilon(math.sqrt(shift), self.plan.delta, total_variation=variation)

    def behaviour(self) -> dict[str, Json]:
        """All settings that change what a client sends or what it means, as canonical JSON values."""
        return behaviour_of(self)

    def behaviour_hash(self, model: bytes) -> bytes:
        """Binds the model and the whole behaviour into the masks: two versions never cancel."""
        return hashlib.sha256(b"sfm-behaviour/1" + self.behaviour_digest + model).digest()


# Asked for many times a round with the same few arguments.
_epsilon = lru_cache(maxsize=1024)(gdp.epsilon_upper)


def make_schedule(
    plan: Plan,
    *,
    clients: int,
    dimension: int,
    codebook_hash: bytes = bytes(32),
    architecture: Architecture | None = None,
    network: bytes | None = None,
    layers: tuple[int, ...] = (),
) -> Schedule:
    """Work out a plan for `clients` sites and a vector of `dimension` learned numbers.

    These are the model's parameters, and whatever the algorithm learns beside them (`theta_lengths`). `architecture` is
    the network of a mode that takes any; the closed-form models of mode bounded-glm have none. Who only checks the
    numbers gives its digest as `network` instead, and its `layers` where they are clipped one by one.

    Raises:
        PlanError: the plan has no guarantee, or cannot run; the reason is in the text.
        UnsupportedClaim, UnprovedAdaptation: unit, adjacency, mode or adaptation that nothing is proved for.
        AlgorithmRefused: settings of the algorithm that do not go together, or do not fit the network.
        EncodingOverflow: the sum could leave the ring.
        AggregationRefused: nothing in this release adds uploads in the plan's way, or not so many of them.

    Example:
        >>> schedule = make_schedule(Plan(rounds=40), clients=10, dimension=31)
        >>> schedule.threshold, schedule.epsilon(40 * schedule.planned_shift) <= 3.0
        (6, True)
    """
    hiding = hiding_for(plan, clients)
    _check_delta(plan, clients)
    if architecture is not None:
        from .algorithms.planned import algorithm_of, theta_lengths

        algorithm_of(plan, architecture)  # refuses settings that do not fit
        network, layers = architecture.digest, theta_lengths(plan, architecture)
        if sum(layers) != dimension:
            raise PlanError(
                f"{plan.algorithm} of this network learns {sum(layers)} numbers, not {dimension}", "state that number"
            )
    row = claim_of(plan, network=network is not None)
    _check_model(plan, dimension, network=network is not None)
    layers = layers if plan.clipping == "per-layer" else ()
    if layers and sum(layers) != dimension:
        raise PlanError(f"layers of {sum(layers)} parameters in a network of {dimension}", "state its own layers")
    rule = clipping_of(plan, layers)
    sensitivity = upload_sensitivity(plan, row, rule, dimension)
    shared = len(inner_counts(plan)) < 2
    if not shared and plan.dropout_noise == "surplus":
        raise SurplusRefused(
            "surplus noise in mode noisy-inner, second order: Hessian products come after a site's noise there, so no "
            "part of it can be taken off the sum",
            "use algorithm fomaml, or over-provision",
        )
    survivors = _planned_survivors(plan, hiding)
    length = dimension + rule.extra_coordinates
    bits = ring_bits(plan.aggregation, clients=clients, dimension=length, stated=plan.modulus_bits)
    scheme = scheme_of(plan.aggregation, clients=clients, bits=bits, dimension=length)
    bounded = plan.mode == "bounded-glm" and not plan.one_role
    largest = plan.unit_slots * (sensitivity.query if bounded else largest_of_row(rule))
    noise = plan_noise(
        plan,
        hiding,
        sensitivity=sensitivity.worst,
        largest=largest,
        dimension=length,
        inner=sum(count for count, _ in inner_counts(plan)),
        planned=hiding.honest(survivors) if shared else 1,
        floor=hiding.floor_honest if shared else 1,
    )
    dropped = 0 if noise.surplus is None else clients - survivors
    planned = Counted(hiding.honest(survivors) if shared else 1, dropped)
    inner = inner_releases(plan, row, dimension, allowance=None if noise.scale is None else noise.shift(planned))
    if not shared:  # the products come after the noise
        _, product = inner
        step = product.clip_norm + product.largest_noise / plan.support_slots
        largest += noise.reach * noise.encoding.step + product.count * plan.inner_lr * step
        noise.encoding.check_room(parties=clients, largest_coordinate=largest, noise_reach=0)
    return Schedule(
        plan=plan,
        clients=clients,
        dimension=dimension,
        hiding=hiding,
        planned_survivors=survivors,
        sensitivity=sensitivity,
        noise=noise,
        codebook_hash=codebook_hash,
        inner=inner,
        architecture=architecture,
        network=network,
        layers=layers,
        scheme=scheme,
    )


def _check_model(plan: Plan, dimension: int, *, network: bool) -> None:
    if plan.loss != "cross-entropy" and plan.classes != 2:
        raise PlanError(f"{plan.classes} classes with the {plan.loss} loss", "use loss=cross-entropy")
    if not network and plan.mode != "bounded-glm":
        raise PlanError(f"mode {plan.mode} needs a network", "pass one as `model`")
    if not network and plan.algorithm == "anil" and plan.head:
        raise PlanError("a head is named in a linear model, whose head is all of it", "leave `head` out")
    if not network and dimension % plan.outputs:
        raise PlanError(f"{dimension} parameters are not {plan.outputs} rows of features", "use a multiple")


def _check_delta(plan: Plan, clients: int) -> None:
    """Compare delta with the registered slots, a public bound on N: the count of records is not for telling."""
    slots = clients * plan.registered_slots
    if plan.epsilon is not None and plan.delta >= 1 / slots:
        raise PlanError(
            f"delta={plan.delta:g} is not below 1/N = {1 / slots:.3g} (N = {slots} registered slots): publishing one "
            f"whole {plan.unit} at random would satisfy it",
            f"choose delta <= {0.5 / slots:.1g}",
        )


def _planned_survivors(plan: Plan, hiding: Hiding) -> int:
    """Survivors that noise is planned for: the stated number, else round(n (1 - dropout)), n_min at least if signed."""
    n, least = hiding.clients, hiding.min_survivors
    planned = plan.planned_survivors
    if planned is None:
        planned = max(1, round(n * (1 - plan.dropout)), least if hiding.signed else 0)
    if planned > n:
        raise PlanError(f"{planned} survivors are planned among {n} sites", "plan at most all of them")
    if hiding.masked and planned < least:
        raise PlanError(
            f"a round needs {least} survivors ({n} sites, t = {hiding.graph.threshold}); {planned} are planned",
            "plan for more survivors or less dropout, lower the threshold or raise dropout_fraction, or add sites",
        )
    return planned
