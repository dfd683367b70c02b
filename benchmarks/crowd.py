# SPDX-License-Identifier: Apache-2.0
"""Many clients of one round: in this process, or dealt to a few worker processes over pipes.

A `Crowd` is what a transport would be: it takes the server's messages for its clients and yields their answers, with
the seconds that each client computed. Threads would not do: Python's lock is held between the calls of the ciphers.
"""

from __future__ import annotations

import multiprocessing
import os
import resource
import struct
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait

import numpy as np
from numpy.typing import NDArray

from fedmeta_crypto import ClientPolicy, ClientSession, Step
from fedmeta_crypto.identities import AllowList, Identity
from fedmeta_crypto.ring import ring_mask

Seconds = defaultdict[str, float]


class TimedAllowList(AllowList):
    """An allow-list that knows how long this process has verified signatures."""

    spent = 0.0

    def verify(self, id_: int, statement: bytes, signature: bytes) -> bool:
        start = time.perf_counter()
        verified = super().verify(id_, statement, signature)
        TimedAllowList.spent += time.perf_counter() - start
        return verified


VERIFYING = "of it verifying signatures"
_ID = struct.Struct("<I")


@dataclass(frozen=True)
class Setting:
    """What every client of the benchmark holds before the round."""

    policy: ClientPolicy
    identities: dict[int, Identity]
    length: int
    bits: int


def vector_of(id_: int, setting: Setting) -> NDArray[np.uint32]:
    """A client's input: one base vector, scaled and shifted by the id, so that `expected_sum` is cheap."""
    base = np.random.default_rng(0).integers(0, 2**32, setting.length, dtype=np.uint32)
    base *= np.uint32(2 * id_ + 1)
    base += np.uint32(id_)
    return np.bitwise_and(base, ring_mask(setting.bits), out=base)


def expected_sum(ids: list[int], setting: Setting) -> NDArray[np.uint32]:
    """The sum of `vector_of` without adding a vector per client."""
    base = np.random.default_rng(0).integers(0, 2**32, setting.length, dtype=np.uint32)
    base *= np.uint32(sum(2 * id_ + 1 for id_ in ids) % 2**32)
    base += np.uint32(sum(ids) % 2**32)
    return np.bitwise_and(base, ring_mask(setting.bits), out=base)


class Crowd:
    """Some clients of a round, all in this process."""

    def __init__(self, ids: list[int], setting: Setting) -> None:
        self.ids, self._setting = ids, setting
        self._clients: dict[int, ClientSession] = {}
        self.seconds: dict[int, Seconds] = {id_: defaultdict(float) for id_ in ids}
        self.sent = dict.fromkeys(ids, 0)

    def join(self, announcement: bytes) -> Iterator[tuple[int, bytes]]:
        """M0 to all; yields each M1."""
        for id_ in self.ids:
            yield from self._timed("advertise", id_, lambda id_=id_: self._join(id_, announcement))

    def receive(self, phase: str, messages: dict[int, bytes]) -> Iterator[tuple[int, bytes]]:
        """One message each; yields the answers."""
        for id_, message in messages.items():
            yield from self._timed(phase, id_, lambda id_=id_, message=message: self._clients[id_].receive(message))

    def mask(self, ids: list[int]) -> Iterator[tuple[int, bytes]]:
        """Yields the M5 of each; making the input is not timed."""
        for id_ in ids:
            vector = vector_of(id_, self._setting)
            yield from self._timed("mask", id_, lambda id_=id_, v=vector: self._clients[id_].mask_input(v))

    def report(self) -> tuple[dict[int, Seconds], dict[int, int], int]:
        """(seconds by client and phase, bytes sent by client, peak memory of the processes in bytes)."""
        return self.seconds, self.sent, 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    def _join(self, id_: int, announcement: bytes) -> Step:
        policy, identity = self._setting.policy, self._setting.identities.get(id_)
        self._clients[id_] = ClientSession(announcement, client_id=id_, policy=policy, identity=identity)
        return self._clients[id_].advertise_keys()

    def _timed(self, phase: str, id_: int, work: Callable[[], Step]) -> Iterator[tuple[int, bytes]]:
        start, verifying = time.perf_counter(), TimedAllowList.spent
        step = work()
        self.seconds[id_][phase] += time.perf_counter() - start
        self.seconds[id_][VERIFYING] += TimedAllowList.spent - verifying
        for out in step.send:
            self.sent[id_] += len(out.message)
            yield id_, out.message
        self._clients[id_].delivered()


class Processes:
    """The same, dealt to worker processes; answers are yielded as they come."""

    def __init__(self, ids: list[int], setting: Setting, *, workers: int) -> None:
        self._pipes: list[Connection] = []
        self._of: dict[int, int] = {id_: i % workers for i, id_ in enumerate(ids)}
        for worker in range(workers):
            mine, theirs = multiprocessing.Pipe()
            own = [id_ for id_ in ids if self._of[id_] == worker]
            process = multiprocessing.Process(target=_work, args=(theirs, own, setting), daemon=True)
            process.start()
            theirs.close()
            self._pipes.append(mine)

    def join(self, announcement: bytes) -> Iterator[tuple[int, bytes]]:
        yield from self._ask([("join", announcement) for _ in self._pipes])

    def receive(self, phase: str, messages: dict[int, bytes]) -> Iterator[tuple[int, bytes]]:
        yield from self._ask([("receive", phase, self._share(messages, worker)) for worker in range(len(self._pipes))])

    def mask(self, ids: list[int]) -> Iterator[tuple[int, bytes]]:
        yield from self._ask(
            [("mask", [id_ for id_ in ids if self._of[id_] == worker]) for worker in range(len(self._pipes))]
        )

    def report(self) -> tuple[dict[int, Seconds], dict[int, int], int]:
        seconds, sent, peak = {}, {}, 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for pipe in self._pipes:
            pipe.send(("report",))
            theirs, bytes_sent, memory = pipe.recv()
            seconds |= theirs
            sent |= bytes_sent
            peak += memory
        return seconds, sent, peak

    def _share(self, messages: dict[int, bytes], worker: int) -> dict[int, bytes]:
        return {id_: message for id_, message in messages.items() if self._of[id_] == worker}

    def _ask(self, requests: list[tuple[object, ...]]) -> Iterator[tuple[int, bytes]]:
        # A worker reads its whole request before it answers, so neither side waits for the other to read. `send`
        # pickles, which is safe here alone: both ends are this program's own, and peers' bytes stay opaque inside.
        for pipe, request in zip(self._pipes, requests, strict=True):
            pipe.send(request)
        busy = set(self._pipes)
        while busy:
            for pipe in wait(list(busy)):
                data = pipe.recv_bytes()
                if data:
                    yield _ID.unpack_from(data)[0], data[_ID.size :]
                else:
                    busy.discard(pipe)


def _work(pipe: Connection, ids: list[int], setting: Setting) -> None:
    crowd = Crowd(ids, setting)
    while True:
        try:
            verb, *arguments = pipe.recv()
        except EOFError:
            os._exit(0)
        if verb == "report":
            pipe.send(crowd.report())
            continue
        for id_, message in getattr(crowd, verb)(*arguments):
            pipe.send_bytes(_ID.pack(id_) + message)
        pipe.send_bytes(b"")
