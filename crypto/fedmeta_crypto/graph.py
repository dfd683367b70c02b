# SPDX-License-Identifier: Apache-2.0
"""Who masks with whom: the number of neighbours k and the threshold t, and the graph itself.

Two rules. `assured` needs no luck. The circulant graph C_n(1 .. k/2) is k-connected, and n - D clients at least vote
for the survivors before any share leaves (`RoundParameters.fewest_votes`). Two honest voters that are neighbours masked
with each other, so taking away everyone who is corrupt or did not vote, at most A + D < k, leaves the honest voters
connected wherever they sit: the server opens a sum that holds all of them, or nothing. `published` is the rule of Bell
et al. 2020 (CCS; its semi-malicious protocol) for a graph that is honestly random: smaller k, and a failure probability
of 2^-security_bits over the choice of the graph.

Nobody holds a share of its own secret: thresholds and tails count the other n - 1 clients.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from fedmeta_crypto.errors import PlanRefused

COMPLETE_UP_TO = 128
_GUARD = 1e-9  # of floors of fractions of n: far above their rounding, far below 1
_MOST_LOST = 0.9  # of `published`: corrupt plus dropped (twice dropped where the server may lie), as a share of n
_WHERE = "graph"


@dataclass(frozen=True, slots=True)
class GraphParameters:
    """Neighbours per client and the shares that open a secret.

    Attributes:
        neighbours: k, without the client itself; n - 1 is the complete graph.
        threshold: t.
        corrupt: A, clients assumed to work with the server.
        dropped: D, clients that may fall silent.
    """

    neighbours: int
    threshold: int
    corrupt: int
    dropped: int

    @property
    def fewest_honest(self) -> int:
        """Honest clients, the reader included, in whatever a lying server can open of a graph with 2t > k + t1.

        It takes t of a client's k neighbours to open its input, and at most t1 = 2t - k - 1 of them are corrupt.
        `assured` graphs give more: all survivors or nothing.

        Example:
            >>> GraphParameters(neighbours=32, threshold=22, corrupt=10, dropped=10).fewest_honest
            12
        """
        return self.neighbours - self.threshold + 2


def counts(n: int, corrupt_fraction: float, dropout_fraction: float) -> tuple[int, int]:
    """(A, D): corrupt and dropped clients of n.

    Example:
        >>> counts(100, 0.1, 0.1), counts(600, 0.41, 0.07)
        ((10, 10), (246, 42))
    """
    return math.floor(corrupt_fraction * n + _GUARD), math.floor(dropout_fraction * n + _GUARD)


def tails(*, population: int, marked: int, draws: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(P[X <= x], P[X > x]) for x = 0 .. draws, X hypergeometric: marked ones among `draws` without replacement.

    Each tail is summed from its own small end, so that tiny probabilities keep their digits.

    Example:
        >>> tails(population=10, marked=5, draws=2)[0].round(6).tolist()
        [0.222222, 0.777778, 1.0]
    """
    x = np.arange(draws + 1)
    possible = (x <= marked) & (draws - x <= population - marked)
    log_factorial = _log_factorials(population)

    def choose(n: int, k: NDArray[np.int64]) -> NDArray[np.float64]:
        picked: NDArray[np.float64] = log_factorial[n] - log_factorial[k] - log_factorial[n - k]
        return picked

    mass = np.zeros(draws + 1)
    inside = x[possible]
    total = choose(population, np.array(draws))
    mass[possible] = np.exp(choose(marked, inside) + choose(population - marked, draws - inside) - total)
    above = np.append(np.cumsum(mass[::-1])[::-1][1:], 0.0)
    return np.minimum(np.cumsum(mass), 1.0), above


@lru_cache(maxsize=4)
def _log_factorials(n: int) -> NDArray[np.float64]:
    table: NDArray[np.float64] = np.concatenate(([0.0], np.cumsum(np.log(np.arange(1, n + 1)))))
    return table


