# SPDX-License-Identifier: Apache-2.0
"""Time one client's share of a round whose sum is formed under encryption, and count its bytes.

python benchmarks/homomorphic.py --dimension 1000000 --scheme rlwe32 --clients 10 --peer --json

The whole path, through the sessions that the product uses, at strength `malicious`: floats to integers (`quantise`),
key agreement (`keys`), encryption with hashing, signing and serialising (`encrypt`), what the server does with one
upload (`load and add`), the agreement on survivors and the shares (`settle`), the opening with key sum or residue and
decryption (`open`), and integers to floats (`decode`). Client's phases are the mean over clients, the server's work on
messages is divided by the clients, the opening is counted in full. No network.

Beside it, in turn in each repetition, `naive`: TenSEAL's CKKS as NVFLARE sets it (8192, [60, 40, 40], one symmetric
key), one flat vector, no quantising, framing, hash or signature. --peer runs NVFLARE's own classes in turn too, in an
environment of their own (benchmarks/peers/build.py nvflare): a slow moment of the machine falls on all.

Sums have 16 bits for each value (rlwe32, bfv) plus ceil(log2 clients), or 32 in all (rlwe64); `mask` is the masking
round without ciphertexts, at the bits of rlwe32, `ckks` the naive row alone. The last line with --json: seconds
(medians, by phase and total), bytes_per_parameter (all that one client sends), key_sum_bytes (the part of it that is no
ciphertext), exact.
"""

import argparse
import gc
import json
import os
import statistics
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from homomorphic_rounds import ROUNDS, Setting
from numpy.typing import NDArray

from fedmeta_crypto import Step
from fedmeta_crypto.homomorphic.parcel import Parcel, is_parcel
from fedmeta_crypto.secagg.step import SumOpened
from fedmeta_crypto.wire import DECRYPTOR

T = TypeVar("T")
Seconds = defaultdict[str, float]
HERE = Path(__file__).resolve().parent
PEER = HERE.parent / ".peers" / "nvflare"
CKKS = "ckks"  # the row beside as a scheme of its own: floats, so never exact
NAIVE = {"poly_modulus_degree": 8192, "coeff_mod_bit_sizes": [60, 40, 40]}
# Wanted at a million parameters: bytes per parameter at most, and how many times less time than NVFLARE.
GOALS = {"bfv": (8.1, 4.0), "rlwe64": (8.1, 8.0), "rlwe32": (4.05, 10.0)}
SMALL_GOALS = {"rlwe32": (4.6, 0.0)}  # at ten thousand


def timed(seconds: Seconds, phase: str, work: Callable[[], T]) -> T:
    start = time.perf_counter()
    result = work()
    seconds[phase] += time.perf_counter() - start
    return result


