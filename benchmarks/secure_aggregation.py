# SPDX-License-Identifier: Apache-2.0
"""Time one masking round, part by part: every client and the server on one machine, no network.

python benchmarks/secure_aggregation.py --clients 50 --dimension 100000 --dropout 0.1 --mode malicious --json
python benchmarks/secure_aggregation.py --clients 1000 --neighbours 52 --dimension 1000000 --dropout 0.05 --processes 2

Clients' seconds are the median over clients of what each one computed, by phase; the server's are what it computed in
all. Dropped clients deal their shares and are lost before their masked input. --neighbours counts others, not the
client itself. Where the default policy would want another number, a policy that exists for this benchmark only wants it
(`params.policy` says which: fewer corrupt clients, or a graph that fails more often); all checks stay on. Prints one
JSON object as the last line with --json.
"""

from __future__ import annotations

import argparse
import gc
import itertools
import json
import os
import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Iterable

import numpy as np
from crowd import VERIFYING, Crowd, Processes, Seconds, Setting, TimedAllowList, expected_sum

from fedmeta_crypto import SERVER, ClientPolicy, Phase, RoundParameters, ServerSession, Step, Strength
from fedmeta_crypto.errors import PlanRefused
from fedmeta_crypto.identities import AllowList, Identity
from fedmeta_crypto.secagg.step import SumOpened

MODES = {strength.name.lower().replace("_", "-"): strength for strength in Strength}
CORRUPT = (0.1, 0.05, 0.03, 0.02, 0.01, 0.0)
BITS = (30, 25, 20, 16, 12, 10, 8, 7, 6, 5, 4, 3, 2, 1, 0)


def policy_for(args: argparse.Namespace, people: AllowList) -> tuple[ClientPolicy, dict[str, object]]:
    """The policy of every client: the default one, or one that wants exactly the neighbours asked for."""
    n, strength = args.clients, MODES[args.mode]

    def with_(**numbers: float) -> ClientPolicy:
        return ClientPolicy(
            min_cohort=2,
            max_length=args.dimension,
            max_body_bytes=0,
            last_round=0,
            allowed_strengths=frozenset({strength}),
            allow_list=people,
            **numbers,
        )

    dropped = max(0.05, args.dropout) if n > 500 else max(0.1, args.dropout)
    wanted = args.neighbours
    tried = [{"dropout_fraction": dropped}]
    if wanted not in (None, n - 1):
        tried = [
            {"corrupt_fraction": a, "dropout_fraction": d, "correctness_bits": bits, "complete_up_to": up_to}
            for up_to, bits, a, d in itertools.product((128, 0), BITS, CORRUPT, sorted({0.1, dropped}, reverse=True))
            if d >= args.dropout
        ]
    for numbers in tried:
        try:
            if wanted in (None, (found := with_(**numbers)).graph(n, strength).neighbours):
                return found if wanted else with_(**numbers), numbers
        except PlanRefused:
            continue
    raise SystemExit(f"no policy of {n} clients wants {wanted} neighbours at {args.mode}")


def parameters_for(
    args: argparse.Namespace, policy: ClientPolicy, people: AllowList, lost: list[int]
) -> RoundParameters:
    """The round as announced; its nonce is drawn again while the graph leaves someone without t survivors."""
    n, strength = args.clients, MODES[args.mode]
    graph = policy.graph(n, strength)
    while True:
        parameters = RoundParameters(
            round=1,
            cohort=tuple(range(n)),
            threshold=graph.threshold,
            min_survivors=max(n - graph.dropped, graph.threshold + 1),
            modulus_bits=args.bits,
            length=args.dimension,
            behaviour_hash=bytes(32),
            server_nonce=os.urandom(32),
            body=b"",
            strength=strength,
            neighbours=graph.neighbours,
            corrupt=graph.corrupt,
            identities=people.digest(range(n)) if strength.signed else b"",
        )
        session, gone = parameters.session, set(lost)
        left = (len(set(parameters.neighbours_of(i, session)) - gone) for i in parameters.cohort)
        if min(left) >= graph.threshold:
            return parameters