def assured(
    n: int, *, corrupt: int, dropped: int, correctness_bits: int = 30, complete_up_to: int = COMPLETE_UP_TO
) -> GraphParameters:
    """Smallest k and t that need no luck for security: k > A + D and 2t > k + min(k, A).

    Liveness is a tail: with S survivors in random places, a client has fewer than t surviving neighbours with
    probability at most 2^-correctness_bits / n.

    Raises:
        PlanRefused: no k and t do it.

    Example:
        >>> assured(1000, corrupt=50, dropped=50)
        GraphParameters(neighbours=102, threshold=77, corrupt=50, dropped=50)
    """
    _check(n, corrupt, dropped)
    survivors = n - dropped
    if n <= complete_up_to:
        k, t = n - 1, majority_against(n - 1, corrupt)
        if t > survivors - 1:
            raise _refused(
                n, corrupt, dropped, f"the complete graph needs t = {t}, a survivor has {survivors - 1} others"
            )
        return GraphParameters(k, t, corrupt, dropped)
    for k in range(2 * ((corrupt + dropped) // 2 + 1), n - 1, 2):
        t = majority_against(k, corrupt)
        below = tails(population=n - 1, marked=survivors - 1, draws=k)[0]
        if t <= k and below[t - 1] <= 2.0**-correctness_bits / n:
            return GraphParameters(k, t, corrupt, dropped)
    return assured(n, corrupt=corrupt, dropped=dropped, complete_up_to=n)


def majority_against(k: int, corrupt: int) -> int:
    """Smallest t with 2t > k + min(k, A): no client's neighbours can give away both of its secrets."""
    return (k + min(k, corrupt)) // 2 + 1


def published(
    n: int,
    *,
    corrupt: int,
    dropped: int,
    malicious: bool,
    security_bits: int = 40,
    correctness_bits: int = 30,
) -> GraphParameters:
    """Smallest even k and its t for a random Harary graph, as production SecAgg+ computes them.

    Three tails: the honest survivors stay connected, at most t1 neighbours are corrupt, at least t2 survive.
    Source: Bell et al. 2020, section 3; values as in the parameter finder of federated-compute (`fcp/secagg`).

    Raises:
        PlanRefused: no random graph does it.

    Example:
        >>> found = published(1000, corrupt=50, dropped=50, malicious=True, correctness_bits=20)
        >>> found.neighbours, found.threshold
        (52, 37)
    """
    _check(n, corrupt, dropped)
    if corrupt + (2 if malicious else 1) * dropped > (_MOST_LOST + _GUARD) * n:
        raise _refused(n, corrupt, dropped, "too many corrupt or dropped for any random graph")
    for k in range(2, n - 1, 2):
        if _disconnected(n, k, corrupt + dropped) >= -(security_bits + 1) * math.log(2):
            continue
        t1 = _corrupt_neighbours(n, k, corrupt, 2.0 ** -(security_bits + 1) / n)
        if malicious:
            t1 = math.ceil((t1 + k - 1.25) / 2)
        t2 = _surviving_neighbours(n, k, n - dropped, 2.0**-correctness_bits / n)
        if t2 > t1:
            return GraphParameters(k, max(t1 + 1, 2), corrupt, dropped)
    raise _refused(n, corrupt, dropped, "no random graph does it; the complete graph may")


def _disconnected(n: int, k: int, removed: int) -> float:
    """Log of the bound on P[the rest falls apart when `removed` random clients go]."""
    if k > removed:
        return -math.inf
    return (
        math.log(n)
        + math.log(n - k - 1)
        - math.log(2)
        + math.lgamma(removed + 1)
        - math.lgamma(removed - k + 1)
        + math.lgamma(n - k + 1)
        - math.lgamma(n + 1)
    )


def _corrupt_neighbours(n: int, k: int, corrupt: int, tail: float) -> int:
    """t1: the fewest that more than t1 corrupt neighbours have at most this probability."""
    return int(np.argmax(tails(population=n, marked=corrupt, draws=k)[1] <= tail))


def _surviving_neighbours(n: int, k: int, survivors: int, tail: float) -> int:
    """t2: the most that fewer than t2 surviving neighbours have at most this probability."""
    return int(np.count_nonzero(tails(population=n, marked=survivors, draws=k)[0][:-1] <= tail))


@lru_cache(maxsize=4)
def ring(ids: tuple[int, ...], session: bytes) -> tuple[tuple[int, ...], dict[int, int]]:
    """The ring's order and each id's place in it: by a hash of session and id.

    Under `assured` the order matters for liveness only (one failing region is not contiguous); under `published` it is
    the random choice of the graph, honest if the nonce in the session is.
    """
    prefix = b"sfm-ring/1" + session
    order = tuple(sorted(ids, key=lambda id_: hashlib.sha256(prefix + id_.to_bytes(4, "little")).digest()))
    return order, {id_: place for place, id_ in enumerate(order)}


def neighbours(ids: tuple[int, ...], k: int, *, of: int, session: bytes) -> tuple[int, ...]:
    """The k neighbours of one client on the circulant graph over the ring, in increasing id; all others if k is n - 1.

    Example:
        >>> neighbours((1, 2, 3, 4, 5), 4, of=2, session=bytes(32))
        (1, 3, 4, 5)
    """
    n = len(ids)
    if k >= n - 1:
        return tuple([id_ for id_ in ids if id_ != of])
    if k % 2 or k < 2:
        raise PlanRefused(f"a circulant graph has an even number of neighbours, not {k}", where=_WHERE)
    order, place_of = ring(ids, session)
    first = place_of[of] - k // 2
    near = [order[(first + step) % n] for step in range(k + 1)]
    near.remove(of)
    return tuple(sorted(near))


def _check(n: int, corrupt: int, dropped: int) -> None:
    if n < 2 or corrupt < 0 or dropped < 0 or corrupt + dropped >= n:
        raise _refused(n, corrupt, dropped, "nobody honest would be left")


def _refused(n: int, corrupt: int, dropped: int, why: str) -> PlanRefused:
    return PlanRefused(f"{n} clients, {corrupt} corrupt, {dropped} dropped: {why}", where=_WHERE)
