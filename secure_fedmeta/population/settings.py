# SPDX-License-Identifier: Apache-2.0
"""The settings of a simulated training, checked when made, with the account that follows from them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, fields, is_dataclass

from fedmeta_privacy.encoding import IntegerEncoding
from fedmeta_privacy.ledger import Json, canonical
from fedmeta_privacy.noise import DiscreteGaussian

from ..engines.batched import BatchedEngine
from ..errors import RoundRefused, SettingError
from ..losses import ROW_LOSSES
from .accounting import Account, account_of
from .clients import ClientSource
from .cohorts import Available, Cohorts, Dropouts, Everyone, FixedSize, Poisson
from .local_sgd import LocalSgd
from .rounds import DiscreteNoise, NormalNoise
from .updates import Updates

RELIABLE = Dropouts(0.0)


@dataclass(frozen=True, slots=True)
class Training:
    """What a run does; public, and the same when it is resumed.

    Attributes:
        updates, source, cohorts: what clients compute, who they are, and who takes part.
        rounds: training rounds.
        server_lr: the model goes by -server_lr * sum / divisor.
        divisor: a public constant, for instance the expected number of members; never the number that took part.
        clip_norm: C of a client's vector; None without clipping, and then without noise.
        noise, encoding: as in `rounds`: floats without an encoding, integers with one.
        dropouts: of members, after the cohort is drawn.
        floor: fewest survivors that a round is opened with, colluders included.
        colluders: members at most who may work with the server; to be stated where clients draw the noise.
        data: the name of the clients' data, which the settings' digest stands for; needed to keep a run in a folder.
        spare: attempts that may be lost to crashes beside the planned rounds; the budget is for both.
        delta: of the printed epsilon; below 1/N where there is noise.
        seed, reproducible: see the module.

    Raises:
        SettingError, RoundRefused, CohortRefused: numbers out of range, or nothing is proved.
    """

    updates: Updates
    source: ClientSource = field(repr=False)
    cohorts: Cohorts
    rounds: int
    divisor: float
    server_lr: float = 1.0
    clip_norm: float | None = None
    noise: NormalNoise | DiscreteNoise | None = None
    encoding: IntegerEncoding | None = None
    dropouts: Dropouts = RELIABLE
    floor: int = 1
    colluders: int | None = None
    data: str = ""
    spare: int = 0
    delta: float = 1e-5
    seed: int = 0
    reproducible: bool = False
    account: Account = field(init=False)

    def __post_init__(self) -> None:
        if not callable(getattr(self.updates, "total", None)) or isinstance(self.updates, LocalSgd):
            raise SettingError(
                f"updates is a {type(self.updates).__name__}",
                "training",
                "wrap what clients compute: Trained(LocalSgd(...)), or Adapted(engine)",
            )
        if not callable(getattr(self.cohorts, "draw", None)):
            raise SettingError(
                f"cohorts is a {type(self.cohorts).__name__}",
                "training",
                "use Everyone, Poisson, FixedSize or Available",
            )
        counts = (self.rounds, self.floor, self.spare + 1)
        if min(counts) < 1 or not self.divisor > 0 or not self.server_lr > 0 or not 0 < self.delta < 1:
            raise SettingError(
                f"rounds={self.rounds}, floor={self.floor}, spare={self.spare}, divisor={self.divisor}, "
                f"server_lr={self.server_lr}, delta={self.delta}",
                "training",
                "use counts from 1 (spare from 0), positive numbers and 0 < delta < 1",
            )
        if self.clip_norm is None and (self.noise is not None or self.encoding is not None):
            raise RoundRefused("noise or steps without a clip norm", "training", "state clip_norm")
        if isinstance(self.noise, DiscreteNoise) and self.encoding is None:
            raise RoundRefused("discrete noise without an encoding", "training", "pass encoding=")
        if self.encoding is not None:
            self._check_room(self.encoding)
        drawn_from = getattr(self.cohorts, "population", 0)
        if self.noise is not None and self.delta * drawn_from >= 1:
            raise SettingError(
                f"delta={self.delta:g} is not below 1/N = {1 / drawn_from:.3g}: publishing one whole client at random "
                "would satisfy it",
                "training",
                "choose delta < 1/N",
            )
        if drawn_from > len(self.source):
            raise SettingError(
                f"cohorts of {drawn_from} clients, of whom the data hold {len(self.source)}",
                "training",
                "draw from no more than there are",
            )
        account = account_of(
            self.cohorts,
            self.noise,
            clip_norm=self.clip_norm or 1.0,
            encoding=self.encoding,
            floor=self.floor,
            colluders=self.colluders,
            dropouts=self.dropouts.rate > 0,
        )
        object.__setattr__(self, "account", account)

    @property
    def digest(self) -> bytes:
        """SHA-256 of all settings: what is computed (algorithm, network, loss), for whom, and on data of which name.

        A network counts by its own digest, so two whose printed forms are alike are one; and of the data their name and
        number count, since nobody hashes what is made on demand.

        Raises:
            SettingError: something has no name that would tell it from another.
        """
        if not self.data:
            raise SettingError("data has no name", "training", "state data=, the name of the clients' data")
        if isinstance(self.cohorts, Available) and not self.cohorts.name:
            raise SettingError("the schedule has no name", "training", "state its name=, or use Available.windows")
        named = [f.name for f in fields(self) if f.name not in {"source", "account"}]
        stated: dict[str, Json] = {name: _spelled(getattr(self, name)) for name in named}
        stated |= {"clients": len(self.source), "source": type(self.source).__name__}
        return hashlib.sha256(b"sfm-population/2" + canonical(stated)).digest()

    def _check_room(self, encoding: IntegerEncoding) -> None:
        """The sum of as many members as may come must fit the ring: wrapped, it is useless, though no less private."""
        reach = 0
        if isinstance(self.noise, NormalNoise) and (self.noise.draws != "client" or encoding.modulus_bits != 32):
            raise RoundRefused(  # before a round is charged for it
                "rounded normal noise in another ring or for a sum", "training", "draw it by client in 32 bits"
            )
        if isinstance(self.noise, DiscreteNoise):
            reach = DiscreteGaussian(self.noise.scale).reach
        elif self.noise is not None:
            reach = int(14 * self.noise.deviation / encoding.step) + 1
        once = self.noise is not None and self.noise.draws == "sum"
        members = _most(self.cohorts)
        each = int((self.clip_norm or 0.0) / encoding.step) + 1 + (0 if once else reach)
        if members * each + (reach if once else 0) >= 1 << (encoding.modulus_bits - 1):
            raise RoundRefused(
                f"{members} members of up to {each} steps do not fit the ring 2^{encoding.modulus_bits}",
                "training",
                "use a larger step or more bits",
            )


def _most(cohorts: Cohorts) -> int:
    """Members that a ring must have room for; of a Poisson sample ten deviations above the mean."""
    match cohorts:
        case Poisson():
            mean = cohorts.population * cohorts.probability
            likely = min(cohorts.population, int(mean + 10 * mean**0.5 + 10))
            return likely if cohorts.largest is None else cohorts.largest
        case FixedSize():
            return cohorts.size
        case Available() if cohorts.size is not None:
            return cohorts.size
        case Everyone() | Available():
            return cohorts.population
    raise RoundRefused(f"cohorts by {type(cohorts).__name__}", "training", "use a class of `population.cohorts`")


def _spelled(value: object) -> Json:  # noqa: PLR0911 - one per kind
    """Settings as JSON: numbers as their shortest text, networks by their digest, dataclasses by name and fields.

    Raises:
        SettingError: anything else, unless it has a `digest` of its own, 32 bytes.
    """
    if isinstance(value, BatchedEngine):
        loss = next(name for name, row_loss in ROW_LOSSES.items() if row_loss is value.row_loss)
        settings = (value.architecture, value.algorithm, loss, str(value.dtype), value.chunk, value.slots)
        return {"type": type(value).__name__, "settings": [_spelled(one) for one in settings]}
    own = getattr(value, "digest", None)
    if isinstance(own, bytes) and len(own) == 32:
        return {"type": type(value).__name__, "digest": own.hex()}
    if is_dataclass(value) and not isinstance(value, type):
        shown: dict[str, Json] = {f.name: _spelled(getattr(value, f.name)) for f in fields(value) if f.repr}
        return {"type": type(value).__name__, **shown}
    if isinstance(value, bool | str) or value is None:
        return value
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, tuple):
        return [_spelled(one) for one in value]
    raise SettingError(
        f"nothing tells one {type(value).__name__} from another",
        "training",
        "make it a frozen dataclass, or give it a property `digest` of 32 bytes",
    )
