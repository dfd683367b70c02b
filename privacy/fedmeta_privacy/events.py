# SPDX-License-Identifier: Apache-2.0
"""What happened, as data: frozen events that an accountant consumes, read, repeated and composed.

The classes stand in `mechanisms` (nothing sampled) and `sampling`; here are what joins them and the interchange form.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from .claims import Adjacency
from .errors import MixedAdjacency, PlanError, UnsupportedEvent
from .mechanisms import (
    SMALLEST_SCALE,
    SMOOTHING_VARIANCE,
    DiscreteGaussianSum,
    Gaussian,
    NonPrivate,
    SkellamSum,
    whole,
)
from .sampling import (
    CappedPoisson,
    ClientThenRecord,
    FixedSizeGaussian,
    PoissonDiscreteGaussianSum,
    PoissonGaussian,
)

_LEAST, _MOST = 1e-6, 1e12  # of what may be written down as an event
_DEEPEST = 16

Basic = (
    Gaussian
    | PoissonGaussian
    | DiscreteGaussianSum
    | PoissonDiscreteGaussianSum
    | ClientThenRecord
    | CappedPoisson
    | FixedSizeGaussian
    | SkellamSum
    | NonPrivate
)


@dataclass(frozen=True, slots=True)
class Repeated:
    """An event that happened `count` times."""

    event: Event
    count: int

    def __post_init__(self) -> None:
        whole(self.count)


@dataclass(frozen=True, slots=True)
class Composed:
    """Events that all happened to the same units, in any order."""

    events: tuple[Event, ...]


Event = Basic | Repeated | Composed


def flatten(events: Iterable[Event], times: int = 1, depth: int = 0) -> Iterator[tuple[Basic, int]]:
    """Every basic event with how often it stands there (its own `count` not included).

    Raises:
        UnsupportedEvent: more than 16 levels, or something that is no event.

    Example:
        >>> list(flatten([Repeated(Composed((Gaussian(1.0), NonPrivate())), 3)]))
        [(Gaussian(noise_multiplier=1.0, count=1, adjacency=<Adjacency.SLOT: 'slot'>), 3), (NonPrivate(), 3)]
    """
    if depth > _DEEPEST:
        raise UnsupportedEvent(f"events are nested deeper than {_DEEPEST} levels", "list them flat")
    for event in events:
        match event:
            case Repeated():
                yield from flatten((event.event,), times * event.count, depth + 1)
            case Composed():
                yield from flatten(event.events, times, depth + 1)
            case _ if isinstance(event, Basic):
                yield event, times
            case _:
                raise UnsupportedEvent(f"{type(event).__name__} is no event", "use a class of fedmeta_privacy.events")


def common_adjacency(events: Iterable[Basic]) -> Adjacency:
    """The one adjacency that all events are proved for.

    Raises:
        MixedAdjacency: there are two; `as_replace_one` converts those for which a conversion is proved.
    """
    found = {event.adjacency for event in events if not isinstance(event, NonPrivate)}
    if len(found) > 1:
        raise MixedAdjacency(sorted(adjacency.value for adjacency in found))
    return found.pop() if found else Adjacency.SLOT


def as_replace_one(event: Event) -> Event:  # noqa: PLR0911 - one per class
    """The same release under replace-one adjacency: valid where the bound depends on the sensitivity alone.

    Replacing a unit is removing one and adding another, so the sum moves by at most twice the add/remove sensitivity.
    Poisson-sampled events are refused: both units' coins matter, and doubling the sensitivity inside is not proved
    here.

    Example:
        >>> as_replace_one(Gaussian(2.0)).noise_multiplier
        1.0
    """
    match event:
        case Repeated():
            return Repeated(as_replace_one(event.event), event.count)
        case Composed():
            return Composed(tuple(as_replace_one(each) for each in event.events))
        case NonPrivate() | FixedSizeGaussian():
            return event
        case Gaussian() | DiscreteGaussianSum() | SkellamSum() if event.adjacency is Adjacency.REPLACE_ONE:
            return event
        case Gaussian():
            return replace(event, noise_multiplier=event.noise_multiplier / 2, adjacency=Adjacency.REPLACE_ONE)
        case DiscreteGaussianSum():
            return replace(event, l2_sensitivity=2 * event.l2_sensitivity, adjacency=Adjacency.REPLACE_ONE)
        case SkellamSum():
            return replace(
                event,
                l1_sensitivity=2 * event.l1_sensitivity,
                l2_sensitivity=2 * event.l2_sensitivity,
                adjacency=Adjacency.REPLACE_ONE,
            )
    raise UnsupportedEvent(
        f"{type(event).__name__} has no proved replace-one form", "account for add/remove, or use FixedSizeGaussian"
    )


def mu_squared(events: Iterable[Event]) -> float:
    """Squared Gaussian shift of events that are all Gaussian, rounded up; infinite if one is non-private.

    Raises:
        UnsupportedEvent: an event has a sampling probability, or no Gaussian bound.
    """
    total = 0.0
    for event, times in flatten(events):
        match event:
            case Gaussian() | DiscreteGaussianSum():
                total += times * event.mu_squared * (1 + 2.0**-50)
            case NonPrivate():
                return math.inf
            case _:
                raise UnsupportedEvent(f"{type(event).__name__} has no exact Gaussian shift", "use the accountant")
    return total


def total_variation(events: Iterable[Event]) -> float:
    """How far the executed noise of all events together is from the laws they are accounted as."""
    total = 0.0
    for event, times in flatten(events):
        match event:
            case DiscreteGaussianSum() | PoissonDiscreteGaussianSum():
                total += times * event.total_variation
            case SkellamSum():
                total += times * event.count * event.variation
            case _:
                pass
    return total * (1 + 2.0**-40)


# Interchange form: type -> (fields that must be there, fields that may be).
_FIELDS: dict[str, tuple[frozenset[str], frozenset[str]]] = {
    "gaussian": (frozenset({"sigma"}), frozenset({"count"})),
    "poisson_gaussian": (frozenset({"sigma", "q"}), frozenset({"count"})),
    "client_then_record": (frozenset({"sigma", "q_client", "q_record"}), frozenset({"count"})),
    "fixed_size_gaussian": (frozenset({"sigma_over_clip", "population", "sample"}), frozenset({"count"})),
    "capped_poisson": (frozenset({"sigma", "q", "population", "cap"}), frozenset({"count"})),
    "discrete_gaussian_sum": (
        frozenset({"l2", "variance", "smallest_scale", "parties", "dimension", "sampler_variation"}),
        frozenset({"q", "count"}),
    ),
    "skellam_sum": (frozenset({"l1", "l2", "variance"}), frozenset({"sampler_variation", "count"})),
    "repeated": (frozenset({"event"}), frozenset({"count"})),
    "composed": (frozenset({"events"}), frozenset()),
    "non_private": (frozenset(), frozenset()),
}
_WHOLE = frozenset({"count", "population", "sample", "cap", "parties", "dimension"})


def event_from_json(entry: Mapping[str, object], where: str) -> Event:
    """Read one event of the interchange form `{"type", "sigma", "q", "count"}`.

    Raises:
        UnsupportedEvent: unknown type, missing or superfluous field, or a value of the wrong kind.

    Example:
        >>> event_from_json({"type": "poisson_gaussian", "sigma": 2, "q": 0.5, "count": 3}, "case a")
        PoissonGaussian(noise_multiplier=2.0, sampling_probability=0.5, count=3)
    """
    return _read(entry, where, 0)


def _read(entry: object, where: str, depth: int) -> Event:
    if not isinstance(entry, Mapping) or depth > _DEEPEST:
        raise UnsupportedEvent(f"{where}: an event is no object, or nested too deep", 'give {"type": ...}')
    kind = entry.get("type")
    if not isinstance(kind, str) or kind not in _FIELDS:
        raise UnsupportedEvent(f"{where}: event type {kind!r} is not known", f"use one of {sorted(_FIELDS)}")
    must, may = _FIELDS[kind]
    stray, missing = set(entry) - must - may - {"type"}, must - set(entry)
    if stray or missing:
        problem = f"has no {sorted(missing)}" if missing else f"has the unknown field {sorted(stray)}"
        raise UnsupportedEvent(f"{where}: event {kind} {problem}", f"give exactly {sorted(must | may | {'type'})}")
    if kind == "composed":
        inside = entry["events"]
        if not isinstance(inside, list):
            raise UnsupportedEvent(f"{where}: a composed event holds no list", 'give "events": [...]')
        return Composed(tuple(_read(each, where, depth + 1) for each in inside))
    values = {name: _value(entry[name], name, where) for name in entry if name not in {"type", "event"}}
    try:
        if kind == "repeated":
            return Repeated(_read(entry["event"], where, depth + 1), int(values.get("count", 1)))
        return _make(kind, values)
    except PlanError as error:
        raise UnsupportedEvent(f"{where}: {error.what}", error.remedy) from None


def _value(value: object, name: str, where: str) -> float:
    """A number of the interchange form, in range; whole where the field counts something."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise UnsupportedEvent(f"{where}: {name} is {value!r}", "give a number")
    if name in _WHOLE and not isinstance(value, int):
        raise UnsupportedEvent(f"{where}: {name} is {value!r}", "give a whole number")
    least = 0.0 if name == "sampler_variation" else _LEAST if name not in {"q", "q_client", "q_record"} else -math.inf
    if not least <= value <= (1e300 if name == "variance" else _MOST):
        raise UnsupportedEvent(f"{where}: {name} {value} is out of range", f"use {_LEAST:g} to {_MOST:g}")
    return value