class Drive:
    """One round with all its parties in this process; seconds by phase, of all clients and of the servers for all."""

    def __init__(self, setting: Setting) -> None:
        self.setting, self.made = setting, ROUNDS[setting.scheme](setting)
        self.ours: Seconds = defaultdict(float)
        self.theirs: Seconds = defaultdict(float)
        self.sent = self.ciphertext = 0
        self.inbox: dict[int, bytes] = {}  # what the server last sent each client
        self.opened: SumOpened | None = None
        self.clients: dict[int, Any] = {}

    def take(self, phase: str, step: Step) -> None:
        """What a server wants: messages to clients wait, the decryptor is served at once."""
        self.inbox = {out.to: out.message for out in step.send if out.to != DECRYPTOR} or self.inbox
        self.opened = next((event for event in step.events if isinstance(event, SumOpened)), self.opened)
        for out in step.send:
            if out.to == DECRYPTOR:
                whose = phase if phase in ("keys", "load and add") and is_parcel(out.message) else "open"
                said = timed(self.theirs, whose, lambda out=out: self.made.decryptor.receive(out.message))
                for answer in said.send:
                    self.serve(whose, DECRYPTOR, answer.message)

    def serve(self, phase: str, sender: int, message: bytes) -> None:
        self.take(phase, timed(self.theirs, phase, lambda: self.server.receive(message, sender=sender)))

    def upload(self, phase: str, id_: int, step: Step) -> None:
        for out in step.send:
            self.sent += len(out.message)
            self.serve(phase, id_, out.message)

    def answers(self, phase: str, *, last: str = "") -> None:
        """Everyone takes its message and answers; what the server does with the last answer may count as another."""
        waiting, self.inbox = list(self.inbox.items()), {}
        for id_, message in waiting:
            step = timed(self.ours, phase, lambda id_=id_, m=message: self.clients[id_].receive(m))
            self.upload(last if last and id_ == waiting[-1][0] else phase, id_, step)

    def run(self) -> dict[str, Any]:
        setting, encoding, n = self.setting, self.setting.encoding, self.setting.clients
        gc.collect()  # so that the garbage of the set-up is not counted
        self.server = timed(self.theirs, "keys", self.made.server)
        self.take("keys", timed(self.theirs, "keys", self.server.announce))
        waiting, self.inbox = self.inbox, {}
        for id_, message in waiting.items():
            self.clients[id_] = timed(self.ours, "keys", lambda id_=id_, m=message: self.made.client(m, id_))
        for id_ in setting.ids:
            self.upload("keys", id_, timed(self.ours, "keys", self.clients[id_].advertise_keys))
        self.answers("keys")
        self.answers("keys")  # the deliveries, which want no answer
        expected = self.inputs()
        self.answers("settle")
        self.answers("settle", last="open")
        opened = self.opened
        if opened is None:
            raise SystemExit("no sum was opened")
        decoded = timed(self.theirs, "decode", lambda: encoding.decode(encoding.from_ring(opened.total)))
        exact = np.array_equal(encoding.from_ring(opened.total), expected) and opened.survivors == setting.ids
        exact = exact and np.array_equal(decoded, expected * encoding.step)
        seconds = {phase: (self.ours[phase] + self.theirs[phase]) / n for phase in PHASES}
        seconds |= {phase: self.theirs[phase] for phase in ("open", "decode")}  # not shared among the clients
        return {
            "seconds": seconds | {"total": sum(seconds.values())},
            "bytes": self.sent / n,
            "key_sum_bytes": (self.sent - self.ciphertext) / n,
            "exact": bool(exact),
        }

    def inputs(self) -> NDArray[np.int64]:
        """Every client's vector, quantised, encrypted, sent and added; returns the integers' sum."""
        setting, encoding = self.setting, self.setting.encoding
        expected = np.zeros(setting.dimension, np.int64)
        for id_ in setting.ids:
            vector, client = setting.vector(id_), self.clients[id_]
            expected += encoding.encode(vector)
            residues = timed(self.ours, "quantise", lambda v=vector: encoding.to_ring(encoding.encode(v)))
            step = timed(self.ours, "encrypt", lambda c=client, r=residues: c.mask_input(r, attachment_hash=bytes(32)))
            self.ciphertext += ciphertext_bytes(step.send[0].message)
            self.upload("load and add", id_, step)
            client.delivered()
        return expected


def ciphertext_bytes(upload: bytes) -> int:
    """Of a parcel; a masked input has none."""
    if not is_parcel(upload):
        return 0
    size = len(upload)
    return len(Parcel.read(upload, sender=0, input_bytes=size, ciphertext_bytes=size).ciphertext)


PHASES = ("quantise", "keys", "encrypt", "load and add", "settle")


def naive(dimension: int) -> dict[str, Any]:
    """TenSEAL's CKKS with NVFLARE's parameters on one flat vector; an upload added to one that is there already."""
    import tenseal as ts

    context = ts.context(ts.SCHEME_TYPE.CKKS, **NAIVE, encryption_type=ts.ENCRYPTION_TYPE.SYMMETRIC)
    context.global_scale = 2**40
    vector = np.random.default_rng(0).normal(0, 0.1, dimension)
    with quiet():
        there = ts.ckks_vector(context, vector)
        seconds: Seconds = defaultdict(float)
        encrypted = timed(seconds, "encrypt", lambda: ts.ckks_vector(context, vector))
        upload = timed(seconds, "serialise", encrypted.serialize)
        loaded = timed(seconds, "load", lambda: ts.ckks_vector_from(context, upload))
        total = timed(seconds, "add", lambda: there + loaded)
        opened = timed(seconds, "decrypt", lambda: np.asarray(total.decrypt()))
    error = float(np.abs(opened - 2 * vector).max())
    if error > 1e-4:
        raise SystemExit(f"wrong sum of naive CKKS: {error} away")
    return {"seconds": dict(seconds) | {"total": sum(seconds.values())}, "bytes": len(upload), "error": error}


@contextmanager
def quiet() -> Iterator[None]:
    """TenSEAL warns on file descriptor 1 of vectors longer than a ciphertext."""
    sys.stdout.flush()
    held, nowhere = os.dup(1), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    try:
        yield
    finally:
        os.dup2(held, 1)
        os.close(held)
        os.close(nowhere)


