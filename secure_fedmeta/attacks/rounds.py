# SPDX-License-Identifier: Apache-2.0
"""One masked round with everyone in this process: the product's own sessions, fresh keys, real dropouts."""

from __future__ import annotations

import math
import os
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedmeta_crypto import SERVER, ClientPolicy, ClientSession, Phase, RoundParameters, ServerSession, Step, Strength
from fedmeta_crypto.identities import AllowList, Identity
from fedmeta_crypto.secagg.step import SumOpened

from ..errors import SettingError

Residues = NDArray[np.uint32]


@dataclass(frozen=True, slots=True)
class Opened:
    """What the server holds after the round.

    Attributes:
        total: sum of the survivors' vectors, mod 2^b, (d,).
        survivors: whose vectors are in it.
    """

    total: Residues
    survivors: tuple[int, ...]


def masked_sum(vectors: Mapping[int, Residues], *, silent: Collection[int] = (), modulus_bits: int = 32) -> Opened:
    """Sum vectors mod 2^b through a whole signed round on the complete graph; nobody is taken to be corrupt.

    Args:
        vectors: by client id, (d,), below 2^b.
        silent: clients that deal their shares and fall silent before their masked input.
        modulus_bits: b.

    Raises:
        SettingError: fewer than three clients, or nobody left.  PlanRefused: too many silent ones for the threshold.

    Example:
        >>> ones = {i: np.ones(3, np.uint32) for i in range(1, 6)}
        >>> opened = masked_sum(ones, silent=[2])
        >>> opened.total.tolist(), opened.survivors
        ([4, 4, 4], (1, 3, 4, 5))
    """
    cohort, lost = tuple(sorted(vectors)), frozenset(silent)
    n = len(cohort)
    if n < 3 or not lost < frozenset(cohort):
        raise SettingError(f"{n} clients, {len(lost)} of them silent", "masked round", "use three clients at least")
    keys = {party: Identity(os.urandom(32)) for party in (*cohort, SERVER)}
    people = AllowList(keys[SERVER].public, {client: keys[client].public for client in cohort})
    length = len(vectors[cohort[0]])
    policy = ClientPolicy(
        min_cohort=3,
        max_length=length,
        max_body_bytes=0,
        last_round=0,
        allowed_strengths=frozenset({Strength.MALICIOUS}),
        allow_list=people,
        corrupt_fraction=0.0,
        dropout_fraction=max(0.1, len(lost) / n),
        complete_up_to=n,
    )
    graph = policy.graph(n, Strength.MALICIOUS)
    server = ServerSession(
        RoundParameters(
            round=1,
            cohort=cohort,
            threshold=graph.threshold,
            min_survivors=n - graph.dropped,
            modulus_bits=modulus_bits,
            length=length,
            behaviour_hash=bytes(32),
            server_nonce=os.urandom(32),
            body=b"",
            strength=Strength.MALICIOUS,
            neighbours=graph.neighbours,
            corrupt=graph.corrupt,
            identities=people.digest(cohort),
        ),
        identity=keys[SERVER],
        allow_list=people,
    )
    inbox = _inbox(server.announce())
    clients = {
        client: ClientSession(message, client_id=client, policy=policy, identity=keys[client], entropy=os.urandom)
        for client, message in inbox.items()
    }
    step = _collect(server, ((client, session.advertise_keys()) for client, session in clients.items()))
    step = _deliver(server, clients, step)
    for client, message in _inbox(step).items():
        clients[client].receive(message)
    alive = [client for client in cohort if client not in lost]
    step = _collect(server, ((client, clients[client].mask_input(vectors[client])) for client in alive))
    if lost:
        step = server.deadline(Phase.MASK_INPUT)
    step = _deliver(server, clients, step)
    step = _deliver(server, clients, step)
    opened = next(event for event in step.events if isinstance(event, SumOpened))
    return Opened(opened.total, opened.survivors)


def _inbox(step: Step) -> dict[int, bytes]:
    return {out.to: out.message for out in step.send}


def _deliver(server: ServerSession, clients: Mapping[int, ClientSession], step: Step) -> Step:
    """Everyone answers what the server sent."""
    return _collect(server, ((client, clients[client].receive(message)) for client, message in _inbox(step).items()))


def _collect(server: ServerSession, answers: Iterable[tuple[int, Step]]) -> Step:
    last = Step()
    for client, answer in answers:
        (out,) = answer.send
        last = server.receive(out.message, sender=client)
    return last


def silent_clients(cohort: Collection[int], share: float) -> tuple[int, ...]:
    """The last floor(share n) of a cohort.

    Example:
        >>> silent_clients(range(1, 11), 0.3)
        (8, 9, 10)
    """
    ordered = sorted(cohort)
    return tuple(ordered[len(ordered) - math.floor(share * len(ordered) + 1e-9) :])