def one_round(args: argparse.Namespace) -> dict[str, object]:
    n, lost = args.clients, list(range(int(args.dropout * args.clients)))
    keys = {id_: Identity(os.urandom(32)) for id_ in (*range(n), SERVER)}
    people = TimedAllowList(keys[SERVER].public, {id_: keys[id_].public for id_ in range(n)})
    policy, numbers = policy_for(args, people)
    parameters = parameters_for(args, policy, people, lost)
    setting = Setting(policy, keys, args.dimension, args.bits)
    ids = list(range(n))
    crowd = Processes(ids, setting, workers=args.processes) if args.processes else Crowd(ids, setting)
    server = ServerSession(parameters, identity=keys[SERVER], allow_list=people)
    seconds: defaultdict[str, float] = defaultdict(float)

    def serve(phase: str, work: Callable[[], Step]) -> Step:
        start = time.perf_counter()
        step = work()
        seconds[phase] += time.perf_counter() - start
        return step

    def collect(phase: str, answers: Iterable[tuple[int, bytes]]) -> Step:
        last = Step()
        for id_, message in answers:
            last = serve(phase, lambda id_=id_, message=message: server.receive(message, sender=id_))
        return last

    received: defaultdict[int, int] = defaultdict(int)

    def inbox(step: Step) -> dict[int, bytes]:
        for out in step.send:
            received[out.to] += len(out.message)
        return {out.to: out.message for out in step.send}

    gc.collect()  # so that the garbage of the set-up is not counted
    wall = time.perf_counter()
    (announcement,) = set(inbox(serve("announce", server.announce)).values())
    roster = collect("advertise", crowd.join(announcement))
    delivery = collect("share", crowd.receive("share", inbox(roster)))
    collect("agree", crowd.receive("agree", inbox(delivery)))
    step = collect("mask", crowd.mask(ids[len(lost) :]))
    if lost:
        step = serve("mask", lambda: server.deadline(Phase.MASK_INPUT))
    if MODES[args.mode].signed:
        step = collect("consistency", crowd.receive("consistency", inbox(step)))
    step = collect("unmask", crowd.receive("unmask", inbox(step)))
    wall = time.perf_counter() - wall
    opened = step.events[-1]
    exact = isinstance(opened, SumOpened) and np.array_equal(opened.total, expected_sum(ids[len(lost) :], setting))
    by_client, sent, peak = crowd.report()
    alive = [by_client[id_] for id_ in ids[len(lost) :]]
    return {
        "client_seconds": {p: statistics.median(c[p] for c in alive) for p in alive[0] if p != VERIFYING}
        | {"total": statistics.median(map(computed, alive))},
        "server_seconds": dict(seconds) | {"total": sum(seconds.values())},
        "all_clients_seconds": sum(map(computed, by_client.values())),
        "all_clients_verifying_seconds": sum(c[VERIFYING] for c in by_client.values()),
        "upload_bytes_per_client": statistics.median(sent[id_] for id_ in ids[len(lost) :]),
        "download_bytes_per_client": statistics.median(received[id_] for id_ in ids[len(lost) :]),
        "wall_seconds": wall,
        "peak_memory_bytes": peak,
        "exact": bool(exact),
        "params": {
            "clients": n,
            "neighbours": parameters.neighbours,
            "threshold": parameters.threshold,
            "corrupt": parameters.corrupt,
            "graph": parameters.graph.name.lower(),
            "dimension": args.dimension,
            "dropped": len(lost),
            "mode": args.mode,
            "bits": args.bits,
            "processes": args.processes or 1,
            "policy": numbers,
        },
    }


def computed(seconds: Seconds) -> float:
    """All that one client computed."""
    return sum(seconds.values()) - seconds[VERIFYING]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", type=int, default=10)
    parser.add_argument("--neighbours", type=int)
    parser.add_argument("--dimension", type=int, default=31)
    parser.add_argument("--dropout", type=float, default=0.0)
    parser.add_argument("--mode", choices=MODES, default="semi-honest")
    parser.add_argument("--bits", type=int, default=32)
    parser.add_argument("--processes", type=int, default=0, help="worker processes for the clients; 0: all in this one")
    parser.add_argument("--repeat", type=int, default=5, help="rounds; the one of median wall time is reported")
    parser.add_argument("--no-warm-up", action="store_true", help="count the first round too")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    if not args.no_warm_up:
        one_round(args)  # fills caches
    rounds = sorted((one_round(args) for _ in range(args.repeat)), key=lambda result: result["wall_seconds"])
    result = rounds[len(rounds) // 2]
    if not all(r["exact"] for r in rounds):
        raise SystemExit("wrong sum")
    if args.json:
        print(json.dumps(result))
        return
    print(result["params"])
    memory, upload = result["peak_memory_bytes"] / 1e6, result["upload_bytes_per_client"]
    print(f"upload {upload:.0f} B, wall {result['wall_seconds']:.4f} s, peak memory {memory:.0f} MB")
    share = result["all_clients_verifying_seconds"] / result["all_clients_seconds"]
    print(f"all clients together {result['all_clients_seconds']:.2f} s, {100 * share:.0f} % of it verifying signatures")
    for party in ("client_seconds", "server_seconds"):
        print(f"{party:15}", "  ".join(f"{phase} {1e3 * s:.2f} ms" for phase, s in result[party].items()))


if __name__ == "__main__":
    main()