def peer(dimension: int) -> dict[str, Any]:
    """NVFLARE's figures of one repetition, after one that fills its caches, from its own environment."""
    python = PEER / "bin" / "python"
    if not (PEER / "complete").exists():  # build.py's last stroke
        raise SystemExit("NVFLARE is not built (python benchmarks/peers/build.py nvflare): nothing was compared")
    command = [python, HERE / "peers" / "nvflare_he.py", "--dimension", dimension, "--repeat", 1]
    done = subprocess.run(
        [str(part) for part in command],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": ""},
    )
    if done.returncode:
        raise SystemExit(f"NVFLARE failed: {done.stderr[-2000:]}")
    answer = json.loads(done.stdout.strip().splitlines()[-1])
    return {"seconds": answer["seconds"], "bytes": answer["bytes_per_parameter"] * dimension}


def summary(rounds: list[dict[str, Any]], dimension: int) -> dict[str, Any]:
    """Medians and minima by phase, and bytes."""
    seconds = [one["seconds"] for one in rounds]
    return {
        "seconds": {phase: statistics.median(one[phase] for one in seconds) for phase in seconds[0]},
        "minima": {phase: min(one[phase] for one in seconds) for phase in seconds[0]},
        "bytes_per_parameter": statistics.median(one["bytes"] for one in rounds) / dimension,
    }


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scheme", choices=(*ROUNDS, CKKS), default="rlwe32")
    parser.add_argument("--dimension", type=int, default=1_000_000)
    parser.add_argument("--clients", type=int, default=10)
    parser.add_argument("--repeat", type=int, default=5, help="repetitions of each side, after one that is not counted")
    parser.add_argument("--peer", action="store_true", help="NVFLARE beside it")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    if args.clients < 2 or args.dimension < 1 or args.repeat < 1:
        parser.error("at least 2 clients, 1 coordinate and 1 repetition")
    return args


def main() -> None:
    args = parsed()
    setting = Setting(args.scheme, args.dimension, args.clients)
    rounds, beside, others = [], [], []
    before = os.getloadavg()[0]
    for repetition in range(args.repeat + 1):
        if args.peer and repetition:
            others.append(peer(args.dimension))
        row = naive(args.dimension)
        one = row | {"key_sum_bytes": 0, "exact": False} if args.scheme == CKKS else Drive(setting).run()
        if not one["exact"] and args.scheme != CKKS:
            raise SystemExit("wrong sum")
        if repetition:
            rounds.append(one)
            beside.append(row)
    report = summary(rounds, args.dimension)
    report |= {"key_sum_bytes": statistics.median(one["key_sum_bytes"] for one in rounds), "exact": args.scheme != CKKS}
    report["naive"] = summary(beside, args.dimension) | {"max_error": max(row["error"] for row in beside)}
    if others:
        report["nvflare"] = summary(others, args.dimension)
    report["load"] = [before, os.getloadavg()[0]]
    report["params"] = {**vars(args), "bits": setting.bits, "cores": os.cpu_count()}
    show(args, report)
    if args.json:
        print(json.dumps(report))


def show(args: argparse.Namespace, report: dict[str, Any]) -> None:
    """Rows for a reader, the ratios, and whether the goal is reached."""
    rows = {args.scheme: report, "naive CKKS": report["naive"]}
    rows |= {"NVFLARE 2.9.0": report["nvflare"]} if "nvflare" in report else {}
    load = ", ".join(f"{one:.2f}" for one in report["load"])
    print(
        f"d = {args.dimension}, {args.clients} clients, medians of {args.repeat}; load {load} on {os.cpu_count()} cores"
    )
    for name, row in rows.items():
        phases = "  ".join(f"{phase} {1e3 * s:.1f}" for phase, s in row["seconds"].items() if phase != "total")
        total, least = 1e3 * row["seconds"]["total"], 1e3 * row["minima"]["total"]
        print(f"{name:14}{row['bytes_per_parameter']:8.3f} B/parameter {total:9.1f} ms (min {least:.1f}):  {phases}")
    seconds, sent = report["seconds"]["total"], report["bytes_per_parameter"]
    for name, row in list(rows.items())[1:]:
        less, fewer = row["seconds"]["total"] / seconds, row["bytes_per_parameter"] / sent
        print(f"against {name}: {less:.1f} times less time, {fewer:.1f} times fewer bytes")
    goals = {1_000_000: GOALS, 10_000: SMALL_GOALS}.get(args.dimension, {})
    if args.scheme in goals:
        most, times = goals[args.scheme]
        print(f"wanted: at most {most} B/parameter: {'reached' if sent <= most else 'MISSED'}")
        if times and "nvflare" in report:
            reached = report["nvflare"]["seconds"]["total"] / seconds >= times
            print(f"wanted: {times:g} times less time than NVFLARE: {'reached' if reached else 'MISSED'}")


if __name__ == "__main__":
    main()
