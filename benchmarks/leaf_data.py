# SPDX-License-Identifier: Apache-2.0
"""Read a LEAF set: its statistics as LEAF's table gives them, and what indexing and decoding take.

python benchmarks/leaf_data.py --data leaf/data/femnist/data --set femnist --json
python benchmarks/leaf_data.py            (without --data: LEAF's synthetic set, made here)

Each repetition indexes the split anew; then users spread over the split are read and decoded one by one. Every user is
counted, but only `--users` are decoded. Extra memory is how far the process's peak rises (null without --data: making
the set takes more than reading it). Prints one JSON object as the last line with --json.
"""

import argparse
import json
import resource
import statistics
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from secure_fedmeta.datasets.leaf import SETS, LeafUsers, leaf_set, leaf_users
from secure_fedmeta.datasets.synthetic import leaf_synthetic, write_leaf
from secure_fedmeta.errors import UserError


def peak() -> int:
    """Largest resident size so far, bytes."""
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def measure(users: LeafUsers, count: int) -> list[float]:
    """Milliseconds for each of `count` users."""
    names = users.split.names
    taken = []
    for at in np.linspace(0, len(names) - 1, min(count, len(names))).astype(int).tolist():
        start = time.perf_counter()
        users[names[at]]
        taken.append(1e3 * (time.perf_counter() - start))
    return taken


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="LEAF's data directory of one set, which holds train/ and test/")
    parser.add_argument("--set", choices=SETS, default="synthetic")
    parser.add_argument("--split", default="train", help="directory in --data: train, test, val, all_data, ...")
    parser.add_argument("--vocabulary", type=Path, help="words for sent140 and reddit")
    parser.add_argument("--images", type=Path, help="celeba's img_align_celeba")
    parser.add_argument("--users", type=int, default=50, help="users to decode")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    if args.users < 1 or args.repeat < 1 or (args.data is None and args.set != "synthetic"):
        parser.error("at least one user and one repetition; --set needs --data")
    with ExitStack() as stack:
        try:
            data = args.data
            if data is None:
                data = Path(stack.enter_context(tempfile.TemporaryDirectory()))
                write_leaf(data / args.split, leaf_synthetic())
            kind = leaf_set(args.set, vocabulary=args.vocabulary, images=args.images)
            before, index, decode = peak(), [], []
            for _ in range(args.repeat):
                start = time.perf_counter()
                users = leaf_users(data, args.split, kind)
                index.append(time.perf_counter() - start)
                decode += measure(users, args.users)
        except UserError as error:
            parser.error(str(error))
        size = sum(file.stat().st_size for file in users.split.files)
    samples = users.split.samples
    result = {
        "set": args.set,
        "users": len(users),
        "samples": int(samples.sum()),
        "samples_per_user": {"mean": float(samples.mean()), "std": float(samples.std())},
        "miscounted": len(users.split.miscounted),
        "empty": len(users.split.empty),
        "bytes": size,
        "index_s": {"median": statistics.median(index), "min": min(index)},
        "user_ms": {"median": statistics.median(decode), "min": min(decode)},
        "peak_extra_bytes": None if args.data is None else peak() - before,
    }
    per_user = f"{samples.mean():.2f} +- {samples.std():.2f}"
    print(f"{args.set}, {args.split}: {len(users)} users, {samples.sum()} samples, {per_user} for each user")
    print(f"num_samples differs for {result['miscounted']} users; {result['empty']} entries without samples")
    print(f"index of {size / 1e6:.1f} MB: {min(index):.2f} s at best; one user: {min(decode):.2f} ms at best")
    if args.data is not None:
        print(f"peak memory rose by {(peak() - before) / 1e6:.1f} MB")
    if args.json:
        print(json.dumps(result))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