def _make(kind: str, v: Mapping[str, float]) -> Event:  # noqa: PLR0911 - one per class
    """The event of checked fields."""
    count = int(v.get("count", 1))
    match kind:
        case "gaussian":
            return Gaussian(float(v["sigma"]), count)
        case "poisson_gaussian":
            return PoissonGaussian(float(v["sigma"]), float(v["q"]), count)
        case "client_then_record":
            return ClientThenRecord(float(v["sigma"]), float(v["q_client"]), float(v["q_record"]), count)
        case "fixed_size_gaussian":
            return FixedSizeGaussian(float(v["sigma_over_clip"]), int(v["population"]), int(v["sample"]), count)
        case "capped_poisson":
            return CappedPoisson(float(v["sigma"]), float(v["q"]), int(v["population"]), int(v["cap"]), count)
        case "skellam_sum":
            variation = float(v.get("sampler_variation", 0.0))
            return SkellamSum(float(v["l1"]), float(v["l2"]), float(v["variance"]), count, variation)
        case "discrete_gaussian_sum":
            made = DiscreteGaussianSum(
                float(v["l2"]),
                noise_variance=float(v["variance"]),
                smallest_scale=float(v["smallest_scale"]),
                parties=int(v["parties"]),
                dimension=int(v["dimension"]),
                sampler_variation=float(v["sampler_variation"]),
            )
            if "q" in v:
                return PoissonDiscreteGaussianSum(made, float(v["q"]), count)
            return made if count == 1 else Repeated(made, count)
    return NonPrivate()


__all__ = [
    "SMALLEST_SCALE",
    "SMOOTHING_VARIANCE",
    "Basic",
    "CappedPoisson",
    "ClientThenRecord",
    "Composed",
    "DiscreteGaussianSum",
    "Event",
    "FixedSizeGaussian",
    "Gaussian",
    "NonPrivate",
    "PoissonDiscreteGaussianSum",
    "PoissonGaussian",
    "Repeated",
    "SkellamSum",
    "as_replace_one",
    "common_adjacency",
    "event_from_json",
    "flatten",
    "mu_squared",
    "total_variation",
]
