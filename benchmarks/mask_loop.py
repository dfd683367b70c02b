# SPDX-License-Identifier: Apache-2.0
"""Measure how close the mask loop comes to the limit of its two parts: keystream and addition.

python benchmarks/mask_loop.py --keys 50 --repeat 11 --json

The limit is 1 / (1 / keystream + 1 / add): the rates of one long stream of `prg.open_stream` and of numpy's addition,
each alone, in the L2 cache and with the chunk that suits it best. For every size the limit and `prg.add_masks` (half of
the keys added, half subtracted) are measured in turn, and a fraction is the median over these pairs, so that a slow
moment of a shared machine falls on both. Rates are GB of mask per second of this thread's processor time: all of this
runs in one thread, and what others run meanwhile does not count. Prints one JSON object as the last line with --json.
"""

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from fedmeta_crypto import prg

SIZES = (10_000, 100_000, 1_000_000, 10_000_000)
TARGETS = {100_000: 0.80, 1_000_000: 0.80, 10_000_000: 0.72}  # fraction of the limit, from this many values on
COLUMNS = ("keystream", "add", "limit", "loop", "fraction")
CHUNKS = tuple(kib * 1024 for kib in (64, 128, 192, 256, 512))
PROBE_BYTES = 32 * 2**20  # what one measurement of a part works through
LEAST_BYTES = 64 * 2**20  # what one measurement of the loop works through at least


def rate(work: Callable[[], None], n_bytes: int, times: int = 1) -> float:
    """GB per second of processor time over `times` calls of n_bytes each."""
    start = time.thread_time()
    for _ in range(times):
        work()
    return n_bytes * times / (time.thread_time() - start) / 1e9


def keystream(chunk: int) -> Callable[[], None]:
    stream, zeros, raw = prg.open_stream(os.urandom(16)), bytes(chunk), np.empty(chunk + 16, np.uint8)

    def work() -> None:
        for _ in range(PROBE_BYTES // chunk):
            stream.update_into(zeros, raw.data)

    return work


def addition(chunk: int, dtype: str) -> Callable[[], None]:
    total = np.zeros(chunk // np.dtype(dtype).itemsize, dtype)
    words = np.frombuffer(os.urandom(chunk), dtype)

    def work() -> None:
        for _ in range(PROBE_BYTES // chunk):
            np.add(total, words, out=total)

    return work


def best_chunk(part: Callable[[int], Callable[[], None]], repeat: int) -> int:
    def median_rate(chunk: int) -> float:
        work = part(chunk)
        done = PROBE_BYTES // chunk * chunk
        return statistics.median(rate(work, done) for _ in range(repeat))

    return max(CHUNKS, key=median_rate)


def measured(dtype: str, n_keys: int, repeat: int, sizes: tuple[int, ...]) -> list[dict[str, Any]]:
    width = np.dtype(dtype).itemsize
    cut = best_chunk(keystream, repeat), best_chunk(lambda chunk: addition(chunk, dtype), repeat)
    parts = keystream(cut[0]), addition(cut[1], dtype)
    keys = [os.urandom(16) for _ in range(n_keys)]
    rows: list[dict[str, Any]] = []
    for size in sizes:
        total = np.zeros(size, dtype)
        work, n_bytes = total.nbytes * n_keys, [PROBE_BYTES // chunk * chunk for chunk in cut]
        times = max(1, LEAST_BYTES // work)
        samples = []  # one tuple of COLUMNS for each pair
        for _ in range(repeat):
            stream, add = (rate(part, n) for part, n in zip(parts, n_bytes, strict=True))
            loop = rate(lambda total=total: prg.add_masks(total, plus=keys[::2], minus=keys[1::2]), work, times)
            limit = 1 / (1 / stream + 1 / add)
            samples.append((stream, add, limit, loop, loop / limit))
        medians = dict(zip(COLUMNS, np.median(samples, axis=0).tolist(), strict=True))
        target = TARGETS.get(size)
        reached = None if target is None else medians["fraction"] >= target
        place = {"word_bits": 8 * width, "values": size, "keystream_chunk": cut[0], "add_chunk": cut[1]}
        rows.append(place | medians | {"target": target, "reached": reached})
    return rows


def shown(row: dict[str, Any]) -> str:
    said = {None: "no target", True: f"yes, {row['target']}", False: f"NO, {row['target']}"}[row["reached"]]
    parts = "  ".join(f"{row[name]:9.2f}" for name in COLUMNS)
    return f"u{row['word_bits']}  {row['values']:>10,}  {parts}  {said}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--keys", type=int, default=50)
    parser.add_argument("--repeat", type=int, default=11, help="pairs of measurements, 9 at least")
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    if args.repeat < 9 or args.keys < 1:
        parser.error("at least 9 repetitions and one key")
    rows = [row for dtype in ("<u4", "<u2") for row in measured(dtype, args.keys, args.repeat, tuple(args.sizes))]
    print(f"{args.keys} keys, median of {args.repeat} pairs, GB/s")
    print("word      values  keystream        add      limit       loop   fraction  reached")
    for row in rows:
        print(shown(row))
    if args.json:
        print(json.dumps({"keys": args.keys, "repeat": args.repeat, "rows": rows}))


if __name__ == "__main__":
    main()
