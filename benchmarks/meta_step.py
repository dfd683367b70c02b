# SPDX-License-Identifier: Apache-2.0
"""Measure one second-order MAML step: 32 tasks of 10 support and 10 query rows, every task's own gradient.

python benchmarks/meta_step.py --model mlp --steps 5 --engine auto [--noise] --json

One thread and float32 unless asked otherwise, as the libraries it is compared with; the product computes in float64.
With --noise the tasks' gradients are clipped, summed, rounded and noised through Opacus, in turn with the bare step;
`opacus_fixed_ms` is what that costs for a single number. `peak_extra_bytes` is how far the process's peak memory rose
above that before the first call. The last line with --json is one JSON object.
"""

import argparse
import json
import os
import resource
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parent / "peers"))
import meta_tasks

from fedmeta_crypto.prg import Keystream
from fedmeta_privacy.dp_sgd import ClippedNoisySum
from fedmeta_privacy.encoding import IntegerEncoding
from fedmeta_privacy.noise import DiscreteGaussian
from secure_fedmeta.algorithms.inner import GradientSteps
from secure_fedmeta.algorithms.maml import Maml
from secure_fedmeta.engines.auto import ENGINES, Choice, choose
from secure_fedmeta.engines.batch import Part, TaskBatch
from secure_fedmeta.engines.compiled import CompiledEngine
from secure_fedmeta.engines.loop import LoopEngine
from secure_fedmeta.parameters import bind
from secure_fedmeta.tasks import Task

DTYPES = {"float32": torch.float32, "float64": torch.float64}
CLIP, SCALE = 1.0, 64.0


def step_of(args: argparse.Namespace) -> tuple[Callable[[], torch.Tensor], str, Choice | None]:
    """A function that computes all rows, (32, P); the engine that does; why, where it was chosen."""
    dtype = DTYPES[args.dtype]
    architecture = bind(meta_tasks.network(args.model))
    algorithm = Maml(GradientSteps(meta_tasks.RATE, args.steps))
    kind = "squared" if args.model == "sine" else "cross-entropy"
    (xs, ys), (xq, yq) = meta_tasks.tasks(args.model)
    name, chunk, choice = args.engine, args.chunk, None
    if name == "auto":
        count, rows = meta_tasks.TASKS, (meta_tasks.SHOTS,) * 2
        choice = choose(
            architecture, algorithm, loss=kind, tasks=count, rows=rows, shape=tuple(xs.shape[2:]), dtype=dtype
        )
        name, chunk = choice.engine, chunk or choice.chunk
    if name == "loop":
        loop = LoopEngine(architecture, algorithm, loss=kind, dtype=dtype)
        columns = [one.double().numpy() for one in (xs, ys, xq, yq)]
        tasks = [Task(*(column[place] for column in columns)) for place in range(meta_tasks.TASKS)]
        return lambda: torch.from_numpy(loop.contributions(architecture.start, tasks)), name, choice
    engines = ENGINES | {"compiled": CompiledEngine}
    slots = (meta_tasks.SHOTS,) * 2
    engine = engines[name](architecture, algorithm, loss=kind, dtype=dtype, chunk=chunk, slots=slots)
    weights = torch.full(ys.shape, 1 / meta_tasks.SHOTS, dtype=dtype)
    parts = [Part(x.to(dtype), y.to(dtype), weights, full=True) for x, y in ((xs, ys), (xq, yq))]
    batch = TaskBatch(parts[0], parts[1], torch.full((meta_tasks.TASKS, 2), meta_tasks.SHOTS))
    theta = architecture.start_tensor().to(dtype)
    return lambda: engine.of_batch(theta, batch), name, choice


def noisy(dimension: int) -> Callable[[np.ndarray], object]:
    """Clip, sum, round and noise rows of this dimension."""
    encoding = IntegerEncoding(step=2.0**-12, dimension=dimension, modulus_bits=32)
    release = ClippedNoisySum(clip_norm=CLIP, encoding=encoding, noise=DiscreteGaussian(SCALE))
    words = Keystream(os.urandom(16)).words
    return lambda rows: release(rows, words)


def milliseconds(functions: list[Callable[[], object]], repeat: int) -> list[list[float]]:
    """Each function's times, all of them in turn."""
    samples: list[list[float]] = [[] for _ in functions]
    for _ in range(repeat):
        for place, function in enumerate(functions):
            begun = time.perf_counter()
            function()
            samples[place].append(1e3 * (time.perf_counter() - begun))
    return samples


def measured(args: argparse.Namespace) -> dict[str, Any]:
    """All figures of one setting."""
    torch.set_num_threads(args.threads)
    step, name, choice = step_of(args)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    begun = time.perf_counter()
    rows = step()
    first = 1e3 * (time.perf_counter() - begun)
    functions: list[Callable[[], object]] = [step]
    if args.noise:
        release, alone, one = noisy(rows.shape[1]), noisy(1), np.ones((1, 1))
        functions += [lambda: release(step().double().numpy()), lambda: alone(one)]
        for function in functions[1:]:
            function()
    samples = milliseconds(functions, args.repeat)
    whole = samples[1] if args.noise else samples[0]
    result: dict[str, Any] = {
        "min_ms": min(whole),
        "median_ms": statistics.median(whole),
        "first_call_ms": first,
        "peak_extra_bytes": 1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before),
        "model": args.model,
        "steps": args.steps,
        "engine": name,
        "dtype": args.dtype,
        "threads": args.threads,
        "repeat": args.repeat,
    }
    if choice is not None:
        result["choice"] = str(choice)
    if args.noise:
        result |= {"step_min_ms": min(samples[0]), "opacus_fixed_ms": min(samples[2])}
    if args.save:
        args.save.write_bytes(rows.double().mean(0).numpy().tobytes())
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", choices=("sine", "mlp", "conv"), default="sine")
    parser.add_argument("--steps", type=int, default=1)
    parser.add_argument("--engine", choices=("loop", "vmap", "stacked", "compiled", "auto"), default="auto")
    parser.add_argument("--noise", action="store_true", help="clip and noise through Opacus as well")
    parser.add_argument("--dtype", choices=tuple(DTYPES), default="float32")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--chunk", type=int, help="tasks at a time")
    parser.add_argument("--repeat", type=int, default=30, help="10 at least")
    parser.add_argument("--save", type=Path, help="write the mean of the rows there, as plain float64")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    if args.repeat < 10 or args.steps < 1 or args.threads < 1:
        parser.error("at least 10 repetitions, one step and one thread")
    result = measured(args)
    for key, value in result.items():
        print(f"{key:18} {value:.3f}" if isinstance(value, float) else f"{key:18} {value}")
    if args.json:
        print(json.dumps(result))


if __name__ == "__main__":
    main()
