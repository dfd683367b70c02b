# SPDX-License-Identifier: Apache-2.0
"""Time one client's share of a round of NVFLARE's homomorphic encryption: its own classes, in one process, no network.

python benchmarks/peers/build.py nvflare
.peers/nvflare/bin/python benchmarks/peers/nvflare_he.py --dimension 1000000 --repeat 5

Phases: `encrypt` (HEModelEncryptor), `serialise` (the FOBS bytes that travel), `load` (FOBS), `add`
(WeightedAggregationHelper, to an upload that is there already), `finish` (its mean) and `decrypt` (HEModelDecryptor);
`download`, the FOBS bytes of the mean both ways, is printed and not in `total`. Contexts are those that HEBuilder
provisions: CKKS, 8192 coefficients, [60, 40, 40], one secret key that all clients share. Prints one JSON line last:
medians and minima of equal repetitions.

Not counted: its controller and network. The model is a dense network of two layers below 500 000 parameters and of
three above; each tensor is encrypted on its own, and each carries a copy of the context on the wire.
"""

import argparse
import json
import logging
import os
import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import numpy as np
import tenseal as ts
from numpy.typing import NDArray
from nvflare.apis.dxo import DXO, DataKind, MetaKey, from_shareable
from nvflare.apis.fl_context import FLContext
from nvflare.app_common.aggregators.weighted_aggregation_helper import WeightedAggregationHelper
from nvflare.app_opt.he import decomposers
from nvflare.app_opt.he.model_decryptor import HEModelDecryptor
from nvflare.app_opt.he.model_encryptor import HEModelEncryptor
from nvflare.fuel.utils import fobs
from nvflare.lighter.impl.he import HEBuilder

T = TypeVar("T")
Model = dict[str, NDArray[np.float32]]
DOWNLOAD = "download"
CLIENTS = 2  # the second is the one that is timed: the first add costs nothing


@contextmanager
def quiet() -> Iterator[None]:
    """TenSEAL warns on file descriptor 1, which is where the JSON line goes."""
    sys.stdout.flush()
    held, nowhere = os.dup(1), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    try:
        yield
    finally:
        os.dup2(held, 1)
        os.close(held)
        os.close(nowhere)


def shapes(dimension: int) -> dict[str, int]:
    """Values in each tensor of a dense network with so many parameters in all."""
    widths = {"fc1": 0.7845, "fc2": 0.2} if dimension >= 500_000 else {"fc1": 0.94}
    sizes: dict[str, int] = {}
    for name, part in widths.items():
        sizes[f"{name}.weight"] = int(part * dimension)
        sizes[f"{name}.bias"] = max(1, int(part * dimension) // 784)
    bias = max(1, dimension // 14_000)
    sizes["last.bias"] = bias
    sizes["last.weight"] = dimension - sum(sizes.values())
    return sizes


def message(encrypted: dict[str, Any], processed: Any) -> bytes:
    meta = {
        MetaKey.NUM_STEPS_CURRENT_ROUND: 1,
        MetaKey.PROCESSED_KEYS: processed,
        MetaKey.PROCESSED_ALGORITHM: "CKKS",
    }
    return bytes(fobs.dumps(DXO(DataKind.WEIGHT_DIFF, data=encrypted, meta=meta).to_shareable()))


class Round:
    """The parties of one job."""

    def __init__(self) -> None:
        builder = HEBuilder()
        builder.initialize(None, None)
        self.server = ts.context_from(builder.get_serialized_context())
        self.client = ts.context_from(builder.get_serialized_context(is_client=True))
        self.seconds: defaultdict[str, list[float]] = defaultdict(list)
        decomposers.register()

    def timed(self, phase: str, work: Callable[[], T]) -> T:
        with quiet():
            start = time.perf_counter()
            result = work()
            self.seconds[phase].append(time.perf_counter() - start)
        return result

    def encrypt(self, model: Model) -> tuple[dict[str, Any], Any]:
        encryptor = HEModelEncryptor()
        encryptor.tenseal_context, encryptor.encrypt_layers, encryptor.n_iter = self.client, [True], 1
        encrypted, processed = encryptor.encryption(dict(model), FLContext())
        return encrypted, processed

    def load(self, upload: bytes) -> dict[str, Any]:
        data: dict[str, Any] = from_shareable(fobs.loads(upload)).data
        return data

    def decrypt(self, mean: dict[str, Any], processed: Any) -> Model:
        decryptor = HEModelDecryptor()
        decryptor.tenseal_context = self.client
        opened: Model = decryptor.decryption(mean, processed, FLContext())
        return opened

    def repetition(self, models: list[Model], first: bytes) -> tuple[Model, int, int]:
        """One upload of the last client beside that of the first; the mean, and the bytes up and down."""
        encrypted, processed = self.timed("encrypt", lambda: self.encrypt(models[-1]))
        upload = self.timed("serialise", lambda: message(encrypted, processed))
        helper = WeightedAggregationHelper(weigh_by_local_iter=False)
        with quiet():
            helper.add(self.load(first), weight=1.0, contributor_name="site-1", contribution_round=0)
        loaded = self.timed("load", lambda: self.load(upload))
        self.timed("add", lambda: helper.add(loaded, weight=1.0, contributor_name="site-2", contribution_round=0))
        mean = self.timed("finish", lambda: dict(helper.get_result()))
        down = self.timed(DOWNLOAD, lambda: message(mean, processed))
        mean = self.timed(DOWNLOAD, lambda: self.load(down))
        return self.timed("decrypt", lambda: self.decrypt(mean, processed)), len(upload), len(down)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dimension", type=int, default=1_000_000)
    parser.add_argument("--repeat", type=int, default=5)
    args = parser.parse_args()
    logging.disable(logging.CRITICAL)
    draw = np.random.default_rng(1)
    sizes = shapes(args.dimension)
    models = [{k: draw.normal(0, 0.1, d).astype(np.float32) for k, d in sizes.items()} for _ in range(CLIENTS)]
    party = Round()
    with quiet():
        first = message(*party.encrypt(models[0]))
    for i in range(args.repeat + 1):
        if i == 1:
            party.seconds.clear()  # the first fills caches
        opened, up, below = party.repetition(models, first)
        expected = {k: sum(model[k].astype(np.float64) for model in models) / CLIENTS for k in sizes}
        error = max(float(np.abs(np.asarray(opened[k]).ravel() - expected[k]).max()) for k in sizes)
        if error > 1e-4:
            raise SystemExit(f"wrong mean: {error} away")
    down = party.seconds.pop(DOWNLOAD)
    totals = [sum(row) for row in zip(*party.seconds.values(), strict=True)]
    seconds = {phase: statistics.median(values) for phase, values in party.seconds.items()}
    result = {
        "seconds": seconds | {"total": statistics.median(totals)},
        "minima": {phase: min(values) for phase, values in party.seconds.items()} | {"total": min(totals)},
        "download_seconds": statistics.median(a + b for a, b in zip(down[::2], down[1::2], strict=True)),
        "bytes_per_parameter": up / args.dimension,
        "bytes_per_parameter_down": below / args.dimension,
        "context_bytes": len(party.server.serialize()),
        "max_error": error,
        "params": vars(args) | {"tensors": len(sizes)},
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
