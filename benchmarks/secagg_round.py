# SPDX-License-Identifier: Apache-2.0
"""Median wall time of one whole masking round, all clients and the server in one process.

python benchmarks/secagg_round.py --clients 10 --length 31 --dropped 0 --strength malicious --repeat 51 --json
"""

import argparse
import json
import os
import statistics
import time

import numpy as np

from fedmeta_crypto import (
    SERVER,
    ClientPolicy,
    ClientSession,
    Phase,
    RoundParameters,
    ServerSession,
    Step,
    Strength,
)
from fedmeta_crypto.identities import AllowList, Identity
from fedmeta_crypto.secagg.step import SumOpened

STRENGTHS = {"semi-honest": Strength.SEMI_HONEST, "malicious": Strength.MALICIOUS}


def one_round(
    n: int, length: int, dropped: int, vectors: list[np.ndarray], strength: Strength, keys: list[Identity]
) -> np.ndarray:
    """`keys`: of each client and then of the server. The corrupt tenth of a signed round is assumed, not played."""
    people = AllowList(keys[n].public, {id_: keys[id_].public for id_ in range(n)})
    policy = ClientPolicy(
        min_cohort=2,
        min_threshold=1,
        max_length=length,
        max_body_bytes=0,
        last_round=0,
        allowed_strengths=frozenset({strength}),
        allow_list=people,
        dropout_fraction=max(0.1, dropped / n),
    )
    signed: dict[str, object] = {}
    threshold, survivors = min(n // 2 + 1, n - 1), n - dropped
    if strength.signed:
        graph = policy.assured(n)
        threshold, survivors = graph.threshold, n - graph.dropped
        signed = {"strength": strength, "corrupt": graph.corrupt, "identities": people.digest(range(n))}
    parameters = RoundParameters(
        round=1,
        cohort=tuple(range(n)),
        threshold=threshold,
        min_survivors=max(threshold + 1, survivors),
        modulus_bits=32,
        length=length,
        behaviour_hash=bytes(32),
        server_nonce=os.urandom(32),
        body=b"",
        **signed,
    )
    server = ServerSession(parameters, identity=keys[n], allow_list=people)
    clients = {
        o.to: ClientSession(o.message, client_id=o.to, policy=policy, identity=keys[o.to])
        for o in server.announce().send
    }
    step = Step()
    for id_, client in clients.items():
        step = _deliver(server, id_, client.advertise_keys())
    step = _broadcast(server, clients, step)  # rosters out, shares in
    for outgoing in step.send:
        clients[outgoing.to].receive(outgoing.message)
    for id_ in list(clients)[dropped:]:
        step = _deliver(server, id_, clients[id_].mask_input(vectors[id_]))
    if dropped:
        step = server.deadline(Phase.MASK_INPUT)
    if strength.signed:
        step = _broadcast(server, clients, step)  # survivors out, votes in
    step = _broadcast(server, clients, step)  # survivors or votes out, answers in
    opened = step.events[-1]
    if not isinstance(opened, SumOpened):
        raise SystemExit("the round did not open")
    return opened.total


def _deliver(server: ServerSession, id_: int, step: Step) -> Step:
    for outgoing in step.send:
        if outgoing.to == SERVER:
            return server.receive(outgoing.message, sender=id_)
    return step


def _broadcast(server: ServerSession, clients: dict[int, ClientSession], step: Step) -> Step:
    last = step
    for outgoing in step.send:
        last = _deliver(server, outgoing.to, clients[outgoing.to].receive(outgoing.message))
    return last


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clients", type=int, default=10)
    parser.add_argument("--length", type=int, default=31)
    parser.add_argument("--dropped", type=int, default=0, help="clients lost before their masked input")
    parser.add_argument("--strength", choices=STRENGTHS, default="semi-honest")
    parser.add_argument("--repeat", type=int, default=21)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    rng = np.random.default_rng(0)
    vectors = [rng.integers(0, 2**32, args.length, dtype=np.uint32) for _ in range(args.clients)]
    expected = np.sum(vectors[args.dropped :], axis=0, dtype=np.uint32)
    keys = [Identity(os.urandom(32)) for _ in range(args.clients + 1)]
    times = []
    for _ in range(args.repeat + 1):
        start = time.perf_counter()
        total = one_round(args.clients, args.length, args.dropped, vectors, STRENGTHS[args.strength], keys)
        times.append(time.perf_counter() - start)
        if not np.array_equal(total, expected):
            raise SystemExit("wrong sum")
    median_ms = 1e3 * statistics.median(times[1:])  # the first round fills caches
    record = {
        "clients": args.clients,
        "length": args.length,
        "dropped": args.dropped,
        "strength": args.strength,
        "median_ms": median_ms,
    }
    print(json.dumps(record) if args.json else f"{median_ms:.2f} ms median of {args.repeat} rounds: {record}")


if __name__ == "__main__":
    main()
